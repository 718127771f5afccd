"""What a check of a data set found, as rows and sentences for a terminal, a page, the Prefect UI.

Of `storage.datasets.check.counts.DataCheck.as_json`, which is also what an index says of itself (summary.json).
"""

from collections.abc import Mapping
from typing import Any

from evaluation.page.numbers import frames_told
from storage.datasets.check.findings import Item
from storage.wording import many

COLUMNS = ("identities", "tracklets", "frames", "cameras", "distractors")


def section(check: Mapping[str, Any]) -> dict[str, Any]:
    """All of it, for a page."""
    counts = [row | {"cells": list(zip(COLUMNS, row["values"], strict=True))} for row in count_rows(check)]
    return {
        "layout": check["layout"],
        "split": f"split {check['split']} of {check['split_count']}, from 0" if check.get("split_count", 1) > 1 else "",
        "verdict": verdict(check),
        "published": published(check),
        "columns": COLUMNS,
        "counts": counts,
        "sizes": sizes(check),
        "findings": finding_rows(check),
        "lengths": length_rows(check),
        "extent": extent(check),
    }


def verdict(check: Mapping[str, Any]) -> str:
    """One sentence: how many problems and notes there are."""
    problems = sum(finding["problem"] for finding in check["findings"])
    notes = len(check["findings"]) - problems
    told = many(problems, "problem") if problems else "No problem found"
    return f"{told}, {many(notes, 'note')}" if notes or problems else told


def published(check: Mapping[str, Any]) -> str:
    """One sentence on the published figures; empty where none are known."""
    compared = check["published"]
    if not compared:
        return ""
    total, name = len(compared["figures"]), compared["name"]
    if not compared["claimed"]:
        return f"Not the published {name}, so its figures are no measure here."
    how_many = f"All {total}" if compared["same"] == total else f"{compared['same']} of {total}"
    return f"{how_many} published figures of {name} are as counted ({compared['source']})."


def count_rows(check: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Counts of each split by `COLUMNS`; below each, published figures of the data set that this one is meant to be.

    Returns:
        Rows of `name`, `values` (texts), `kind` (faint for published figures), `wrong` (columns that differ).
    """
    compared = check["published"] or {}
    figures: dict[str, dict[str, tuple[int, int]]] = {}
    for figure in compared.get("figures", ()) if compared.get("claimed") else ():
        figures.setdefault(figure["split"], {})[figure["column"]] = (figure["published"], figure["counted"])
    rows = []
    for split in [*check["splits"], *(split for split in figures if split not in check["splits"])]:
        beside = figures.get(split, {})
        counts = check["splits"].get(split) or {column: counted for column, (_, counted) in beside.items()}
        wrong = [column for column, (said, counted) in beside.items() if said != counted]
        rows.append({"name": split, "values": [_number(counts.get(c)) for c in COLUMNS], "kind": "", "wrong": wrong})
        if beside:
            values = [_number(beside[c][0]) if c in beside else "" for c in COLUMNS]
            rows.append({"name": "published", "values": values, "kind": "faint", "wrong": wrong})
    return rows


def length_rows(check: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Tracklets by length: `frames` such as `8 to 15`, `tracklets`, and `share` of the most frequent length, 0 to 1."""
    most = max((step["tracklets"] for step in check["lengths"]), default=0) or 1
    return [
        {"frames": frames_told(step), "tracklets": f"{step['tracklets']:,}", "share": step["tracklets"] / most}
        for step in check["lengths"]
    ]


def extent(check: Mapping[str, Any]) -> str:
    """The shortest and the longest tracklet in a phrase; empty where there is none."""
    counts = check["splits"].values()
    shortest, longest = [c["shortest"] for c in counts if c["tracklets"]], [c["longest"] for c in counts]
    return f"shortest {min(shortest):,}, longest {max(longest):,}" if shortest else ""


def finding_rows(check: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Findings, problems first: `says`, `problem`, `items` as texts, and how many `more` there are than these."""
    return [
        {key: finding[key] for key in ("kind", "says", "problem")}
        | {"items": [str(Item(**item)) for item in finding["items"]], "more": finding["count"] - len(finding["items"])}
        for finding in check["findings"]
    ]


def sizes(check: Mapping[str, Any]) -> str:
    """The sizes of frames in a line; empty where none was read."""
    return ", ".join(f"{name} {width} x {height}" for name, (width, height) in check["sizes"].items())


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
