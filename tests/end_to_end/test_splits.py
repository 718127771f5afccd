"""A data set with several splits: skeletons once, a model each, their mean and deviation."""

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import yaml

from flows.config import load_config
from flows.planning.plan import plan
from flows.rebuild import Result, rebuild
from storage.datasets import ilidsvid
from storage.datasets.readers import READERS
from storage.demo.dataset import DemoSettings, make
from tests.small_run import SETTINGS

pytestmark = pytest.mark.slow

PEOPLE, SPLITS = 8, 2
MODELS = ("visual", "finetuned")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rendered people in the layout of iLIDS-VID, and a configuration."""
    folder = tmp_path_factory.mktemp("splits")
    half = PEOPLE // 2
    make(
        DemoSettings(train_identities=half, test_identities=half, cameras=2, tracklets=1, frames=3, distractors=0),
        folder / "demo",
    )
    root = folder / "data"
    for frame in sorted((folder / "demo").glob("bbox_*/00[0-9][0-9]/*.jpg")):
        pid, camera, number = int(frame.name[:4]), frame.name[5], frame.stem[-3:]
        person = f"person{pid:03d}"
        place = root / ilidsvid.SEQUENCES / f"cam{camera}" / person
        place.mkdir(parents=True, exist_ok=True)
        frame.rename(place / f"cam{camera}_{person}_{number}.png")
    (root / ilidsvid.SPLITS).parent.mkdir()
    rng = np.random.default_rng(0)
    rows = np.stack([rng.permutation(PEOPLE) + 1 for _ in range(10)])
    scipy.io.savemat(root / ilidsvid.SPLITS, {"ls_set": rows})
    data = {"root": str(root), "layout": "ilidsvid", "split": "all", "train_shards": 2}
    settings = SETTINGS | {"store": str(folder / "store"), "data": data}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    return folder


@pytest.fixture
def run(folder: Path, api: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setitem(READERS, "ilidsvid", READERS["ilidsvid"]._replace(splits=SPLITS))

    def call(*overrides: str, **options: Any) -> Result:
        return rebuild(load_config(folder / "config.yaml", overrides), **options)

    return call


def read(result: Result, label: str, name: str) -> dict[str, Any]:
    return json.loads((result.artifacts[label].path / name).read_text())


def test_skeletons_are_extracted_once_and_the_rest_for_each_split(run: Callable[..., Result], folder: Path) -> None:
    early = run(until="quality")
    assert {label for label in early.built if label.startswith("skeletons")} == {
        "skeletons all-000",
        "skeletons all-001",
    }
    assert {"split 0 quality", "split 1 quality"} <= set(early.built), "asked to stop early, every split goes that far"

    result = run()
    assert not any(label.startswith("skeletons") for label in result.built)
    own = {"index", "quality", "visual", "pretrained", "finetuned", "report", *(f"metrics {model}" for model in MODELS)}
    expected = {f"split {split} {label}" for split in range(SPLITS) for label in own}
    assert expected <= set(result.artifacts)
    assert run().built == ()
    assert {line.verdict for line in plan(load_config(folder / "config.yaml"))} == {"kept"}
    assert run("data.split=1").built == (), "one split alone is the same"


def test_a_report_tells_of_its_own_split(run: Callable[..., Result]) -> None:
    report = (run().artifacts["split 1 report"].path / "report.html").read_text()
    assert "split 1 finetuned" in report
    assert "split 0 finetuned" not in report


def test_the_mean_is_that_of_the_splits_and_each_query_is_a_tracklet(run: Callable[..., Result]) -> None:
    result = run()
    found = read(result, "splits", "splits.json")["models"]
    for model, title in zip(MODELS, ("Visual encoder alone", "After finetuning"), strict=True):
        each = [read(result, f"split {split} metrics {model}", "metrics.json") for split in range(SPLITS)]
        values = [metrics["mAP"] for metrics in each]
        assert found[title]["mean"]["mAP"] == pytest.approx(statistics.mean(values))
        assert found[title]["deviation"]["mAP"] == pytest.approx(statistics.stdev(values))
        assert found[title]["splits"]["split 1"]["Rank-1"] == each[1]["cmc"]["1"]
        assert {metrics["queries"] for metrics in each} == {PEOPLE // 2}, "a query is a tracklet, not a clip"
    told = result.metrics
    assert told[0] == {"model": "visual encoder alone, mean of 2 splits", **found["Visual encoder alone"]["mean"]}
    assert result.report is not None
    page = result.report.read_text()
    assert "split 1" in page
    assert f"{100 * found['After finetuning']['mean']['mAP']:.1f}" in page
