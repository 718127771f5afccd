"""What a tree holds by the plainest reading of its layout, written again without the readers: for sound trees only.

A tracklet is: its id -> (split, pid, camid, frames). Where a tree is damaged, an oracle may raise anything; where a
reader takes a tree, its oracle must be able to read it. Matrices are read as the readers do, since scipy ends the
process on some damaged ones; that they are what scipy reads is told elsewhere.
"""

import csv
import io
import json
import re
from pathlib import PurePosixPath
from typing import Any

import pyarrow.parquet as pq

from storage.datasets.matlab import read_matrix
from tests.storage.datasets.trees import Tree

Known = dict[str, tuple[str, int, int, tuple[str, ...]]]
PICTURES = (".jpg", ".png", ".jpeg", ".bmp", ".webp")


def digits(text: str) -> int:
    return int("".join(c for c in text if c in "0123456789"))


def pictures(tree: Tree) -> list[PurePosixPath]:
    hidden = re.compile(r"(.*/)?(\.|(__MACOSX|@eaDir)/).*", re.DOTALL)
    return [PurePosixPath(name) for name in tree if name.lower().endswith(PICTURES) and not hidden.fullmatch(name)]


def in_order(frames: list[PurePosixPath]) -> tuple[str, ...]:
    """By the numbers in the names, each by its value, texts before numbers."""

    def key(path: PurePosixPath) -> tuple[str, str]:
        # as texts: a text begins with 0 and a number with 1 and the count of its digits
        parts = [m[0] for m in re.finditer(r"[0-9]+|[^0-9]+", str(path))]
        values = [f"1{len(p.lstrip('0')):04d}{p.lstrip('0')}" if p.isdigit() else f"0{p}\0" for p in parts]
        return "".join(values), str(path)

    return tuple(str(p) for p in sorted(frames, key=key))


def lines(tree: Tree, name: str) -> list[str]:
    return [line.rstrip() for line in tree[name].decode().rstrip().split("\n")]


def mars(tree: Tree) -> Known:
    known: Known = {}
    queries = {int(row) for row in read_matrix(tree["info/query_IDX.mat"], "query_IDX").flatten()}
    for part in ("train", "test"):
        names = lines(tree, f"info/{part}_name.txt")
        table = read_matrix(tree[f"info/tracks_{part}_info.mat"], f"track_{part}_info")
        used: list[str] = []
        for number, row in enumerate(table, start=1):
            first, last, pid, camid = (int(value) for value in row)
            own = names[first - 1 : last]
            used += own
            split = "train" if part == "train" else "query" if number in queries else "gallery"
            if pid == -1:
                assert all(name.startswith("00-1") for name in own)
                continue
            for name in own:
                assert int(name[:4]) == pid
                assert int(name[5 : name.index("T")]) == camid
            frames = tuple(f"bbox_{part}/{name[:4]}/{name}" for name in own)
            known[own[0][: own[0].index("F")]] = (split, pid, camid, frames)
        assert sorted(used) == sorted(names), "no frame is lost, none is used twice"
    return known


def lsvid(tree: Tree) -> Known:
    known: Known = {}
    queries = {int(row) for row in read_matrix(tree["test/data/info_test.mat"], "query").flatten()}
    listed = {part: lines(tree, f"list_sequence/list_seq_{part}.txt") for part in ("train", "test")}
    rows = [(part, number, *line.split()) for part, own in listed.items() for number, line in enumerate(own, start=1)]
    from_zero = any(int(pid) == 0 for *_, pid in rows)
    for part, number, path, pid in rows:
        split = "train" if part == "train" else "query" if number in queries else "gallery"
        begun = [(p, str(p)[len(path) :]) for p in pictures(tree) if str(p).startswith(path)]
        frames = [p for p, rest in begun if "/" not in rest and not rest[0].isdigit()]
        (camid,) = {int(p.name.split("_")[2]) for p in frames}
        known[path] = (split, int(pid) + from_zero, camid, in_order(frames))
    return known


def two_cameras(tree: Tree, top: str, cameras: tuple[str, str]) -> dict[str, tuple[list[PurePosixPath], ...]]:
    people: dict[str, tuple[list[PurePosixPath], ...]] = {}
    for path in pictures(tree):
        place, person = f"{path.parent.parent}", path.parent.name
        for number, camera in enumerate(cameras):
            if place == f"{top}/{camera}":
                people.setdefault(person, ([], []))[number].append(path)
    return people


