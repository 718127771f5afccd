"""What a machine lacks for a run is said before the run, in words that say what to do."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from flows.commands.app import app
from flows.config import Config, make_config
from flows.deploying.machines import FINE, Machine, differences, machines_of
from storage.store.bucket import PROBES
from tests.small_run import small_settings

FOUND = Machine("one", {"csip": "c0de", "torch": "2.15.0"}, (), 2, 24.0, 50.0, FINE, FINE, FINE, FINE)


def config_of(tmp_path: Path, *overrides: str) -> Config:
    return make_config(small_settings(tmp_path), overrides)


def test_a_machine_that_has_everything_has_no_problems_and_leaves_nothing_in_the_store(
    tmp_path: Path, api: str
) -> None:
    (machine,) = machines_of(config_of(tmp_path), api)
    assert machine.problems == []
    assert machine.cores == len(os.sched_getaffinity(0))
    assert machine.installed["torch"]
    assert not [path for path in (tmp_path / "store" / PROBES).rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (["data.demo=null", "data.root=nowhere"], "data: the raw data cannot be seen from here"),
        (["extraction.estimator.weights=nowhere.pth"], "weights: "),
        (["store=taken/store"], "store: "),
    ],
)
def test_what_is_missing_is_named(
    overrides: list[str], problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("a file where a folder should be")
    (machine,) = machines_of(config_of(tmp_path, *overrides), "")
    (found,) = machine.problems
    assert found.startswith(problem)
    assert "to do: " in found


def test_a_server_that_does_not_answer_is_named(tmp_path: Path) -> None:
    (machine,) = machines_of(config_of(tmp_path), "http://127.0.0.1:9/api")
    (found,) = machine.problems
    assert found.startswith("Prefect server: ")
    assert "http://127.0.0.1:9/api" in found


def test_machines_that_differ_from_the_first_are_named_with_both_versions() -> None:
    older = replace(FOUND, name="two", installed={"csip": "c0de", "torch": "2.13.0"})
    bare = replace(FOUND, name="three", installed={"csip": "c0de", "torch": None})
    assert differences([FOUND, FOUND]) == []
    assert differences([FOUND, older, bare]) == [
        "two: torch 2.13.0 in place of 2.15.0",
        "three: torch missing in place of 2.15.0",
    ]


def test_the_command_says_what_a_run_would_stumble_over_and_its_status_is_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(small_settings(tmp_path)))

    fine = CliRunner().invoke(app, ["doctor", str(path), "--cluster"])
    assert fine.exit_code == 0
    assert "a run would find all that it needs" in fine.output

    lacking = ["--set", "data.demo=null", "--set", "data.root=nowhere", "--json"]
    bad = CliRunner().invoke(app, ["doctor", str(path), "--cluster", *lacking])
    assert bad.exit_code == 1
    told = json.loads(bad.output)
    assert len(told["machines"]) == 1
    assert "nowhere" in told["problems"][0]

    for wrong in (["doctor", "--cluster"], ["doctor", str(path)]):
        refused = CliRunner().invoke(app, wrong)
        assert refused.exit_code == 1
        assert "to do: " in refused.output
