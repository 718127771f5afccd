"""`csip runs`: past runs side by side."""

import json
from pathlib import Path

import pytest

from flows.planning.history import differing
from storage.store.artifacts import Store
from tests.flows.commands.command_line import csip
from tests.flows.commands.conftest import FIRST, SECOND, THIRD


@pytest.fixture
def store(past_runs: Store) -> Store:
    return past_runs


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
