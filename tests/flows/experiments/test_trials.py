"""Trials one after another: a failure is told and the rest goes on; what cannot go on, does not."""

from collections.abc import Mapping
from pathlib import Path

import pytest

import flows.experiments.trials
from flows.experiments.experiment import Trial, read_experiment
from flows.experiments.trials import Outcome, made, run_trials
from storage.errors import DataError, EnvironmentProblem
from storage.store.artifacts import Artifact, Store
from tests.flows.experiments.test_experiment import write
from tests.storage.store.small_store import artifact


@pytest.fixture
def trials(tmp_path: Path) -> list[Trial]:
    return read_experiment(write(tmp_path, seeds=2, galleries=["with_queries", "without_queries"]))[1]


@pytest.fixture
def evaluated(tmp_path: Path) -> Mapping[str, Artifact]:
    store = Store(tmp_path / "other")
    store.prepare()
    return {
        "metrics visual": artifact(store, "metrics", "1" * 24, part="visual"),
        "metrics finetuned": artifact(store, "metrics", "2" * 24, part="finetuned"),
    }


def run(trials: list[Trial], rebuild: object) -> list[Outcome]:
    return list(run_trials(trials, rebuild))


def test_a_trial_gives_the_evaluation_of_its_model(trials: list[Trial], evaluated: Mapping[str, Artifact]) -> None:
    outcomes = run(trials, lambda trial: evaluated)
    assert [outcome.trial for outcome in outcomes] == trials
    assert all(outcome.folders == (evaluated["metrics finetuned"].path,) for outcome in outcomes)


def test_splits_of_a_trial_are_all_given(trials: list[Trial], evaluated: Mapping[str, Artifact]) -> None:
    splits = {f"split {number} {label}": made for number in range(2) for label, made in evaluated.items()}
    assert len(run(trials[:1], lambda trial: splits)[0].folders) == 2


def test_a_trial_that_fails_is_told_once_and_the_rest_goes_on(
    trials: list[Trial], evaluated: Mapping[str, Artifact]
) -> None:
    asked = []

    def rebuild(trial: Trial) -> Mapping[str, Artifact]:
        asked.append((trial.arm, trial.seed, trial.gallery))
        if (trial.arm, trial.seed) == ("b", 0):
            raise DataError("it broke")
        return evaluated

    outcomes = run(trials, rebuild)
    failed = [outcome for outcome in outcomes if outcome.error]
    assert [(one.trial.arm, one.trial.seed) for one in failed] == [("b", 0), ("b", 0)], "by either protocol"
    assert asked.count(("b", 0, "with_queries")) == 1
    assert ("b", 0, "without_queries") not in asked
    assert len(outcomes) - len(failed) == 6


def test_where_nothing_else_could_run_the_experiment_ends(trials: list[Trial]) -> None:
    def rebuild(trial: Trial) -> Mapping[str, Artifact]:
        raise EnvironmentProblem("the disk is full")

    with pytest.raises(EnvironmentProblem, match="the disk is full"):
        run(trials, rebuild)


def test_what_is_there_is_not_run_again(
    trials: list[Trial], evaluated: Mapping[str, Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flows.experiments.trials, "made", lambda config: evaluated)
    assert all(outcome.folders for outcome in run(trials, lambda trial: pytest.fail("it was run")))


def test_in_an_empty_store_nothing_is_made(trials: list[Trial]) -> None:
    assert made(trials[0].config) is None
