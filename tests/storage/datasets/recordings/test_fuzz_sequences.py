"""Readers of skeletons against damaged trees: they say what is wrong, or what is read is what lies there."""

import io
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage.datasets.recordings.readers import SEQUENCE_READERS, SequenceSettings, skeleton_type
from storage.errors import CsipError
from storage.skeleton import SKELETON_TYPES
from storage.tables.tracklets import SPLITS
from tests.storage.datasets.mutations import damaged_trees
from tests.storage.datasets.recordings.skeleton_trees import WALKER, write_arrays, write_biwi, write_ias
from tests.storage.datasets.trees import MemoryFiles, Tree, mat

DAMAGED = 500  # trees a layout
FRAMES = 3


def tree_of(root: Path) -> Tree:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def biwi(root: Path) -> Tree:
    return tree_of(write_biwi(root, 3, 2, FRAMES))


def ias(root: Path) -> Tree:
    return tree_of(write_ias(root, 2, FRAMES))


def utd_mhad(root: Path) -> Tree:
    rng = np.random.default_rng(0)
    names = [f"Skeleton/a{a}_s{s}_t{t}_skeleton.mat" for a in (1, 2) for s in (1, 2) for t in (1, 2, 3, 4)]
    return {name: mat(d_skel=rng.normal(size=(20, 3, FRAMES))) for name in names}


def skeletons(root: Path) -> Tree:

    rng = np.random.default_rng(0)
    tree = {}
    for number, split in enumerate(SPLITS):
        columns = {
            "tracklet_id": [f"{split}{row}" for row in range(3)],
            "split": [split] * 3,
            "pid": [1, 2, 3],
            "camid": [number] * 3,
            "keypoints": [rng.normal(size=20 * 3 * FRAMES).astype(np.float32).tolist() for _ in range(3)],
        }
        stream = io.BytesIO()
        pq.write_table(pa.table(columns), stream)
        tree[f"{split}.parquet"] = stream.getvalue()
    return tree


def skeleton_arrays(root: Path) -> Tree:
    write_arrays(root / "one.npz", {"split": np.repeat(["train", "query", "gallery", "gallery"], 2)})
    write_arrays(root / "two.npz", {"split": np.repeat(["train", "train", "query", "gallery"], 2)}, seed=1)
    return tree_of(root)


LAYOUTS: dict[str, Callable[[Path], Tree]] = {
    "biwi": biwi,
    "ias": ias,
    "utd_mhad": utd_mhad,
    "skeletons": skeletons,
    "skeleton_arrays": skeleton_arrays,
}


def recordings_of(layout: str, tree: Tree) -> dict[str, int]:
    """Recording -> its frames, as a plain look at the names finds them."""
    if layout == "utd_mhad":
        return {name: 1 for name in tree if name.endswith("_skeleton.mat")}
    folders = Counter(name.rpartition("/")[0] for name in tree if name.endswith("skel.txt"))
    return {folder: number for folder, number in folders.items() if folder.startswith(("Training", "Testing"))}


def check(layout: str, tree: Tree) -> None:
    """Read a tree, and look at what was read.

    Raises:
        CsipError: it was refused.
    """
    files, reader, settings = MemoryFiles(tree), SEQUENCE_READERS[layout], SequenceSettings()
    recordings = reader.read(files, settings)
    kind = skeleton_type(files, layout, settings)
    assert kind in SKELETON_TYPES.values() or kind.joints == WALKER
    read = list(reader.frames(files, recordings, kind))
    assert len(read) == len(recordings)
    for recording, (joints, tracked) in zip(recordings, read, strict=True):
        assert joints.shape == (len(tracked), len(kind), 3)
        assert np.isfinite(joints[tracked]).all()
        assert recording.pid > 0 or layout == "skeletons"
    assert {recording.split for recording in recordings} == set(SPLITS)
    assert len({recording.tracklet_id for recording in recordings}) == len(recordings)
    if layout in ("biwi", "ias"):
        assert {r.tracklet_id: len(r.frames) for r in recordings} == recordings_of(layout, tree)
    if layout == "utd_mhad":  # all trials but those that neither train, ask nor answer
        whole = [name for name in recordings_of(layout, tree) if "_t" in name and name.split("_t")[1][0] in "1234"]
        assert len(recordings) >= len([name for name in whole if "Skeleton/a" in name and "/deeper" not in name]) - 3


@pytest.mark.parametrize("layout", LAYOUTS)
def test_damage_is_told_or_does_no_harm(layout: str, tmp_path: Path) -> None:
    sound = LAYOUTS[layout](tmp_path)
    check(layout, sound)
    outcomes: Counter[str] = Counter()
    for tree, how in islice(damaged_trees(sound), DAMAGED):
        try:
            check(layout, tree)
        except CsipError as error:
            outcomes["told" if str(error).isascii() else "told in characters that a terminal may not have"] += 1
        except Exception as error:
            error.add_note(how)
            raise
        else:
            outcomes["read"] += 1
    assert outcomes.keys() == {"told", "read"}
    assert min(outcomes["told"], outcomes["read"]) >= 20, f"the damage is too little or too much: {outcomes}"
