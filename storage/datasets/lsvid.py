"""LS-VID: 3,772 identities, 14,943 tracklets, 15 cameras (Li et al., ICCV 2019).

    tracklet_train/0001/...                  frames, named <..>_<..>_<camera>_<..>.jpg
    tracklet_test/...
    list_sequence/list_seq_train.txt         lines `path pid`: its frames are the files that begin with it
    list_sequence/list_seq_test.txt
    test/data/info_test.mat                  `query`: lines of the test list that are queries, from 1

There are no distractors: where the lists count identities from 0, all are one more here.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from storage.datasets.lists import checked, lines_of, need, numbered, whole_numbers
from storage.datasets.names import frames_by_folder
from storage.frames.files import DataFiles
from storage.tables.tracklets import DISTRACTOR_PID, Tracklet

TRAIN, TEST = "list_sequence/list_seq_train.txt", "list_sequence/list_seq_test.txt"
QUERIES = "test/data/info_test.mat"
LISTS = (TRAIN, TEST, QUERIES)
FIX = "set data.root to the folder that holds list_sequence, test and tracklet_train"
LINE = re.compile(r"(?P<path>\S+)[ \t]+(?P<pid>[0-9]{1,10})")
FRAME_NAME = re.compile(r"[^_/]+_[^_/]+_(?P<camid>[0-9]{1,10})_[^_/]+")


class Row(NamedTuple):
    """A line of a list."""

    path: str
    pid: int
    split: str


def read(files: DataFiles, split: int = 0) -> list[Tracklet]:
    """The tracklets of an LS-VID folder, however short; frames in the order of the numbers in their names.

    Raises:
        DataError: files are missing, or the lists contradict themselves; every contradiction is listed at once.
    """
    need(files, LISTS, "LS-VID", FIX)
    problems: list[str] = []
    queries = whole_numbers(files, QUERIES, "query").ravel().tolist()
    train = _rows(TRAIN, lines_of(files, TRAIN), (), problems)
    test = _rows(TEST, lines_of(files, TEST), queries, problems)
    rows = train + test
    need(files, sorted({row.path.partition("/")[0] or row.path for row in rows}), "LS-VID", FIX)
    from_zero = any(row.pid == DISTRACTOR_PID for row in rows)
    frames = _frames([row.path for row in rows], frames_by_folder(files.names()))
    tracklets = []
    for row in rows:
        own = frames[row.path]
        cameras = _cameras(row.path, own, problems)
        if len(cameras) > 1:
            problems.append(f"{row.path}: its frames are of cameras {cameras}")
        elif cameras or not own:
            camid = cameras[0] if cameras else 0
            tracklets.append(Tracklet(row.path, row.split, row.pid + from_zero, camid, tuple(own)))
    return checked(files, tracklets, problems)


def _rows(name: str, lines: Sequence[str], queries: Sequence[int], problems: list[str]) -> list[Row]:
    problems += numbered(queries, len(lines), f"{QUERIES}: line")
    asked, train = set(queries), name == TRAIN
    rows = []
    for number, line in enumerate(lines, start=1):
        match = LINE.fullmatch(line)
        if match is None:
            problems.append(f"{name} line {number}: {line!r} is not a path and an identity")
            continue
        split = "train" if train else "query" if number in asked else "gallery"
        rows.append(Row(match["path"], int(match["pid"]), split))
    return rows


def _frames(paths: Iterable[str], folders: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The frames of each listed path: of a folder all, else the files that begin with it.

    A file that begins with several listed paths is of the longest, and no path ends within a number of the name:
    `0001_1` is not the beginning of `0001_10_01_1.jpg`.
    """
    found: dict[str, list[str]] = {path: [] for path in paths}
    beginnings: dict[str, dict[str, str]] = {}
    for path in found:
        if path.rstrip("/") in folders:
            found[path] = list(folders[path.rstrip("/")])
        else:
            folder, _, start = path.rpartition("/")
            beginnings.setdefault(folder, {})[start] = path
    for folder, starts in beginnings.items():
        lengths = sorted({len(start) for start in starts}, reverse=True)
        for frame in folders.get(folder, ()):
            name = frame.rpartition("/")[2]
            fitting = (name[:length] for length in lengths if name[:length] in starts)
            for start in fitting:
                if not (start[-1:].isdigit() and name[len(start) : len(start) + 1].isdigit()):
                    found[starts[start]].append(frame)
                    break
    return found


def _cameras(path: str, frames: Sequence[str], problems: list[str]) -> list[int]:
    cameras = set()
    for frame in frames:
        match = FRAME_NAME.fullmatch(frame.rpartition("/")[2].rpartition(".")[0])
        if match is None:
            problems.append(f"{path}: {frame!r} is not a frame name like 0001_01_03_0001.jpg, camera 3")
            return []
        cameras.add(int(match["camid"]))
    return sorted(cameras)