def halves(people: dict[str, Any], test: list[str], train: list[str], cameras: tuple[str, str]) -> Known:
    known: Known = {}
    for group, splits in ((train, ("train", "train")), (test, ("query", "gallery"))):
        for person in group:
            for number, (camera, split) in enumerate(zip(cameras, splits, strict=True)):
                frames = in_order(people[person][number])
                known[f"{camera}/{person}"] = (split, digits(person), number + 1, frames)
    return known


def ilidsvid(tree: Tree, split: int) -> Known:
    cameras = ("cam1", "cam2")
    people = two_cameras(tree, "i-LIDS-VID/sequences", cameras)
    both = sorted(person for person, (one, two) in people.items() if one and two)
    for person, frames in people.items():
        for camera, own in zip(cameras, frames, strict=True):
            assert all(p.name.startswith(f"{camera}_{person}_") for p in own)
    table = read_matrix(tree["train-test people splits/train_test_splits_ilidsvid.mat"], "ls_set")
    named = [both[int(place) - 1] for place in table[split]]
    assert sorted(named) == both
    return halves(people, named[: len(named) // 2], named[len(named) // 2 :], cameras)


def prid2011(tree: Tree, found: Known) -> Known:
    """With drawn splits, who is in which half is the reader's to say: taken from what it found, as halves of all."""
    cameras = ("cam_a", "cam_b")
    top = "multi_shot" if any(name.startswith("multi_shot/") for name in tree) else "prid_2011/multi_shot"
    people = two_cameras(tree, top, cameras)
    people = {name: people[name] for name in [f"person_{n:04d}" for n in range(1, 201)]}
    assert all(one and two for one, two in people.values())
    if "splits_prid2011.json" in tree:
        chosen = json.loads(tree["splits_prid2011.json"])[0]
        return halves(people, chosen["test"], chosen["train"], cameras)
    long = {name for name, (one, two) in people.items() if min(len(one), len(two)) >= 27}
    train = sorted({key.split("/")[1] for key, value in found.items() if value[0] == "train"})
    assert set(train) <= long
    assert len(train) == len(long) - len(long) // 2
    return halves(people, sorted(long - set(train)), train, cameras)


def ccvid(tree: Tree) -> Known:
    known: Known = {}
    for split in ("train", "query", "gallery"):
        for line in lines(tree, f"{split}.txt"):
            place, pid, _ = line.split()
            session, walk = place.split("/")
            assert int(walk.split("_")[0]) == int(pid)
            camid = int(walk.split("_")[1]) + (12 if int(session[7:]) > 2 else 0)
            frames = [p for p in pictures(tree) if str(p.parent) == place]
            known[place] = (split, int(pid), camid, in_order(frames))
    folders = {str(p.parent) for p in pictures(tree) if len(p.parts) == 3 and p.parts[0].startswith("session")}
    walks = {place for place in folders if place.replace("session", "").replace("/", "").replace("_", "").isdigit()}
    assert walks <= set(known), "a folder of frames that is in no list"
    return known


def folder(tree: Tree) -> Known:
    known: Known = {}
    for path in pictures(tree):
        split, pid, camid, _, _ = path.parts
        frames = [p for p in pictures(tree) if p.parent == path.parent]
        known[str(path.parent)] = (split, digits(pid), digits(camid), in_order(frames))
    return known


def manifest(tree: Tree) -> Known:
    if "manifest.csv" in tree:
        text = tree["manifest.csv"].decode("utf-8-sig", errors="replace").lstrip("\r\n")
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
    else:
        rows = pq.read_table(io.BytesIO(tree["manifest.parquet"])).to_pylist()
    known: Known = {}
    for name in {str(row["tracklet_id"]) for row in rows}:
        own = [row for row in rows if str(row["tracklet_id"]) == name]
        ((split, pid, camid),) = {(str(row["split"]), int(row["pid"]), int(row["camid"])) for row in own}
        if "frame_number" in own[0]:
            own.sort(key=lambda row: int(row["frame_number"]))
        known[name] = (split, pid, camid, tuple(str(row["frame"]) for row in own))
    return known
