"""`csip runs` and `csip diff`: past runs, and what differs between them."""

import json
from pathlib import Path
from typing import Any

import pytest

from flows.planning.history import differing
from storage.store.artifacts import Store
from storage.store.runs import RunRecord
from tests.flows.commands.test_store import csip
from tests.storage.store.small_store import artifact, run

FIRST, SECOND, THIRD = "aa11aa11-1", "aa22bb22-2", "cc33cc33-3"


def measured(value: float) -> list[dict[str, Any]]:
    return [{"model": "after finetuning", "mAP": value, "Rank-1": value}, {"model": "chance", "mAP": 0.1}]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A run, one with other epochs whose evaluation gives the same bytes, and one that failed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    store = Store(tmp_path / "store")
    index = artifact(store, "index", "1" * 24)
    models = [artifact(store, "finetuned", str(e) * 24, index, settings={"epochs": e}) for e in (2, 3)]
    results = [
        artifact(store, "metrics", str(top) * 24, text="alike", settings={"top": top}, also={"truth": top})
        for top in (4, 5)
    ]
    for number, (name, value) in enumerate(((FIRST, 0.5), (SECOND, 0.625))):
        config = {"pretrain": {"epochs": number + 2, "lr": 0.1}, "seed": 7}
        run(store, name, [index, models[number], results[number]], config=config, metrics=measured(value))
    failed = RunRecord(store, THIRD, {"name": "demo", "pretrain": {"epochs": 3, "lr": 0.1}, "seed": 7})
    with pytest.raises(ValueError, match="no data"), failed.alive():
        raise ValueError("no data [here]")
    return store


def words(line: str) -> str:
    return " ".join(line.split())


def test_runs_are_listed_newest_last_with_what_came_of_them(store: Store) -> None:
    lines = [words(line) for line in csip("runs").splitlines()]
    listed = [line for line in lines if " demo " in line]
    assert [line[:8] for line in listed] == [FIRST[:8], SECOND[:8], THIRD[:8]]
    assert listed[0].endswith("completed 1 / 2 50.0 % 50.0 %")
    assert listed[2].endswith("failed - -")
    assert f"{THIRD[:8]} failed: no data [here]" in lines


def test_settings_that_differ_stand_side_by_side_and_others_do_not(store: Store) -> None:
    said = csip("runs")
    assert "pretrain.epochs 2 3 3" in [words(line) for line in said.splitlines()]
    assert "pretrain.lr" not in said
    assert "seed" not in said


def test_only_the_newest_are_listed_and_compared(store: Store) -> None:
    said = csip("runs", "--last", 2)
    assert FIRST[:8] not in said
    assert "pretrain.epochs" not in said


def test_runs_as_json(store: Store) -> None:
    rows = json.loads(csip("runs", "--json"))
    assert [row["run"] for row in rows] == [FIRST, SECOND, THIRD]
    assert (rows[0]["built"], rows[0]["kept"], rows[2]["built"]) == (1, 2, None)
    assert rows[1]["metrics"][0]["mAP"] == 0.625
    assert [row["settings"] for row in rows] == [{"pretrain.epochs": number} for number in (2, 3, 3)]
    assert rows[2]["error"] == "no data [here]"


def test_many_runs_are_compared_in_blocks_that_fit(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    lines = [words(line) for line in csip("runs").splitlines()]
    assert f"setting {FIRST[:8]} {SECOND[:8]}" in lines
    assert f"setting {THIRD[:8]}" in lines


def test_a_store_without_runs_says_so(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "nothing has been run" in csip("runs", "--store", tmp_path / "empty")


def test_a_section_that_one_run_leaves_out_is_one_setting() -> None:
    assert differing([{"demo": {"seed": 1, "frames": 2}, "a": 1}, {"demo": None, "a": 1}]) == {"demo": ["set", None]}


def test_diff_names_settings_artifacts_with_reasons_and_metrics(store: Store) -> None:
    lines = [words(line) for line in csip("diff", FIRST, SECOND).splitlines()]
    assert "pretrain.epochs 2 -> 3" in lines
    assert "index the same" in lines
    assert "finetuned other content epochs: 2 -> 3" in lines
    assert "metrics same content top: 4 -> 5; truth: 4 -> 5" in lines
    assert "after finetuning mAP 50.0 % 62.5 % +12.5" in lines
    assert "chance mAP 10.0 % 10.0 % 0.0" in lines


def test_diff_as_json(store: Store) -> None:
    said = json.loads(csip("diff", "aa11", "aa22", "--json"))
    assert said["settings"] == {"pretrain.epochs": {"before": 2, "now": 3}}
    assert {step["label"]: step["verdict"] for step in said["artifacts"]} == {
        "index": "the same",
        "finetuned": "other content",
        "metrics": "same content",
    }
    assert said["metrics"][0] == {
        "model": "after finetuning",
        "metric": "mAP",
        "before": 0.5,
        "now": 0.625,
        "difference": 0.125,
    }


def test_steps_of_one_run_alone_are_said_to_be(store: Store) -> None:
    said = csip("diff", "previous", "last")
    assert "only before" in said
    assert "the settings are the same" in said
    assert "only now" in csip("diff", "last", "previous")


def test_a_reason_that_is_gone_with_its_artifact_is_unknown(store: Store) -> None:
    store.discard("finetuned", "2" * 24)
    assert "unknown: the earlier artifact is not in the store" in csip("diff", FIRST, SECOND)


@pytest.mark.parametrize(
    ("name", "answer"),
    [("aa", "2 runs begin so: aa"), ("zz", "there is no such run: zz"), ("", "there is no such run")],
)
def test_an_unclear_run_is_answered_with_those_there_are(store: Store, name: str, answer: str) -> None:
    said = csip("diff", name, "last", status=1)
    assert answer in said
    assert FIRST in said
    assert SECOND in said
    assert "to do: " in said


def test_there_may_be_no_previous_run(tmp_path: Path) -> None:
    store = Store(tmp_path / "one")
    run(store, "only", [])
    assert "there is no previous run" in csip("diff", "previous", "last", "--store", store.root, status=1)
