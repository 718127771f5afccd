"""Runs the trials of an experiment one after another in one store; what is there is not run again."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flows.builder import Builder
from flows.config import Config
from flows.experiments.experiment import Trial
from flows.keys.steps import Step
from flows.planning.scan import kept_index
from flows.planning.walk import of_splits, walk
from storage.errors import CsipError, EnvironmentProblem
from storage.progress import silent
from storage.store.artifacts import Artifact, Store, open_store

log = logging.getLogger("csip")
UNTIL = "metrics"
"""Where a trial ends: nobody reads the reports of all of them."""


class _NotMade(Exception):
    """Something that a trial needs is not in the store."""


@dataclass
class _Kept(Builder):
    """Finds what is there, and builds nothing."""

    store: Store
    found: dict[str, Artifact]

    def many(self, steps: Sequence[Step]) -> list[Artifact]:
        """The artifacts of these steps."""
        for step in steps:
            artifact = self.store.find(step.stage, step.key)
            if artifact is None:
                raise _NotMade
            self.found[step.label] = artifact
        return [self.found[step.label] for step in steps]


@dataclass(frozen=True)
class Outcome:
    """What became of a trial: the folders of its evaluations, one a split, or why there is none.

    `validation` has, by epoch, those of people who were held out while the model learnt.
    """

    trial: Trial
    folders: tuple[Path, ...] = ()
    validation: Mapping[int, tuple[Path, ...]] = field(default_factory=dict)
    error: CsipError | None = None


def run_trials(trials: Sequence[Trial], rebuild: Callable[[Trial], Mapping[str, Artifact]]) -> Iterator[Outcome]:
    """Each trial's outcome, as soon as it is there; one that fails is told in the log, and the next one is run.

    Args:
        trials: in the order in which they are run.
        rebuild: runs a trial up to `UNTIL` and gives its artifacts by the labels of their steps.

    Raises:
        EnvironmentProblem: the server is gone or the disk full: no other trial could run either.
    """
    failed: dict[tuple[str, int], CsipError] = {}
    for trial in trials:
        known = failed.get((trial.arm, trial.seed))  # by another protocol: what failed would fail again
        if known:
            yield Outcome(trial, error=known)
            continue
        artifacts = made(trial.config)
        if artifacts is None:
            try:
                artifacts = rebuild(trial)
            except EnvironmentProblem:
                raise
            except CsipError as error:
                log.error("%s failed: %s", trial.label, error)
                failed[trial.arm, trial.seed] = error
                yield Outcome(trial, error=error)
                continue
        validated = {
            epoch: _evaluations(artifacts, f"epoch {epoch}") for epoch in trial.config.finetune.validated_epochs
        }
        yield Outcome(trial, _evaluations(artifacts, trial.model), validated)


def made(config: Config) -> Mapping[str, Artifact] | None:
    """All artifacts of a run up to `UNTIL` by the labels of their steps, if every one of them is in the store.

    Raises:
        CsipError: the store or the data cannot be read.
    """
    store, splits = open_store(config.store, config.workspace), of_splits(config)
    found: dict[str, Artifact] = {}

    def find_index(split: str) -> Artifact:
        index = kept_index(store, splits[split], silent)
        if index is None:
            raise _NotMade
        return index

    try:
        walk(config, find_index, _Kept(store, found), UNTIL)
    except _NotMade:
        return None
    return found


def _evaluations(artifacts: Mapping[str, Artifact], model: str) -> tuple[Path, ...]:
    of_model = f"{UNTIL} {model}"
    return tuple(a.path for label, a in artifacts.items() if label == of_model or label.endswith(f" {of_model}"))
