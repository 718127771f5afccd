"""MARS: 1,261 identities, 20,715 tracklets, 6 cameras (Zheng et al., ECCV 2016), and any data set in its layout.

    bbox_train/0001/0001C1T0001F001.jpg      <pid>C<camera>T<tracklet>F<frame>
    bbox_test/...
    info/train_name.txt, test_name.txt       frame names, one a line
    info/tracks_{train,test}_info.mat        rows (first line, last line, pid, camid), from 1
    info/query_IDX.mat                       rows of tracks_test_info that are queries, from 1

Rows of pid -1 (junk) are dropped; pid 0 (distractors) stay in the gallery.
"""

import re
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from storage.datasets.lists import checked, lines_of, need, numbered, whole_numbers
from storage.frames.files import DataFiles
from storage.tables.tracklets import JUNK_PID, Tracklet

LISTS = (
    "info/train_name.txt",
    "info/test_name.txt",
    "info/tracks_train_info.mat",
    "info/tracks_test_info.mat",
    "info/query_IDX.mat",
)
NEEDED = ("bbox_train", "bbox_test", *LISTS)
FRAME_NAME = re.compile(r"(?P<pid>\d{4}|00-1)C(?P<camid>\d+)T(?P<tracklet>\d+)F(?P<frame>\d+)\.(jpg|jpeg|png)")


def read(files: DataFiles, split: int = 0) -> list[Tracklet]:
    """The tracklets of a MARS folder: train, query, then gallery; frames in the order of the name lists.

    Raises:
        DataError: files are missing, or the lists contradict themselves; every contradiction is listed at once.
    """
    need(files, NEEDED, "MARS", "set data.root to the folder that holds bbox_train, bbox_test and info")
    problems: list[str] = []
    queries = whole_numbers(files, "info/query_IDX.mat", "query_IDX").ravel().tolist()
    train = list(_split(files, "train", [], problems))
    test = list(_split(files, "test", queries, problems))
    return checked(files, train + test, problems)


def _split(files: DataFiles, part: str, queries: Sequence[int], problems: list[str]) -> Iterator[Tracklet]:
    names = lines_of(files, f"info/{part}_name.txt")
    rows = whole_numbers(files, f"info/tracks_{part}_info.mat", f"track_{part}_info")
    if rows.ndim != 2 or rows.shape[1] != 4:
        problems.append(f"tracks_{part}_info.mat: expected rows of (first, last, pid, camid), found shape {rows.shape}")
        return
    problems += numbered(queries, len(rows), "query_IDX.mat: row")
    problems += _in_no_row(rows, len(names), part)
    asked = set(queries)
    for number, (first, last, pid, camid) in enumerate(rows.tolist(), start=1):
        label = f"tracks_{part}_info.mat row {number}"
        if not 1 <= first <= last <= len(names):
            problems.append(f"{label}: frames {first} to {last} are not lines of {part}_name.txt (1 to {len(names)})")
            continue
        frames = names[first - 1 : last]
        wrong = _contradictions(frames, pid, camid)
        if wrong:
            problems.append(f"{label}: {wrong}")
            continue
        if pid == JUNK_PID and number not in asked:
            continue
        split = "train" if part == "train" else "query" if number in asked else "gallery"
        paths = tuple(f"bbox_{part}/{name.split('C')[0]}/{name}" for name in frames)
        yield Tracklet(frames[0].rsplit("F", 1)[0], split, pid, camid, paths)


def _in_no_row(rows: NDArray[np.int64], lines: int, part: str) -> Iterator[str]:
    """Lines of a name list that no row has: rows are missing, or the ends of some are wrong."""
    begun, ended = (np.bincount(np.clip(row, 0, lines), minlength=lines + 1) for row in (rows[:, 0] - 1, rows[:, 1]))
    in_a_row = np.cumsum(begun - ended)[:lines] > 0
    edges = np.flatnonzero(np.diff(in_a_row, prepend=True, append=True))
    for start, stop in edges.reshape(-1, 2).tolist():
        yield f"{part}_name.txt: lines {start + 1} to {stop} are of no row of tracks_{part}_info.mat"


def _contradictions(frames: list[str], pid: int, camid: int) -> str | None:
    """What is wrong with a row's frames, or None."""
    matches = [FRAME_NAME.fullmatch(name) for name in frames]
    bad = [name for name, match in zip(frames, matches, strict=True) if match is None]
    if bad:
        return f"{bad[0]!r} is not a frame name like 0001C1T0001F001.jpg"
    found = [match for match in matches if match is not None]
    pids = sorted({JUNK_PID if match["pid"] == "00-1" else int(match["pid"]) for match in found})
    cameras = sorted({int(match["camid"]) for match in found})
    if pids != [pid]:
        return f"says identity {pid}, its frames are of {pids}"
    if cameras != [camid]:
        return f"says camera {camid}, its frames are of {cameras}"
    if len({match["tracklet"] for match in found}) > 1:
        return f"mixes tracklets: {frames[0]} to {frames[-1]}"
    return None
