"""PRID2011, the sequences: 200 identities in both cameras (Hirzer et al., SCIA 2011); 10 splits into halves.

    multi_shot/cam_a/person_0001/0001.png
    multi_shot/cam_b/...
    splits_prid2011.json                   if there: a list of {"train": [person_0001, ...], "test": [...]}

`multi_shot` may lie in `prid_2011`, as the archive has it. Persons 1 to 200 are the same people in both cameras; from
201 on, a number means another person in each camera, and none of them is read. Used are the people with at least 27
frames by both. The data set ships no splits: without the JSON file they are drawn here, from the number of the split.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from storage.datasets.lists import RESTORE, checked, need, refuse, text_of
from storage.datasets.names import frames_by_folder, unnumbered
from storage.datasets.splits import Split, astray, two_camera_tracklets
from storage.errors import DataError
from storage.frames.files import DataFiles
from storage.tables.tracklets import Tracklet

PLACES = ("multi_shot", "prid_2011/multi_shot")
CAMERAS = ("cam_a", "cam_b")
SPLITS = "splits_prid2011.json"
PEOPLE = {f"person_{number:04d}": number for number in range(1, 201)}
MIN_FRAMES = 27


def read(files: DataFiles, split: int = 0) -> list[Tracklet]:
    """The tracklets of one split: training people by both cameras, queries of camera a (1), gallery of camera b (2).

    Raises:
        DataError: files are missing, one camera did not see a person, or the splits cannot be; all is listed at once.
    """
    place = next((place for place in PLACES if files.exists(place)), PLACES[0])
    needed = [f"{place}/{camera}" for camera in CAMERAS]
    need(files, needed, "PRID2011", "set data.root to the folder that holds multi_shot or prid_2011")
    folders = frames_by_folder(files.names(place))
    cameras = [{person: folders.get(f"{folder}/{person}", []) for person in PEOPLE} for folder in needed]
    problems = astray(folders, needed)
    problems += [
        f"{folder}/{person}: no frames, and the first 200 people are in both cameras"
        for folder, frames in zip(needed, cameras, strict=True)
        for person in PEOPLE
        if not frames[person]
    ]
    problems += unnumbered(frame for camera in cameras for own in camera.values() for frame in own)
    refuse(files, problems)
    halves = _shipped(files, split) if files.exists(SPLITS) else _drawn(cameras, split)
    return checked(files, list(two_camera_tracklets(halves, PEOPLE, cameras, CAMERAS)), problems)


def _drawn(cameras: Sequence[Mapping[str, Sequence[str]]], split: int) -> Split:
    long = [person for person in PEOPLE if all(len(frames[person]) >= MIN_FRAMES for frames in cameras)]
    # numpy keeps the numbers of RandomState the same in all versions and on all platforms
    order = np.random.RandomState(split).permutation(len(long)).tolist()
    half = len(long) // 2
    test, train = (sorted(long[place] for place in part) for part in (order[:half], order[half:]))
    return Split(train, test)


def _shipped(files: DataFiles, split: int) -> Split:
    text = text_of(files, SPLITS)
    try:
        splits = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"cannot be read as JSON: {error}", where=files.where(SPLITS), fix=RESTORE) from error
    refuse(files, list(_problems(splits, split)))
    return Split(splits[split]["train"], splits[split]["test"])


def _problems(splits: Any, split: int) -> Iterator[str]:
    if not isinstance(splits, list) or not all(_is_split(entry) for entry in splits):
        yield f'{SPLITS}: expected a list of {{"train": [names of people], "test": [names of people]}}'
        return
    if split >= len(splits):
        yield f"{SPLITS}: holds {len(splits)} splits, counted from 0, and not the one asked for, {split}"
        return
    named = list(chain(splits[split]["train"], splits[split]["test"]))
    for person in sorted(set(named)):
        if person not in PEOPLE:
            yield f"{SPLITS}: split {split}: {person!r} is none of person_0001 to person_0200"
        elif named.count(person) > 1:
            yield f"{SPLITS}: split {split}: {person} is named more than once"


def _is_split(entry: Any) -> bool:
    parts = [entry.get("train"), entry.get("test")] if isinstance(entry, dict) else [None]
    return all(isinstance(part, list) and all(isinstance(name, str) for name in part) for part in parts)
