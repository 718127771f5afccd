"""People seen by two cameras, half of them for training: what iLIDS-VID and PRID2011 have in common."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from storage.tables.tracklets import Tracklet


class Split(NamedTuple):
    """Names of the people of a split, in order."""

    train: Sequence[str]
    test: Sequence[str]


def astray(folders: Mapping[str, Sequence[str]], cameras: Sequence[str]) -> list[str]:
    """What is wrong with folders of frames that are no person's folder in a camera's."""
    return [
        f"{folder}: holds frames, and is no person's folder in {' or '.join(cameras)}"
        for folder, frames in folders.items()
        if frames and folder.rpartition("/")[0] not in cameras
    ]


def two_camera_tracklets(
    split: Split, pids: Mapping[str, int], cameras: Sequence[Mapping[str, Sequence[str]]], folders: Sequence[str]
) -> Iterator[Tracklet]:
    """Tracklets of a split: training people by both cameras, test people by the first (queries) and second (gallery).

    Args:
        split: who is for training and who for testing.
        pids: name of a person -> identity.
        cameras: for the two cameras, name of a person -> frames.
        folders: names of the two cameras' folders.
    """
    for people, kinds in ((split.train, ("train", "train")), (split.test, ("query", "gallery"))):
        for person in people:
            for number, (frames, folder, kind) in enumerate(zip(cameras, folders, kinds, strict=True), start=1):
                yield Tracklet(f"{folder}/{person}", kind, pids[person], number, tuple(frames.get(person, ())))
