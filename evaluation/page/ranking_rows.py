"""What ranking metrics say, as the headline, the table and the sentences of a report. metrics.json in, texts out."""

from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.page.numbers import by_name, ends, level, percent, points
from storage.wording import have, many

Metrics = Mapping[str, Any]
"""A metrics.json, as `evaluation.evaluate` writes it."""

GALLERY_KINDS = {
    "with_queries": "query tracklets kept in the gallery",
    "without_queries": "query tracklets not in the gallery",
}
PROTOCOLS = {"standard": "standard", "clothes_changing": "clothes-changing"}
SAMPLINGS = {
    "dense": "dense: every frame of a tracklet counts",
    "rrs": "rrs: one frame of each of eight segments of a tracklet",
}


def model_name(title: str, metrics: Metrics) -> str:
    """What was ranked, and what was done to its ranking: `After finetuning, expanded and re-ranked`."""
    named = metrics["protocol"]
    done = [
        word for word, settings in (("expanded", named["expansion"]), ("re-ranked", named["reranking"])) if settings
    ]
    return f"{title}, {' and '.join(done)}" if done else title


def interval(metrics: Metrics, name: str) -> list[float] | None:
    """The interval of a metric by its name (`mAP`, `Rank-1`), shares 0 to 1; None where there is none."""
    limits: Mapping[str, Any] = by_name(metrics["intervals"]) if metrics["intervals"] else {}
    return limits.get(name)


def interval_text(metrics: Metrics, name: str) -> str:
    """`80.1 to 92.3`; empty where there is no interval."""
    found = interval(metrics, name)
    return ends(found) if found else ""


def intervals_told(metrics: Metrics) -> str:
    """What the intervals are, in a phrase: `95 % intervals: bootstrap over 30 identities, 1,000 times`."""
    found = metrics["intervals"]
    if not found:
        return "no intervals: one identity alone has queries with a match"
    people = f"bootstrap over {found['identities']:,} identities"
    return f"{level(found['level'])} intervals: {people}, {found['resamples']:,} times"


def score_table(results: Mapping[str, Metrics]) -> dict[str, Any]:
    """MAP, mINP and CMC of each model, name -> metrics.json, with their intervals, chance last: rows of percent.

    Returns:
        `columns`, and `rows` of `name`, `kind` and `cells` of (value, interval or nothing).
    """
    last = list(results.values())[-1]
    columns = list(by_name(last))
    alike = all(m["chance"] == last["chance"] for m in results.values())
    chances = {"Chance": last} if alike else {f"Chance, {name.lower()}": m for name, m in results.items()}

    def row(name: str, kind: str, values: Metrics, limits: Metrics | None) -> dict[str, Any]:
        texts = [interval_text(limits, column) if limits else "" for column in columns]
        cells = [(percent(by_name(values).get(column)), text) for column, text in zip(columns, texts, strict=True)]
        return {"name": name, "kind": kind, "cells": cells}

    rows = [row(name, "strong" if m is last else "", m, m) for name, m in results.items()]
    rows += [row(name, "faint", m["chance"], None) for name, m in chances.items()]
    return {"columns": columns, "rows": rows}


def headline(results: Mapping[str, Metrics]) -> list[dict[str, Any]]:
    """MAP and the first rank of the last model, each beside the first model's and chance's."""
    (first_name, first), *_, (last_name, last) = [*results.items(), *results.items()]
    found = []
    for name in ("mAP", f"Rank-{next(iter(last['cmc']))}"):
        value, before, random = by_name(last)[name], by_name(first)[name], by_name(last["chance"])[name]
        own, other = interval(last, name), interval(first, name)
        compared = len(results) > 1
        found.append(
            {
                "name": name,
                "model": last_name,
                "value": percent(value),
                "interval": interval_text(last, name),
                "level": level(last["intervals"]["level"]) if last["intervals"] else "",
                "bars": [
                    _bar(last_name, value, own, "--series-1"),
                    *([_bar(first_name, before, other, "--series-2")] if compared else []),
                    _bar("Chance", random, None, "--quiet"),
                ],
                "before": percent(before) if compared else None,
                "before_model": first_name,
                "change": points(value - before) if compared else None,
                "better": value > before,
                "overlap": bool(own and other and own[0] <= other[1] and other[0] <= own[1]),
                "chance": percent(random),
            }
        )
    return found


def _bar(name: str, value: float, limits: Sequence[float] | None, colour: str) -> dict[str, str]:
    left, width = (percent(limits[0], 2), percent(limits[1] - limits[0], 2)) if limits else ("", "")
    bar = {"name": name, "value": percent(value), "share": percent(value, 2), "colour": colour}
    return {**bar, "left": left, "width": width}


def verdict(tiles: Sequence[Mapping[str, Any]]) -> str:
    """One plain sentence: whether the last model is better than the first; and a second one, if it may be chance."""
    compared = [t for t in tiles if t["change"] is not None]
    if not compared:
        return "Only one model was evaluated, so there is nothing to compare it with."
    changes = ", ".join(f"{t['name']} {t['change']}" for t in compared) + " points"
    before, _, done_before = compared[0]["before_model"].lower().partition(", ")
    after, _, done = compared[0]["model"].lower().partition(", ")
    before += f" ({done_before})" if done_before != done else ""
    after += f" ({done})" if done else ""
    better = [t["better"] for t in compared]
    how = "better" if all(better) else "better in one measure and not in the other" if any(better) else "not better"
    said = f"The ranking {after} is {how} than with the {before}: {changes}."
    if all(t["overlap"] for t in compared):
        said += " Their intervals overlap: it may be chance, which csip compare tests."
    return said


def against_chance(tiles: Sequence[Mapping[str, Any]]) -> str:
    """One plain sentence: what a single model reaches, and what chance would."""
    reached = " and ".join(f"{t['name']} {t['value']} %" for t in tiles)
    chance = " and ".join(f"{t['chance']} %" for t in tiles)
    return f"People are told apart by their skeletons alone with {reached}; chance would give {chance}."


def protocol(metrics: Metrics) -> list[tuple[str, str]]:
    """Under which rules the numbers were got: (name, text) pairs."""
    named = metrics["protocol"]
    without, sampling = metrics["queries_without_match"], named["sampling"]
    unmatched = f"; {without:,} {have(without)} no match that counts" if without else ""
    return [
        ("Queries", f"{metrics['counted_queries']:,} counted of {metrics['queries']:,}{unmatched}"),
        (
            "Gallery",
            f"{many(metrics['gallery'], 'tracklet')}, {many(metrics['distractors'], 'distractor')} among them; "
            + GALLERY_KINDS.get(named["gallery"], named["gallery"]),
        ),
        ("Protocol", PROTOCOLS.get(named["name"], named["name"])),
        ("Left out", named["left_out"]),
        *([("Frames", SAMPLINGS.get(sampling, sampling))] if sampling else []),
        ("Distance", f"{named['distance']}; ties: {named['ties']}"),
        *([("Expansion", _settings_told(named["expansion"]))] if named.get("expansion") else []),
        *([("Re-ranking", _settings_told(named["reranking"]))] if named.get("reranking") else []),
        ("Chance", "expected value under a random ranking of the same gallery, exact"),
    ]


def _settings_told(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in settings.items())
