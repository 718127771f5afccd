"""`csip diff`: what differs between two runs."""

import json
from pathlib import Path

import pytest

from storage.store.artifacts import Store
from tests.flows.commands.command_line import csip
from tests.flows.commands.conftest import FIRST, SECOND
from tests.storage.store.small_store import run


@pytest.fixture
def store(past_runs: Store) -> Store:
    return past_runs


def words(line: str) -> str:
    return " ".join(line.split())


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
