"""iLIDS-VID: 300 identities, 600 tracklets, 2 cameras (Wang et al., ECCV 2014); 10 splits into halves.

    i-LIDS-VID/sequences/cam1/person001/cam1_person001_00317.png
    i-LIDS-VID/sequences/cam2/...
    train-test people splits/train_test_splits_ilidsvid.mat       `ls_set`, 10 x 300

A row of `ls_set` is a split: the first half are the people to test on, the second those to train on, each by the place
in the sorted list of the people that both cameras saw, from 1.
"""

import re
from collections.abc import Mapping, Sequence

from storage.datasets.lists import checked, need, numbered, refuse, whole_numbers
from storage.datasets.names import frames_by_folder
from storage.datasets.splits import Split, astray, two_camera_tracklets
from storage.frames.files import DataFiles
from storage.tables.tracklets import Tracklet

SEQUENCES = "i-LIDS-VID/sequences"
CAMERAS = ("cam1", "cam2")
SPLITS = "train-test people splits/train_test_splits_ilidsvid.mat"
NEEDED = (*(f"{SEQUENCES}/{camera}" for camera in CAMERAS), SPLITS)
PERSON = re.compile(r"person([0-9]{3})")
FRAME_NAME = re.compile(r"(?P<camera>cam[0-9])_(?P<person>person[0-9]+)_[0-9]+\.\w+")


def read(files: DataFiles, split: int = 0) -> list[Tracklet]:
    """The tracklets of one split: training people by both cameras, queries of camera 1, gallery of camera 2.

    Raises:
        DataError: files are missing, or folders, frame names and splits contradict each other; all is listed at once.
    """
    need(files, NEEDED, "iLIDS-VID", "set data.root to the folder that holds i-LIDS-VID and train-test people splits")
    folders = frames_by_folder(files.names(SEQUENCES))
    problems = astray(folders, [f"{SEQUENCES}/{camera}" for camera in CAMERAS])
    cameras = [_people(folders, camera, problems) for camera in CAMERAS]
    both = sorted(person for person in cameras[0] if cameras[1].get(person) and cameras[0][person])
    pids = {person: int(match[1]) for person in both if (match := PERSON.fullmatch(person))}
    halves = _split(files, both, cameras, split, problems)
    return checked(files, list(two_camera_tracklets(halves, pids, cameras, CAMERAS)), problems)


def _people(folders: Mapping[str, Sequence[str]], camera: str, problems: list[str]) -> dict[str, Sequence[str]]:
    """Frames of each person that a camera saw."""
    people = {}
    for folder, frames in folders.items():
        place, _, person = folder.rpartition("/")
        if place != f"{SEQUENCES}/{camera}":
            continue
        people[person] = frames
        if PERSON.fullmatch(person) is None:
            problems.append(f"{folder}: folders are named like person001")
        for frame in frames:
            match = FRAME_NAME.fullmatch(frame.rpartition("/")[2])
            if match is None or (match["camera"], match["person"]) != (camera, person):
                problems.append(f"{frame}: frames in this folder are named like {camera}_{person}_00317.png")
    return people


def _split(
    files: DataFiles,
    people: Sequence[str],
    cameras: Sequence[Mapping[str, Sequence[str]]],
    split: int,
    problems: list[str],
) -> Split:
    """The people of a split, if nothing is wrong with the data set so far."""
    places = whole_numbers(files, SPLITS, "ls_set")
    if places.ndim != 2 or len(places) <= split:
        refuse(files, [*problems, f"{SPLITS}: expected a row of people for each split, found shape {places.shape}"])
    row = places[split].tolist()
    if len(row) != len(people):
        problems.append(f"{SPLITS}: divides {len(row)} people, and {len(people)} were seen by both cameras")
        seen = sorted({person for camera in cameras for person in camera})
        for name, own in zip(CAMERAS, cameras, strict=True):
            problems += [f"{person}: no frames by {name}" for person in seen if not own.get(person)]
    else:
        problems += numbered(row, len(people), f"{SPLITS}: split {split}: person")
    refuse(files, problems)
    half = len(row) // 2
    test, train = (sorted(people[place - 1] for place in part) for part in (row[:half], row[half:]))
    return Split(train, test)
