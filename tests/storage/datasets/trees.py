"""Small data sets in the true layouts of the field, as name -> bytes: each function makes one, with its traps.

Every tree holds junk of other programs, numbers with gaps and names whose order as texts is not that of their numbers.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.io

from storage.frames.files import DataFiles, check_name

Tree = dict[str, bytes]


def _picture(suffix: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 4, 3), dtype=np.uint8)
    return bytes(cv2.imencode(suffix, pixels)[1])


JPEG, PNG = _picture(".jpg"), _picture(".png")


class MemoryFiles(DataFiles):
    """A data root whose files are given: nothing is written, so that thousands of trees can be tried."""

    def __init__(self, tree: Mapping[str, bytes]) -> None:
        self.root = Path("memory")
        self.tree = tree

    def read(self, name: str) -> bytes:
        check_name(name)
        if name not in self.tree:
            raise FileNotFoundError(name)
        return self.tree[name]

    def exists(self, name: str) -> bool:
        return name in self.tree or any(other.startswith(f"{name}/") for other in self.tree)

    def names(self, folder: str = "") -> list[str]:
        return sorted(name for name in self.tree if not folder or name.startswith(f"{folder}/"))

    def where(self, name: str) -> str:
        return f"memory/{name}"


def write_tree(tree: Mapping[str, bytes], root: Path, seed: int = 0) -> Path:
    """Write a tree in a shuffled order, so that no file system lists it sorted by chance."""
    names = list(tree)
    np.random.default_rng(seed).shuffle(names)
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tree[name])
    return root


def mat(**variables: Any) -> bytes:
    """A MATLAB file."""
    file = io.BytesIO()
    scipy.io.savemat(file, variables)
    return file.getvalue()


def mat73(**variables: Any) -> bytes:
    """A MATLAB 7.3 file: HDF5 behind 512 bytes of header, matrices transposed."""
    file = io.BytesIO()
    with h5py.File(file, "w", userblock_size=512) as hdf:
        for name, value in variables.items():
            hdf[name] = np.atleast_2d(value).T
    return b"MATLAB 7.3 MAT-file".ljust(512) + file.getvalue()[512:]


def text(lines: Sequence[str]) -> bytes:
    """A list, one line a row."""
    return "".join(f"{line}\n" for line in lines).encode()


def mars() -> Tree:
    """Two training people, two test people, a distractor and a junk row; the queries are rows 3 and 5."""
    rows = {
        "train": [("0001", 1, (1, 2, 3)), ("0001", 2, (1, 7)), ("0002", 1, (1, 2, 10, 11))],
        "test": [("00-1", 1, (1, 2)), ("0000", 1, (1,)), ("0003", 1, (1, 2)), ("0003", 2, (1, 2)), ("0004", 2, (5, 6))],
    }
    tree: Tree = {"bbox_train/.DS_Store": b"", "bbox_test/0003/Thumbs.db": b""}
    for part, tracks in rows.items():
        names: list[str] = []
        table = []
        for pid, camera, frames in tracks:
            own = [f"{pid}C{camera}T0001F{frame:03d}.jpg" for frame in frames]
            tree |= {f"bbox_{part}/{pid}/{name}": JPEG for name in own}
            table.append([len(names) + 1, len(names) + len(own), int(pid.replace("00-1", "-1")), camera])
            names += own
        tree[f"info/{part}_name.txt"] = text(names)
        tree[f"info/tracks_{part}_info.mat"] = mat(**{f"track_{part}_info": np.array(table, np.int32)})
    tree["info/query_IDX.mat"] = mat(query_IDX=np.array([[3, 5]], np.uint16))
    return tree


def lsvid() -> Tree:
    """Two training people, two test people counted from 0, one tracklet of one frame; queries are lines 1 and 4."""
    lists: dict[str, list[str]] = {"train": [], "test": []}
    tree: Tree = {"tracklet_train/.DS_Store": b"", "tracklet_test/0002/Thumbs.db": b""}
    tracks = [
        ("train", 0, 1, 1, (9, 10, 101)),
        ("train", 0, 10, 2, (1, 2)),  # its name begins with that of track 1
        ("train", 1, 1, 15, (7,)),
        ("test", 2, 1, 3, (8, 9, 10)),
        ("test", 2, 2, 4, (1, 2)),
        ("test", 3, 3, 3, (1, 3)),
        ("test", 3, 4, 5, (2,)),
    ]
    for part, pid, track, camera, frames in tracks:
        path = f"tracklet_{part}/{pid:04d}/{pid:04d}_{track}"
        tree |= {f"{path}_{camera:02d}_{frame}.jpg": JPEG for frame in frames}
        lists[part].append(f"{path} {pid}")
    for part, lines in lists.items():
        tree[f"list_sequence/list_seq_{part}.txt"] = text(lines)
    tree["test/data/info_test.mat"] = mat73(query=np.array([[1.0], [4.0]]))
    return tree


def ilidsvid(people: Sequence[int] = (1, 2, 9, 14, 119, 319)) -> Tree:
    """Six people by both cameras, one by the first alone; ten splits."""
    tree: Tree = {"i-LIDS-VID/sequences/cam1/.DS_Store": b"", "i-LIDS-VID/images/cam1/person001.png": PNG}
    for camera in ("cam1", "cam2"):
        for person in people:
            for frame in (person + 9, person + 10, person + 121):
                folder = f"i-LIDS-VID/sequences/{camera}/person{person:03d}"
                tree[f"{folder}/{camera}_person{person:03d}_{frame:05d}.png"] = PNG
    tree["i-LIDS-VID/sequences/cam1/person200/cam1_person200_00001.png"] = PNG
    tree["i-LIDS-VID/sequences/cam2/person200/Thumbs.db"] = b""
    rng = np.random.default_rng(5)
    splits = np.stack([rng.permutation(len(people)) + 1 for _ in range(10)])
    tree["train-test people splits/train_test_splits_ilidsvid.mat"] = mat(ls_set=splits.astype(np.uint16))
    return tree


def prid2011(long: Sequence[int] = (3, 8, 40, 199), top: str = "") -> Tree:
    """All 200 people, few of them with enough frames; from 201 on, other people by each camera."""
    tree: Tree = {f"{top}multi_shot/cam_a/.DS_Store": b"", f"{top}single_shot/cam_a/person_0001.png": PNG}
    for camera in ("cam_a", "cam_b"):
        for person in (*range(1, 201), 201, 202):
            frames = range(1, 28) if person in (*long, 201) else (1,)
            if person == 7:  # enough by one camera only
                frames = range(1, 40 if camera == "cam_a" else 27)
            for frame in frames:
                tree[f"{top}multi_shot/{camera}/person_{person:04d}/{frame:04d}.png"] = PNG
    return tree


def prid2011_with_splits() -> Tree:
    """The same with a file of two splits."""
    split = {"train": ["person_0003", "person_0001"], "test": ["person_0199"]}
    other = {"train": ["person_0002"], "test": ["person_0040", "person_0008"]}
    return prid2011(top="prid_2011/") | {"splits_prid2011.json": json.dumps([split, other]).encode()}


def ccvid() -> Tree:
    """Two training people, two test people who change clothes; session 3 has cameras of its own."""
    lists = {
        "train": [("session1/001_01", "u0_l0"), ("session1/001_02", "u1_l0"), ("session3/002_01", "u0_l0")],
        "query": [("session1/003_01", "u0_l0"), ("session2/010_12", "u0_l0")],
        "gallery": [("session2/003_02", "u0_l0"), ("session3/003_01", "u1_l0"), ("session1/010_03", "u0_l1")],
    }
    tree: Tree = {"session1/.DS_Store": b"", "session1/001_01/Thumbs.db": b"", "readme.txt": b"terms"}
    for part, rows in lists.items():
        tree[f"{part}.txt"] = text([f"{folder}\t{folder[9:12]}\t{clothes}" for folder, clothes in rows])
        for folder, _ in rows:
            tree |= {f"{folder}/{frame:05d}.jpg": JPEG for frame in (2, 3, 11)}
    return tree


def folder() -> Tree:
    """Names of a user: prefixes, frames without leading zeros, an upper-case suffix, a distractor."""
    tree: Tree = dict.fromkeys(
        ("train/.DS_Store", "query/p3/cam1/walk/Thumbs.db", "readme.txt", "train/p1/._x.jpg"), b""
    )
    places = ("train/p1/cam1/a", "train/p1/cam2/b", "train/p2/cam1/a", "query/p3/cam1/walk", "gallery/p3/cam2/walk")
    for place in places:
        tree |= {f"{place}/{name}": JPEG for name in ("9.jpg", "10.jpg", "101.JPG")}
    tree["gallery/p0/cam2/someone/1.png"] = PNG
    return tree


MANIFEST = [
    ("a", "train", 1, 1, "x/2.jpg", 1, 20),
    ("b", "train", 2, 1, "x/3.jpg", 1, 0),
    ("a", "train", 1, 1, "x/1.jpg", 1, 3),
    ("q", "query", 3, 1, "y/q/1.jpg", 1, 0),
    ("g", "gallery", 3, 2, "y/g/9.jpg", 2, 9),
    ("g", "gallery", 3, 2, "y/g/10.jpg", 2, 10),
    ("d", "gallery", 0, 2, "y/d/1.jpg", 0, 0),
]
COLUMNS = ("tracklet_id", "split", "pid", "camid", "frame", "clothes", "frame_number")


def manifest(kind: str = "csv", columns: Sequence[str] = COLUMNS) -> Tree:
    """A table of five tracklets whose rows are mixed and whose frames are not in order."""
    tree: Tree = {row[4]: JPEG for row in MANIFEST}
    rows = [[row[COLUMNS.index(column)] for column in columns] for row in MANIFEST]
    if kind == "csv":
        file = io.StringIO()
        csv.writer(file, lineterminator="\n").writerows([list(columns), *rows])
        return tree | {"manifest.csv": file.getvalue().encode()}
    sink = io.BytesIO()
    pq.write_table(pa.table(dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))), sink)
    return tree | {"manifest.parquet": sink.getvalue()}


LAYOUTS = {
    "mars": mars,
    "lsvid": lsvid,
    "ilidsvid": ilidsvid,
    "prid2011": prid2011,
    "ccvid": ccvid,
    "folder": folder,
    "manifest": manifest,
}
"""Layout name -> a sound tree of it."""
