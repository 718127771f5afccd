"""`csip experiment`, from a file to its page: sharing, a broken arm, and going on."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from flows.commands.app import app
from storage.store.artifacts import Store
from tests.small_run import small_settings

pytestmark = pytest.mark.slow

ARMS: dict[str, dict[str, Any]] = {
    "plain": {"finetune": {"use_sgtm": False, "use_pfu": False, "use_skeletons": False}},
    "everything": {},
    "encoder alone": {"model": "visual"},
    "broken": {"finetune.lr": 1e12},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("experiment")


@pytest.fixture
def call(folder: Path, api: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("PREFECT_API_URL", api)
    (folder / "base.yaml").write_text(yaml.safe_dump(small_settings(folder)))
    galleries = ["with_queries", "without_queries"]

    def run(*words: str, **arms: Any) -> Result:
        experiment = {"base": "base", "seeds": 2, "galleries": galleries, "arms": arms or ARMS}
        (folder / "parts.yaml").write_text(yaml.safe_dump(experiment, sort_keys=False))
        return CliRunner().invoke(app, [*words[:1], str(folder / "parts.yaml"), *words[1:]])

    return run


def test_arms_share_what_they_can_and_one_that_breaks_is_told(call: Any, folder: Path) -> None:
    done = call("experiment", "--out", str(folder / "out"))
    assert done.exit_code == 1, done.output
    assert "failed: broken, seed 0, broken, seed 1" in " ".join(done.output.split())
    store = Store(folder / "store")
    made = {stage: len(store.all(stage)) for stage in ("index", "skeletons", "visual", "pretrained", "finetuned")}
    assert made == {"index": 1, "skeletons": 4, "visual": 2, "pretrained": 2, "finetuned": 4}
    told = json.loads((folder / "out/parts.json").read_text())
    assert set(told["found"]) == {"with_queries", "without_queries"}
    for found in told["found"].values():
        assert [arm["name"] for arm in found["arms"]] == ["plain", "everything", "encoder alone"]
        assert all(len(arm["measures"]["mAP"]["seeds"]) == 2 for arm in found["arms"])
    assert set(told["failures"]) == {"broken, seed 0", "broken, seed 1"}
    page = (folder / "out/parts.html").read_text()
    assert "broken, seed 1 failed: the loss is not a number" in page
    assert (folder / "out/parts.md").read_text().count("| everything |") == 2


def test_a_second_time_only_what_is_new_runs(call: Any, folder: Path) -> None:
    runs = len(list((folder / "store/runs").iterdir()))
    arms = {name: own for name, own in ARMS.items() if name != "broken"}
    done = call("experiment", "--out", str(folder / "out"), **arms)
    assert done.exit_code == 0, done.output
    assert len(list((folder / "store/runs").iterdir())) == runs, "everything was there"
    told = json.loads((folder / "out/parts.json").read_text())
    assert told["failures"] == {}


def test_a_plan_of_it_says_what_is_kept(call: Any) -> None:
    done = call("plan", "--json", **{"everything": {}, "new": {"finetune.epochs": 2}})
    assert done.exit_code == 0, done.output
    rows = json.loads(done.output)
    assert all(row["will run"] + row["may run"] == 0 for row in rows if row["arm"] == "everything")
    assert all(row["will run"] > 0 and row["may run"] > 1 for row in rows if row["arm"] == "new")
