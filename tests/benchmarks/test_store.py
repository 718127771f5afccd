import importlib
from pathlib import Path

import numpy as np

from flows.keys.steps import Step
from flows.running.tasks import build_step
from storage.store.artifacts import Store
from storage.tables.parquet import read_ragged, write_table
from storage.tables.schema import SKELETON_SHAPES, SKELETONS
from storage.tables.tracklets import Tracklet, index_table
from tests.benchmarks.filling import Walker, write_blank
from tests.benchmarks.store import change_a_frame


def test_a_walker_publishes_another_runs_files_under_the_steps_own_key(counting_stage: str, tmp_path: Path) -> None:
    settings = importlib.import_module(counting_stage).CountingSettings

    def step(text: str) -> Step:
        return Step("counted", counting_stage, settings(text=text), {"source": None}, {"journal": tmp_path / "journal"})

    made = build_step(Store(tmp_path / "small"), step("made"))
    store = Store(tmp_path / "large")
    walker = Walker(store, {made.manifest["stage"]: made})
    filled = walker.one(step("filled"))
    assert (filled.digest, filled.key) == (made.digest, step("filled").key)
    assert walker.artifacts == {"counted": filled}
    assert store.damage(filled) == []
    assert Walker(store).one(step("filled")) == filled, "what is there is found"


def test_blank_skeletons_are_of_the_index(tmp_path: Path) -> None:
    tracklets = [Tracklet("a", "train", 1, 1, ("1", "2")), Tracklet("b", "train", 1, 2, ("3",))]
    write_table(index_table(tracklets), tmp_path / "index.parquet")
    (tmp_path / "other").write_bytes(b"another run's")
    (tmp_path / "blank").hardlink_to(tmp_path / "other")
    write_blank(tmp_path / "index.parquet", tmp_path / "blank")
    found = read_ragged([tmp_path / "blank"], SKELETONS, SKELETON_SHAPES)
    assert (found.ids, found.offsets.tolist()) == (("a", "b"), [0, 2, 3])
    assert not any(np.any(values) for values in found.values.values())
    assert (tmp_path / "other").read_bytes() == b"another run's"


def test_a_changed_frame_leaves_the_frames_that_share_its_file(tmp_path: Path) -> None:
    (tmp_path / "bbox_train/0001").mkdir(parents=True)
    one, two = (tmp_path / f"bbox_train/0001/{name}.jpg" for name in "ab")
    one.write_bytes(b"frame")
    two.hardlink_to(one)
    assert change_a_frame(tmp_path) == "bbox_train/0001/a.jpg"
    assert (one.read_bytes(), two.read_bytes()) == (b"frame\0", b"frame")
