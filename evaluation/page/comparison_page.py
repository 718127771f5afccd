"""What a comparison of results found, as the sentences and rows of a page and of a terminal, and the page itself."""

from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.page.breakdown_rows import camera_grid
from evaluation.page.drawing import cmc_curve
from evaluation.page.html import template
from evaluation.page.numbers import ends, frames_told, level, percent, points
from evaluation.page.ranking_rows import protocol
from evaluation.results.comparison import RISK

TOLD = ("better", "worse")
SMALLEST_P = 0.001  # that is written
AXIS = 100.0  # width of the scale of drawn intervals, on which all of them and 0 lie


def sentences(found: Mapping[str, Any]) -> list[str]:
    """One plain sentence for each result but the reference, on mAP."""
    told = []
    for result in found["results"][1:]:
        row = result["metrics"]["mAP"]
        verdict, sure = IS[row["verdict"]].format(found["reference"]), ""
        if row["difference_interval"]:
            low, high = map(points, row["difference_interval"])
            sure = f" ({level(found['level'])} interval {low} to {high}, p\u00a0{p_value(row['p_corrected'])})"
        told.append(f"{result['name']} is {verdict} in mAP: {points(row['difference'])} points{sure}.")
    return told


IS = {
    "better": "better than {}",
    "worse": "worse than {}",
    "the same": "the same as {}",
    "not told apart": "not told apart from {}",
    "not tested": "not tested against {}",
}


def p_value(p: float | None) -> str:
    """A p-value with as many digits as it deserves, after a sign: enough to tell on which side of the limit it is."""
    if p is None:
        return "–"
    if p < SMALLEST_P:
        return f"<\u00a0{SMALLEST_P}"
    digits = 2 if p >= 0.1 else 3
    while (round(p, digits) > RISK) != (p > RISK):
        digits += 1
    return f"=\u00a0{p:.{digits}f}"


def interval(limits: Sequence[float] | None) -> str:
    """The ends of an interval of shares in percent; a dash for none."""
    return "–" if limits is None else ends(limits)


def difference_rows(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row for each metric of each result but the reference: as text, and as places on a common scale with 0."""
    rows = [(r["name"], metric, r["metrics"][metric]) for r in found["results"][1:] for metric in found["metrics"]]
    places = [0.0, *(end for *_, row in rows for end in row["difference_interval"] or [row["difference"]])]
    low, width = min(places), (max(places) - min(places)) or 1.0

    def place(value: float) -> str:
        return f"{AXIS * (value - low) / width:.2f}"

    return [
        {
            "name": name,
            "metric": metric,
            "difference": points(row["difference"]),
            "interval": " to ".join(points(end) for end in row["difference_interval"] or []) or "–",
            "p": p_value(row["p"]),
            "p_corrected": p_value(row["p_corrected"]),
            "verdict": row["verdict"],
            "kind": row["verdict"] if row["verdict"] in TOLD else "",
            "zero": place(0.0),
            "at": place(row["difference"]),
            "ends": [place(end) for end in row["difference_interval"] or []],
        }
        for name, metric, row in rows
    ]


def render(
    found: Mapping[str, Any],
    abouts: Mapping[str, str],
    settings: Mapping[str, Sequence[Any]],
    seeds: Sequence[Mapping[str, Any]],
    metrics: Mapping[str, Any],
) -> str:
    """The page.

    Args:
        found: by `evaluation.results.comparison.compare`.
        abouts: result -> what it is, in a few words.
        settings: setting in which results differ -> its value in each, in their order.
        seeds: groups that differ in seeds only: `results` (names) and `metrics` (of `over_seeds`).
        metrics: metrics.json of the reference.
    """
    cmc, others = found["cmc"], found["results"][1:]
    return template("compare.html").render(
        found=found,
        lead=sentences(found),
        abouts=abouts,
        settings={k: ["none" if value is None else str(value) for value in values] for k, values in settings.items()},
        seeds=seeds,
        differences=difference_rows(found),
        several=len(others) > 1,
        curve=cmc_curve(cmc["ranks"], cmc["curves"], cmc["chance"], "CMC curves"),
        cameras=[(r["name"], camera_matrix(r["camera_pairs"])) for r in others if r.get("camera_pairs")],
        lengths=[(r["name"], [_length(row) for row in r["lengths"]]) for r in others if r.get("lengths")],
        protocol=protocol(metrics),
        interval=interval,
        level=level(found["level"]).replace(" ", "\u00a0"),
        risk=f"{RISK:g}",
        points=points,
    )


def camera_matrix(pairs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Differences of mAP by camera of the query and of the gallery: cameras, and a row of cells for each.

    A cell's strength is its difference as a part of the largest one, 0 to 1.
    """
    largest = max((abs(_gain(pair["mAP"])) for pair in pairs), default=0) or 1

    def cell(pair: Mapping[str, Any]) -> dict[str, Any]:
        gain = _gain(pair["mAP"])
        kind, strength = "right" if gain > 0 else "wrong", round(abs(gain) / largest, 2)
        return {"text": points(gain), "queries": pair["queries"], "kind": kind, "strength": strength}

    return camera_grid(pairs, cell)


def _gain(shares: Mapping[str, float]) -> float:
    return shares["after"] - shares["before"]


def _length(row: Mapping[str, Any]) -> dict[str, Any]:
    def shown(shares: Mapping[str, float]) -> dict[str, str]:
        return {word: percent(share) for word, share in shares.items()} | {"change": points(_gain(shares))}

    return {"frames": frames_told(row), "queries": row["queries"]} | {k: shown(row[k]) for k in ("mAP", "rank_1")}
