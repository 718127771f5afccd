"""The pipeline of a data set without images on generated BIWI recordings: what runs, what is kept, what is reported."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from flows.config import load_config
from flows.planning.plan import plan
from flows.rebuild import Result, rebuild
from flows.skeleton_pipeline import ENCODER_FILES
from storage.errors import SettingsError, WeightsError
from tests.storage.datasets.recordings.skeleton_trees import write_biwi
from training.settings import MODEL
from training.settings import SETTINGS as MODEL_SETTINGS

SETTINGS = {
    "name": "people",
    "data": {"layout": "biwi", "train_shards": 1, "test_shards": 2, "sequences": {"trim": 1}},
    "skeleton_only": {
        "epochs": 12,
        "batch": 24,
        "instances": 4,
        "lr": 3e-3,
        "warmup_epochs": 1,
        "threads": 1,
        "projection": 16,
        "skeleton": {"width": 16, "depth": 2, "heads": 2, "hidden": 32, "dropout": 0.0, "temporal": True},
    },
    "trainer": {"loggers": []},
    "evaluation": {"gallery": "without_queries", "ranks": [1, 5, 10]},
}
ALL = {
    "index",
    "skeletons train-000",
    "skeletons test-000",
    "skeletons test-001",
    "pretrained",
    "embeddings test-000",
    "embeddings test-001",
    "metrics recordings",
    "metrics sequences",
    "report",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("skeletons")
    write_biwi(made / "data", train=6, test=5, frames=26)
    data = SETTINGS["data"] | {"root": str(made / "data")}  # type: ignore[operator]
    settings = SETTINGS | {"store": str(made / "store"), "data": data}
    (made / "config.yaml").write_text(yaml.safe_dump(settings))
    return made


@pytest.fixture
def run(folder: Path, api: str) -> Callable[..., Result]:
    """Runs with overrides, and checks that the plan made just before told what would happen."""

    def call(*overrides: str) -> Result:
        config = load_config(folder / "config.yaml", overrides)
        told = {line.label: line.verdict for line in plan(config)}
        result = rebuild(config)
        built = set(result.built)
        assert {label for label, verdict in told.items() if verdict == "will run"} <= built
        assert built <= {label for label, verdict in told.items() if verdict != "kept"}
        return result

    if not (folder / "store" / "runs").exists():
        call()
    return call


def test_recordings_become_ranks_and_a_report_in_one_run(run: Callable[..., Result]) -> None:
    result = run()
    assert result.artifacts.keys() == ALL
    metrics = json.loads((result.artifacts["metrics sequences"].path / "metrics.json").read_text())
    assert metrics["protocol"]["sampling"] == "sequences of 6 frames"
    assert metrics["queries"] == 5 * (24 // 6)
    assert metrics["cmc"]["1"] > 2 * metrics["chance"]["cmc"]["1"]
    rows = result.metrics
    assert [row["model"] for row in rows][:2] == ["whole recordings", "sequences"]
    assert rows[0]["Rank-1"] > 2 * rows[-2]["Rank-1"]
    assert result.report is not None
    page = result.report.read_text()
    assert "told apart by their skeletons alone" in page
    assert "Gallery answers" not in page
    assert "data:image/" not in page
    assert "shorter than a clip" not in page, "a file is no frame of a clip"


def test_a_second_run_keeps_everything(run: Callable[..., Result]) -> None:
    assert run().built == ()


def test_the_probe_can_be_the_other_one_and_trains_nothing_again(run: Callable[..., Result]) -> None:
    built = set(run("data.sequences.probe=still").built)
    assert "pretrained" not in built
    assert {"index", "metrics sequences", "metrics recordings", "report"} <= built


def test_a_changed_test_file_reruns_its_shard_and_never_the_training(run: Callable[..., Result], folder: Path) -> None:
    run()
    path = sorted((folder / "data/Testing/Walking/000").iterdir())[10]
    path.write_text(path.read_text().replace(",2,0,", ",1,0,", 1) + "\n")
    built = set(run().built)
    assert "pretrained" not in built
    assert len([label for label in built if label.startswith("skeletons")]) == 1


def test_an_encoder_trained_on_skeletons_is_used_on_others_by_its_bytes(
    run: Callable[..., Result], folder: Path
) -> None:
    first = run()
    place = first.artifacts["pretrained"].path
    given = (f"skeleton_only.start_from={place}", "skeleton_only.epochs=0")
    as_it_is = run(*given)
    assert "pretrained" in as_it_is.built
    ranks = [
        json.loads((r.artifacts["metrics sequences"].path / "metrics.json").read_text()) for r in (first, as_it_is)
    ]
    assert ranks[0] == ranks[1], "the same encoder says the same of the same people"
    assert run(*given).built == ()
    manifest = as_it_is.artifacts["pretrained"].manifest
    assert manifest["weights"].keys() == {"encoder", "encoder settings"}


def test_a_missing_encoder_and_no_epochs_are_refused_before_anything_runs(api: str, folder: Path) -> None:
    config = load_config(folder / "config.yaml", [f"skeleton_only.start_from={folder / 'nothing'}"])
    assert list(ENCODER_FILES.values()) == [MODEL, MODEL_SETTINGS]
    with pytest.raises(WeightsError, match=r"no model.safetensors and no settings.yaml to start from"):
        rebuild(config)
    with pytest.raises(SettingsError, match="without epochs there is no encoder"):
        rebuild(load_config(folder / "config.yaml", ["skeleton_only.epochs=0"]))
