"""The pipeline on a file of sequences with a skeleton of its own: an encoder of bodies, and equal bones."""

import json
from pathlib import Path

import pytest
import yaml

from flows.config import load_config
from flows.rebuild import Result, rebuild
from storage.errors import DataError
from tests.storage.datasets.recordings.skeleton_trees import write_arrays

SETTINGS = {
    "name": "walkers",
    "data": {
        "layout": "skeleton_arrays",
        "train_shards": 1,
        "test_shards": 1,
        "sequences": {
            "train": {"test": False},
            "query": {"test": True, "condition": "N"},
            "gallery": {"test": True, "condition": "AR"},
        },
    },
    "skeleton_only": {
        "body": {"lengths": 1, "directions": 1},
        "clip_length": 4,
        "epochs": 1,
        "batch": 12,
        "instances": 3,
        "warmup_epochs": 0,
        "threads": 1,
        "skeleton": {"eigenvectors": 5},
    },
    "trainer": {"loggers": []},
    "evaluation": {"gallery": "without_queries", "ranks": [1, 5]},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("walkers")
    (made / "data").mkdir()
    write_arrays(made / "data" / "walks.npz", frames=9, people=12, walks=4)
    data = SETTINGS["data"] | {"root": str(made / "data")}  # type: ignore[operator]
    (made / "config.yaml").write_text(yaml.safe_dump(SETTINGS | {"store": str(made / "store"), "data": data}))
    return made


def ranked(result: Result) -> dict[str, float]:
    metrics = json.loads((result.artifacts["metrics recordings"].path / "metrics.json").read_text())
    return {"R1": metrics["cmc"]["1"], "chance": metrics["chance"]["cmc"]["1"]}


@pytest.mark.slow(minutes=1)
def test_walks_become_ranks_and_a_report_with_bones_as_they_are_and_with_equal_ones(api: str, folder: Path) -> None:
    result = rebuild(load_config(folder / "config.yaml"))
    found = ranked(result)
    assert found["R1"] > 2 * found["chance"]
    assert result.report is not None
    page = result.report.read_text()
    assert "told apart by their skeletons alone" in page
    assert rebuild(load_config(folder / "config.yaml")).built == ()

    equal = rebuild(load_config(folder / "config.yaml", ["data.sequences.bone_length=0.25"]))
    assert {"skeletons train-000", "skeletons test-000", "pretrained"} <= set(equal.built)
    assert ranked(equal)["R1"] > ranked(equal)["chance"]


def test_a_choice_that_leaves_nobody_stops_before_anything_runs(api: str, folder: Path) -> None:
    config = load_config(folder / "config.yaml", ["data.sequences.query.condition=OA"])
    with pytest.raises(DataError, match=r"data.sequences.query: condition is never OA; it is AR, N"):
        rebuild(config)
