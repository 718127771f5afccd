"""A user's own skeletons through the whole first half of the pipeline."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from flows.config import make_config
from flows.rebuild import Result, rebuild
from storage.errors import DataError
from storage.skeleton import JOINTS
from storage.tables.parquet import read_ragged
from storage.tables.schema import FRAME_STATUS, SKELETON_SHAPES, SKELETONS


def write_skeletons(root: Path) -> list[Path]:
    """A JSON for every frame, in skeleton_3d beside the images; every person stands still."""
    body = np.zeros((17, 3))
    body[JOINTS.index("head"), 1] = -0.8
    files = []
    for frame in sorted(root.glob("bbox_*/*/*.jpg")):
        files.append(root / "skeleton_3d" / frame.relative_to(root).with_suffix(".json"))
        files[-1].parent.mkdir(parents=True, exist_ok=True)
        files[-1].write_text(json.dumps({"keypoints": (body + 1).tolist()}))
    return files


@pytest.fixture
def run(make_mars: Callable[..., Path], tmp_path: Path, api: str) -> Callable[[], Result]:
    def call() -> Result:
        data = {"root": str(tmp_path / "raw"), "train_shards": 2, "test_shards": 1, "skeletons": "skeleton_3d"}
        settings = {"name": "own", "store": str(tmp_path / "store"), "data": data, "quality": {"max_bad_fraction": 0.5}}
        return rebuild(make_config(settings), until="quality")

    make_mars()
    return call


def test_they_are_read_instead_of_extracted_and_only_what_changes_is_read_again(run, tmp_path):
    files = write_skeletons(tmp_path / "raw")
    junk = [file for file in files if "/00-1/" in str(file)]
    files = [file for file in files if file not in junk]
    for file in junk:
        file.unlink()
    files[0].unlink()
    files[4].write_text(json.dumps({"keypoints": np.zeros((17, 3)).tolist()}))
    (tmp_path / "raw/skeleton_3d/stray.json").write_text("{}")
    first = run()
    shards = [a.path / "skeletons.parquet" for label, a in first.artifacts.items() if label.startswith("skeletons")]
    found = read_ragged(shards, SKELETONS, SKELETON_SHAPES)
    counts = np.bincount(found.values["status"], minlength=4).tolist()
    assert dict(zip(FRAME_STATUS, counts, strict=True)) == {
        "ok": len(files) - 2,
        "low_confidence": 0,
        "no_person": 1,
        "unreadable": 1,
    }
    summary = json.loads((first.artifacts["index"].path / "summary.json").read_text())
    assert summary["skeletons"]["missing"]["count"] == 1
    assert summary["skeletons"]["extra"]["first"] == ["skeleton_3d/stray.json"]
    assert any("no skeleton file" in problem for problem in summary["problems"])

    assert run().built == ()
    moved = files[1].read_text().replace("1.0", "1.5")
    files[1].write_text(moved)
    built = run().built
    assert [label.split()[0] for label in built] == ["index", "skeletons", "quality"]


def test_a_folder_without_skeletons_stops_the_run_before_anything_is_read(run):
    with pytest.raises(DataError, match="no frame has a skeleton"):
        run()
