"""What an experiment found, as a page, as Markdown and as rows of a terminal."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from evaluation.page.comparison_page import IS, TOLD, interval, p_value
from evaluation.page.drawing import epoch_curves
from evaluation.page.html import template
from evaluation.page.numbers import by_name, level, percent, points
from evaluation.page.ranking_rows import GALLERY_KINDS
from evaluation.results.comparison import RISK

Found = Mapping[str, Any]
"""What `evaluation.results.arms.compare_arms` says."""

AXIS = 100.0  # width of the scale on which seeds, means and intervals are drawn
MARGIN = 0.06  # of that width, kept free at both ends


def mean_and_deviation(row: Mapping[str, Any]) -> str:
    """`55.9 ± 0.4`, percent; without the deviation where there is one seed."""
    deviation = row["deviation"]
    return percent(row["mean"]) + ("" if deviation is None else f" ± {percent(deviation)}")


def sentences(found: Found) -> list[str]:
    """One plain sentence for each arm but the reference, on the first measure."""
    measure = found["measures"][0]
    told = []
    for arm in found["arms"]:
        if difference := arm["measures"][measure].get("difference"):
            limits, sure = difference["interval"], ""
            if limits:
                low, high = map(points, limits)
                p = p_value(difference["p_corrected"])
                sure = f" ({level(found['level'])} interval {low} to {high}, p\u00a0{p})"
            verdict = IS[difference["verdict"]].format(found["reference"])
            told.append(f"{arm['name']} is {verdict} in {measure}: {points(difference['value'])} points{sure}.")
    return told


def arm_rows(found: Found) -> list[dict[str, Any]]:
    """A row for each arm: by measure its mean, interval and difference as texts, and places on a scale of all arms."""
    scales = {measure: _scale(found, measure) for measure in found["measures"]}
    return [
        {
            "name": arm["name"],
            "reference": arm["name"] == found["reference"],
            "cells": [_cell(measure, arm["measures"][measure], *scales[measure]) for measure in found["measures"]],
        }
        for arm in found["arms"]
    ]


def markdown(found: Found) -> str:
    """A table in Markdown: means and deviations over seeds, and the difference of the first measure."""
    measure = found["measures"][0]
    columns = ["", *found["measures"], f"{measure}, points more than {found['reference']}", "p, corrected"]
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for row in arm_rows(found):
        first = row["cells"][0]
        difference = f"{first['difference']} ({first['limits']})" if first["difference"] else ""
        cells = [row["name"], *(cell["mean"] for cell in row["cells"]), difference, first["p"].removeprefix("=\u00a0")]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def validation_curves(metrics: Mapping[str, Mapping[int, Sequence[Mapping[str, Any]]]], measure: str) -> str:
    """How well held-out people were ranked over the epochs of finetuning, by arm, as SVG; empty without any.

    Args:
        metrics: arm -> epoch -> metrics.json of each seed and split, of which the mean is drawn.
        measure: which metric.
    """
    curves = {
        arm: {
            epoch: fmean(by_name(row)[measure] for row in rows)
            for epoch, rows in sorted(epochs.items())
            if all(measure in by_name(row) for row in rows)
        }
        for arm, epochs in metrics.items()
    }
    drawn = {arm: curve for arm, curve in curves.items() if curve}
    return epoch_curves(drawn, "Held-out people while the models learnt", f"{measure}, %") if drawn else ""


def headline(gallery: str) -> str:
    """What a gallery protocol is called above its table."""
    return GALLERY_KINDS[gallery][0].upper() + GALLERY_KINDS[gallery][1:]


def render(
    name: str,
    about: str,
    found: Mapping[str, Found],
    settings: Mapping[str, Sequence[str]],
    failures: Mapping[str, str],
    facts: Sequence[tuple[str, str]],
    curves: Mapping[str, str],
) -> str:
    """The page.

    Args:
        name: of the experiment.
        about: what it asks; may be empty.
        found: gallery protocol -> what was found by it.
        settings: arm -> its settings, a text each.
        failures: trial that failed -> why.
        facts: name and text of what else a reader should know: base, seeds, version.
        curves: gallery protocol -> its `validation_curves`; may be empty.
    """
    return template("experiment.html").render(
        name=name,
        about=about,
        lead=sentences(next(iter(found.values()))) if found else (),
        parts=[
            (headline(gallery), each, arm_rows(each), _axes(each), curves.get(gallery, ""))
            for gallery, each in found.items()
        ],
        settings=settings,
        failures=failures,
        facts=facts,
        level=level,
        percent=percent,
        risk=f"{RISK:g}",
    )


def _cell(measure: str, row: Mapping[str, Any], low: float, width: float) -> dict[str, Any]:
    def place(value: float) -> str:
        return f"{AXIS * (MARGIN + (1 - 2 * MARGIN) * (value - low) / width):.2f}"

    difference = row.get("difference") or {}
    limits = difference.get("interval")
    verdict = difference.get("verdict", "")
    return {
        "measure": measure,
        "mean": mean_and_deviation(row),
        "interval": interval(row["interval"]),
        "at": place(row["mean"]),
        "ends": [place(end) for end in row["interval"] or []],
        "seeds": [(seed, percent(value), place(value)) for seed, value in row["seeds"].items()],
        "difference": points(difference["value"]) if difference else "",
        "limits": " to ".join(points(end) for end in limits) if limits else "–",
        "p": p_value(difference["p_corrected"]) if difference else "",
        "verdict": verdict,
        "kind": verdict if verdict in TOLD else "",
    }


def _scale(found: Found, measure: str) -> tuple[float, float]:
    rows = [arm["measures"][measure] for arm in found["arms"]]
    values = [value for row in rows for value in (*row["seeds"].values(), *(row["interval"] or ()))]
    return min(values), (max(values) - min(values)) or 1.0


def _axes(found: Found) -> dict[str, tuple[str, str]]:
    scales = {measure: _scale(found, measure) for measure in found["measures"]}
    return {measure: (percent(low), percent(low + width)) for measure, (low, width) in scales.items()}
