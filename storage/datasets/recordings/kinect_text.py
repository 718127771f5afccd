"""BIWI RGBD-ID and IAS-Lab RGBD-ID: one text file a frame of the Kinect's 20 joints (Munaro et al., 2014).

    BIWI: Training/<person>/*skel.txt, Testing/Still/<person>/..., Testing/Walking/<person>/...
    IAS:  Training/<person>/*skel.txt, TestingA/<person>/..., TestingB/<person>/...

A folder with such files is a recording; the number in its name is the person. A file has a row a joint, in the order of
Microsoft's SDK: person, x, y, z (metres), column, row (pixels), tracking state (0 not tracked, 1 inferred, 2 tracked),
quality flag, start and end joint of a link, and the link's orientation as a quaternion.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from storage.datasets.lists import checked, need, printable
from storage.datasets.names import natural
from storage.errors import DataError
from storage.frames.files import DataFiles
from storage.skeleton import KINECT20, Recordings, SkeletonType
from storage.tables.tracklets import Tracklet
from storage.wording import below

SUFFIX = "skel.txt"
COLUMNS = 8
"""What is read of a row's columns: up to the quality flag."""

TO_CAMERA = np.array([-1, -1, 1], np.float32)
"""The Kinect's axes are x to its own left, y up, z away."""


@dataclass(frozen=True)
class Layout:
    """Folders of a data set in this format.

    Attributes:
        name: of the data set.
        train: folder of the training recordings.
        test: what is chosen by `probe` -> folder of its recordings; the other ones answer.
    """

    name: str
    train: str
    test: Mapping[str, str]


BIWI = Layout("BIWI", "Training", {"walking": "Testing/Walking", "still": "Testing/Still"})
IAS = Layout("IAS-Lab", "Training", {"A": "TestingA", "B": "TestingB"})


def read_recordings(files: DataFiles, layout: Layout, probe: str) -> list[Tracklet]:
    """The recordings of a data root; the camera id tells training (1) and the two test folders (2, 3) apart.

    Identities are the numbers of folders plus one, since 0 is a distractor.

    Raises:
        DataError: folders are missing, or hold no skeletons; or names say no person.
    """
    folders = (layout.train, *layout.test.values())
    need(files, folders, layout.name, f"set data.root to the folder that holds {', '.join(folders)}")
    splits = {layout.train: "train"}
    splits |= {folder: "query" if name == probe else "gallery" for name, folder in layout.test.items()}
    problems: list[str] = []
    recordings = []
    for camid, folder in enumerate(folders, start=1):
        by_folder: dict[str, list[str]] = {}
        for name in files.names(folder):
            if name.endswith(SUFFIX):
                by_folder.setdefault(str(PurePosixPath(name).parent), []).append(name)
        for place, names in by_folder.items():
            number = re.search(r"\d+", PurePosixPath(place).name)
            if place == folder or number is None:
                problems.append(f"{place}: its skeletons are in no folder with a person's number")
                continue
            frames = tuple(sorted(names, key=natural))
            recordings.append(Tracklet(place, splits[folder], int(number[0]) + 1, camid, frames))
    return checked(files, recordings, problems, recordings=True)


def read_frames(files: DataFiles, recordings: Sequence[Tracklet], kind: SkeletonType) -> Recordings:
    """Skeletons (T, 20, 3) of recordings, and which were tracked, (T,); a file that is not there was not.

    Raises:
        DataError: files that hold something else; all of a recording's are named.
    """
    for recording in recordings:
        joints = np.zeros((len(recording.frames), len(kind), 3), np.float32)
        tracked = np.zeros(len(recording.frames), bool)
        problems = []
        for number, name in enumerate(recording.frames):
            try:
                found = parse(files.read(name).decode())
            except OSError:
                continue
            except ValueError as error:
                problems.append(f"{name}: {error}")
                continue
            if found is not None:
                joints[number], tracked[number] = found, True
        if problems:
            raise DataError(
                f"{len(problems)} files are no skeletons:" + below(map(printable, problems)),
                where=files.root,
                fix="restore them from the data set's archive, or remove them",
            )
        yield joints, tracked


def parse(text: str) -> NDArray[np.float32] | None:
    """The joints (20, 3) of a frame, metres, camera axes; None if it is empty or any joint was not tracked.

    A file with several people holds one after the other; the first is taken.

    Raises:
        ValueError: it is no such file.
    """
    rows = [row for row in text.splitlines() if row.strip()]
    if not rows:
        return None
    if len(rows) < len(KINECT20):
        raise ValueError(f"has {len(rows)} rows, a skeleton has {len(KINECT20)}")
    cells = [row.split(",")[:COLUMNS] for row in rows[: len(KINECT20)]]
    short = [number for number, row in enumerate(cells, start=1) if len(row) < COLUMNS]
    if short:
        raise ValueError(f"row {short[0]} has fewer than {COLUMNS} columns")
    values = np.array([[float(cell) for cell in row] for row in cells])
    if not np.isfinite(values[:, [1, 2, 3, 6]]).all():
        raise ValueError("a place or a tracking state is no number")
    if (values[:, 6] == 0).any():
        return None
    return values[:, 1:4].astype(np.float32) * TO_CAMERA
