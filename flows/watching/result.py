"""What a run came to: its artifacts, its report, and what it measured, as rows of a table."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.page.numbers import by_name
from evaluation.page.ranking_rows import model_name
from flows.stages import EVALUATED
from storage.store.artifacts import Artifact


@dataclass(frozen=True)
class Result:
    """What a rebuild ends with."""

    artifacts: dict[str, Artifact]  # label of each step -> its artifact, in order
    built: tuple[str, ...]  # labels of the steps that ran
    flow_run_id: str  # the Prefect flow run
    seconds: float  # wall time

    @property
    def summary(self) -> str:
        """In a line."""
        return f"{len(self.built)} of {len(self.artifacts)} steps ran in {self.seconds:.0f} s"

    @property
    def report(self) -> Path | None:
        """The report's file, if the run went that far."""
        made = self.artifacts.get("splits") or self.artifacts.get("report")
        return made.path / "report.html" if made else None

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """MAP, mINP and CMC of each evaluated model and of chance, a row each; of splits their mean and deviation."""
        if "splits" in self.artifacts:
            return _split_rows(read_json(self.artifacts["splits"], "splits.json")["models"])
        rows, chances = [], {}
        for title, (_, metrics) in evaluations(self.artifacts).items():
            rows.append({"model": title, **by_name(metrics)})
            chances[title] = by_name(metrics["chance"])
        alike = len({tuple(chance.values()) for chance in chances.values()}) == 1
        named = {"chance": list(chances.values())[-1]} if alike else {f"chance, {t}": c for t, c in chances.items()}
        return [*rows, *({"model": name, **chance} for name, chance in named.items())]


def evaluations(artifacts: Mapping[str, Artifact]) -> dict[str, tuple[Artifact, dict[str, Any]]]:
    """Model, and what was done to its ranking -> its evaluation and metrics.json."""
    found = {}
    for name, title in EVALUATED.items():
        artifact = artifacts.get(f"metrics {name}")
        if artifact is not None:
            metrics = read_json(artifact, "metrics.json")
            found[model_name(title, metrics)] = artifact, metrics
    return found


def read_json(artifact: Artifact, name: str) -> dict[str, Any]:
    """What a JSON file of an artifact holds."""
    return dict(json.loads((artifact.path / name).read_text()))


def _split_rows(models: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for model, found in models.items():
        name = model[0].lower() + model[1:]
        rows.append({"model": f"{name}, mean of {len(found['splits'])} splits", **found["mean"]})
        rows.append({"model": f"{name}, deviation", **found["deviation"]})
    chance = next(iter(models.values()))["chance"]
    return [*rows, {"model": "chance", **chance}]
