"""UTD-MHAD: 8 people, 27 actions, 4 trials each, before a Kinect (Chen et al., ICIP 2015). Not a ReID benchmark.

    a<action>_s<person>_t<trial>_skeleton.mat      d_skel: 20 joints x 3 (metres) x T

The files may lie anywhere below the data root. Trials take the place of cameras.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

import numpy as np

from storage.datasets.lists import RESTORE, checked, matrix_of
from storage.datasets.recordings.kinect_text import TO_CAMERA
from storage.errors import DataError
from storage.frames.files import DataFiles
from storage.skeleton import Recordings, SkeletonType
from storage.tables.tracklets import Tracklet

NAME = re.compile(r"(a(?P<action>\d+)_s(?P<person>\d+)_t(?P<trial>\d+))_skeleton\.mat")
ORDER = (3, 2, 1, 0, *range(4, 20))
"""Where each joint of `KINECT20` stands in a file: the trunk is listed from the head down."""

ACTION_OF = {"train": 0, "query": 1, "gallery": 2}
"""Where actions are kept apart: number of the action modulo 3."""


def read_recordings(files: DataFiles, trials: Mapping[str, Sequence[int]], *, apart: bool) -> list[Tracklet]:
    """The recordings of a data root.

    Args:
        files: of the data set.
        trials: split -> its trials.
        apart: give every action to one split only.

    Raises:
        DataError: there is none, or none for a split.
    """
    found = [(path, match) for path in files.names() if (match := NAME.fullmatch(PurePosixPath(path).name))]
    if not found:
        raise DataError(
            "there is no file named like a1_s1_t1_skeleton.mat",
            where=files.root,
            fix="set data.root to the folder of UTD-MHAD's skeletons",
        )
    recordings = [
        Tracklet(match[1], split, int(match["person"]), int(match["trial"]), (path,))
        for path, match in found
        for split, wanted in trials.items()
        if int(match["trial"]) in wanted and (not apart or int(match["action"]) % 3 == ACTION_OF[split])
    ]
    return checked(files, recordings, [], recordings=True)


def read_frames(files: DataFiles, recordings: Sequence[Tracklet], kind: SkeletonType) -> Recordings:
    """Skeletons (T, 20, 3) of recordings, and which were tracked, (T,).

    Raises:
        DataError: a file is not such a recording.
    """
    for recording in recordings:
        name = recording.frames[0]
        joints = matrix_of(files, name, "d_skel")
        if joints.ndim != 3 or joints.shape[:2] != (len(kind), 3):
            raise DataError(
                f"d_skel is of shape {joints.shape}, not 20 joints x 3 x frames", where=files.where(name), fix=RESTORE
            )
        skeletons = joints[list(ORDER)].transpose(2, 0, 1).astype(np.float32) * TO_CAMERA
        yield skeletons, np.isfinite(skeletons).all(axis=(1, 2))
