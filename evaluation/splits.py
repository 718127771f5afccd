"""The `splits` stage: the mean and the deviation of what the splits of one data set came to, as JSON and as a page."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.page.html import FOLDER, template
from evaluation.page.numbers import by_name
from evaluation.report import ReportSettings
from storage.errors import DataError
from storage.progress import Progress, silent

FILE_NAME, PAGE = "splits.json", "report.html"
TEMPLATES = {name: FOLDER / name for name in ("splits.html", "style.css")}
"""What the page is made with: part of its key."""


@dataclass(frozen=True)
class Inputs:
    """metrics.json of each model on each split: `<model>, <split>` -> file."""

    metrics: Mapping[str, Path]


def run(inputs: Inputs, settings: ReportSettings, out_dir: Path, progress: Progress = silent) -> None:
    """Write splits.json and report.html.

    Raises:
        DataError: the splits were not measured by the same protocol.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, path in inputs.metrics.items():
        model, _, split = name.rpartition(", ")
        found.setdefault(model, {})[split] = json.loads(path.read_text())
    protocols = [metrics["protocol"] for splits in found.values() for metrics in splits.values()]
    if any(protocol != protocols[0] for protocol in protocols):
        raise DataError("the splits were measured by different protocols", fix="run all of them with one configuration")
    summary = {"protocol": protocols[0], "models": {model: over_splits(splits) for model, splits in found.items()}}
    (out_dir / FILE_NAME).write_text(json.dumps(summary, indent=2) + "\n")
    (out_dir / PAGE).write_text(template("splits.html").render(title=settings.title, **summary))
    progress(1, 1)


def over_splits(splits: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The metrics of one model on each split (split -> its metrics.json), their mean and their deviation.

    Returns:
        `splits`: split -> metric -> value; `mean` and `deviation`: metric -> value, of what is no chance; `chance`:
        metric -> mean. The deviation is that of a sample (divided by N - 1), None of a single split.
    """
    rows = {split: by_name(metrics) for split, metrics in splits.items()}
    values = _columns(list(rows.values()))
    chance = _columns([by_name(metrics["chance"]) for metrics in splits.values()])
    return {
        "splits": rows,
        "mean": {name: float(np.mean(column)) for name, column in values.items()},
        "deviation": {n: float(np.std(column, ddof=1)) if len(rows) > 1 else None for n, column in values.items()},
        "chance": {name: float(np.mean(column)) for name, column in chance.items()},
        "queries": {split: metrics["counted_queries"] for split, metrics in splits.items()},
    }


def _columns(rows: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    return {name: [row[name] for row in rows] for name in rows[0]}
