"""CCVID: 226 identities in changing clothes, 2,856 tracklets (Gu et al., CVPR 2022).

    session1/001_01/00001.jpg                    session<n>/<pid>_<walk>/<frame>.jpg
    train.txt, query.txt, gallery.txt            lines `session1/001_01  001  u0_l0_s0_c0_a0`: folder, pid, clothes

A clothes label is of one identity only. The camera is the number of the walk, 1 to 12, and 12 more in session 3, which
was recorded elsewhere: as the data set's authors count in their own evaluation.
"""

import re
from typing import NamedTuple

from storage.datasets.lists import checked, lines_of, need
from storage.datasets.names import frames_by_folder, unnumbered
from storage.frames.files import DataFiles
from storage.tables.tracklets import SPLITS, Tracklet

LISTS = tuple(f"{split}.txt" for split in SPLITS)
FIX = "set data.root to the folder that holds session1, train.txt, query.txt and gallery.txt"
LINE = re.compile(r"(?P<folder>\S+)\s+(?P<pid>[0-9]{1,10})\s+(?P<clothes>\S+)")
FOLDER = re.compile(r"session(?P<session>[0-9]{1,3})/(?P<pid>[0-9]{1,10})_(?P<walk>[0-9]{1,9})")
WALKS = 12
ELSEWHERE = 3
"""The session whose cameras are others than those of the sessions before."""


class Row(NamedTuple):
    """A line of a list."""

    split: str
    folder: str
    pid: int
    camid: int
    clothes: str


def read(files: DataFiles, split: int = 0) -> list[Tracklet]:
    """The tracklets of a CCVID folder, with clothes; frames in the order of the numbers in their names.

    Raises:
        DataError: files are missing, or lists and folders contradict each other; every contradiction is listed at once.
    """
    need(files, LISTS, "CCVID", FIX)
    problems: list[str] = []
    rows = [row for part in SPLITS for row in _rows(files, part, problems)]
    need(files, sorted({row.folder.partition("/")[0] for row in rows}), "CCVID", FIX)
    folders = frames_by_folder(files.names())
    listed = {row.folder for row in rows}
    unlisted = [folder for folder in folders if FOLDER.fullmatch(folder) and folder not in listed]
    # a line that could not be read is told already; that its folder is not listed would be the same again
    problems += [] if problems else [f"{folder}: is in none of the lists" for folder in unlisted]
    problems += unnumbered(frame for row in rows for frame in folders.get(row.folder, ()))
    labels: dict[int, set[str]] = {}
    for row in rows:
        labels.setdefault(row.pid, set()).add(row.clothes)
    numbers = {(pid, label): n for pid, own in labels.items() for n, label in enumerate(sorted(own), start=1)}
    tracklets = [
        Tracklet(r.folder, r.split, r.pid, r.camid, tuple(folders.get(r.folder, ())), clothes=numbers[r.pid, r.clothes])
        for r in rows
    ]
    return checked(files, tracklets, problems)


def _rows(files: DataFiles, split: str, problems: list[str]) -> list[Row]:
    name = f"{split}.txt"
    rows = []
    for number, line in enumerate(lines_of(files, name), start=1):
        match = LINE.fullmatch(line)
        place = FOLDER.fullmatch(match["folder"]) if match else None
        if match is None or place is None:
            problems.append(f"{name} line {number}: {line!r} is not like 'session1/001_01 001 u0_l0_s0_c0_a0'")
        elif int(match["pid"]) != int(place["pid"]):
            problems.append(f"{name} line {number}: says identity {match['pid']}, the folder is {match['folder']}")
        else:
            camid = int(place["walk"]) + (WALKS if int(place["session"]) >= ELSEWHERE else 0)
            rows.append(Row(split, match["folder"], int(match["pid"]), camid, match["clothes"]))
    return rows
