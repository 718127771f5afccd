"""Runs the pipeline's stages for an experiment: what is made once is shared between the arms that are compared.

Artifacts are kept by the pipeline's own keys: a second run goes on where the first stopped, and a changed setting
makes anew only what depends on it.
"""

import json
import shutil
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from flows.keys.steps import Step
from storage.store.artifacts import Artifact, Store
from storage.store.trainings import WORK

TOLD_SECONDS = 20.0
Scores = dict[str, float]


class Lab:
    """An artifact store, and a voice.

    Args:
        folder: where artifacts are kept.
    """

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder)
        self.start = time.monotonic()

    def say(self, words: str) -> None:
        """One line of progress on stderr."""
        print(f"{time.monotonic() - self.start:7.1f} s  {words}", file=sys.stderr, flush=True)

    def build(self, step: Step, title: str = "") -> Artifact:
        """Run a stage, unless its artifact is there; an interrupted training goes on where it was."""
        with self.store.lock(step.stage, step.key):
            found = self.store.find(step.stage, step.key)
            if found:
                return found
            title = title or step.label
            start = told = time.monotonic()

            def progress(done: int, total: int, message: str = "") -> None:
                nonlocal told
                if time.monotonic() - told > TOLD_SECONDS:
                    told = time.monotonic()
                    self.say(f"{title}  {100 * done / max(total, 1):.0f} %  {message}")

            module = step.load()
            with self.store.staging(step.stage, step.key, resume=step.resumes) as folder:
                module.run(module.Inputs(**step.arguments()), step.settings, folder, progress)
                shutil.rmtree(folder / WORK, ignore_errors=True)
                seconds = time.monotonic() - start
                made = self.store.publish(folder, step.stage, step.key, step.record, seconds)
            self.say(f"{title}  done in {seconds:.1f} s")
            return made


def table(columns: Sequence[str], rows: Mapping[str, Sequence[Sequence[float]]]) -> str:
    """A Markdown table: mean and standard deviation over seeds of each row's measures.

    Args:
        columns: the title of rows' names, then of each measure.
        rows: name -> for each seed its measures.
    """
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for name, seeds in rows.items():
        cells = [f"{statistics.fmean(of):.1f} ± {_deviation(of):.1f}" for of in zip(*seeds, strict=True)]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines)


def _deviation(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def scores_of(evaluated: Artifact) -> Scores:
    """mAP and Rank-1 of a `metrics` artifact, and chance, in percent."""
    metrics = json.loads((evaluated.path / "metrics.json").read_text())
    return {
        "mAP": 100 * metrics["mAP"],
        "R1": 100 * metrics["cmc"]["1"],
        "chance mAP": 100 * metrics["chance"]["mAP"],
        "chance R1": 100 * metrics["chance"]["cmc"]["1"],
    }
