"""Results side by side: metrics with intervals, differences from one of them with p-values, and what changed where.

Only queries that all of them counted are compared, for a difference of means over other queries says nothing of the
models. Results measured by other rules are refused. How frames were sampled, distances taken and rankings refined is
part of what is compared, not of the rules, and is only named.
"""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.ranking.intervals import FLIPS, LEVEL, RESAMPLES, bootstrap, holm, paired
from evaluation.results.files import PENALTY, Columns, Result
from storage.errors import DataError
from storage.wording import be

RULES = ("name", "gallery", "ties")
WAYS = ("sampling", "distance", "reranking", "expansion")
"""Parts of a protocol: rules of the measurement, and ways in which a model answers."""

RISK = 1 - LEVEL
SMALLEST = 20  # identities; percentile intervals of fewer are noticeably too narrow
CHANGED = 10  # queries shown of each kind
PARTS = {"camera_pairs": ("query_camid", "gallery_camid"), "lengths": ("from", "to")}
EQUAL = 1e-9


def compare(results: Sequence[Result], *, force: bool = False) -> dict[str, Any]:
    """All that can be said of several results, as plain values.

    Args:
        results: the first one is the reference; names differ.
        force: compare what was measured by other rules all the same.

    Returns:
        `queries`: how many are compared, of how many identities, and how many of each result are left out; `notices`:
        what a reader must know before any number; `results`: of each, its metrics with value and interval, and of all
        but the first, the difference from the first, its interval, its p-value (Holm-corrected too, over the results,
        each metric on its own), a verdict, and queries, camera pairs and lengths that changed; `cmc`: curves.

    Raises:
        DataError: nothing to compare, no common queries, or other rules.
    """
    if len(results) < 2:
        raise DataError("one result alone cannot be compared", fix="name another one")
    every = [result.counted() for result in results]
    common = sorted(set.intersection(*(set(rows) for rows in every)))
    if not common:
        raise DataError(
            "the results have no query in common, counted by all of them",
            where=", ".join(result.name for result in results),
            fix="compare results on one data set",
        )
    left_out = {r.name: len(found) - len(common) for r, found in zip(results, every, strict=True)}
    results = [r.at([found[query] for query in common]) for r, found in zip(results, every, strict=True)]
    rules = _other_rules(results)
    if rules and not force:
        raise DataError(
            "the results were measured by other rules, so their difference is not that of the models: "
            + "; ".join(rules),
            fix="evaluate them alike, or compare all the same with --force",
        )
    pids = np.array([pid for _, pid, _ in common])
    people = len(np.unique(pids))
    ranks = sorted({int(rank) for result in results for rank in result.metrics["cmc"]})
    penalty = all(PENALTY in result.queries for result in results)
    names = ["mAP", *(["mINP"] if penalty else []), *(f"Rank-{rank}" for rank in ranks)]
    values = [result.values(ranks, penalty=penalty) for result in results]
    curve = np.arange(1, min(len(result.chance) for result in results) + 1)
    described = [{"name": r.name, "metrics": _metrics(names, pids, v)} for r, v in zip(results, values, strict=True)]
    for result, about in zip(results[1:], described[1:], strict=True):
        about["changed"] = _changes(results[0].queries, result.queries)
        if not any(left_out.values()):  # what metrics.json says of a part is over all queries of a result
            about |= _parts(results[0].metrics, result.metrics)
    _add_differences(described, names, pids, values)
    return {
        "reference": results[0].name,
        "level": LEVEL,
        "resamples": RESAMPLES,
        "flips": FLIPS,
        "queries": {"compared": len(common), "identities": people, "left_out": left_out},
        "notices": [
            *rules,
            *(f"They answer in other ways, which is part of the difference: {way}" for way in _other(results, WAYS)),
            *_left_out(results, left_out, len(common)),
            *_few(people, results),
        ],
        "metrics": names,
        "results": described,
        "cmc": {
            "ranks": curve.tolist(),
            "curves": {r.name: (r.queries["first_match"][:, None] <= curve).mean(0).tolist() for r in results},
            "chance": results[0].chance[: len(curve)].tolist(),
        },
    }


def over_seeds(results: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Mean and deviation (of a sample, divided by N - 1) of the metrics of two or more results of `compare`.

    Returns:
        Metric -> `mean`, `deviation`.
    """
    names = results[0]["metrics"]
    values = {metric: [result["metrics"][metric]["value"] for result in results] for metric in names}
    return {m: {"mean": float(np.mean(v)), "deviation": float(np.std(v, ddof=1))} for m, v in values.items()}


def _metrics(names: Sequence[str], pids: NDArray[Any], values: NDArray[np.float64]) -> dict[str, Any]:
    intervals = bootstrap(pids, values)
    return {
        name: {
            "value": float(values[:, column].mean()),
            "interval": None if intervals is None else intervals[column].tolist(),
        }
        for column, name in enumerate(names)
    }


def _add_differences(
    described: Sequence[dict[str, Any]], names: Sequence[str], pids: NDArray[Any], values: Sequence[NDArray[np.float64]]
) -> None:
    tests = [paired(pids, values[0], after) for after in values[1:]]
    for column, name in enumerate(names):
        single = [None if test.p is None else float(test.p[column]) for test in tests]
        known = [p for p in single if p is not None]
        corrected: Sequence[float | None] = holm(known) if known else single
        for number, (test, p, risk) in enumerate(zip(tests, single, corrected, strict=True), start=1):
            difference = float(test.difference[column])
            same = bool((np.abs(values[number][:, column] - values[0][:, column]) < EQUAL).all())
            described[number]["metrics"][name] |= {
                "difference": difference,
                "difference_interval": None if test.interval is None else test.interval[column].tolist(),
                "p": p,
                "p_corrected": risk,
                "verdict": _verdict(difference, risk, same=same),
            }


def _verdict(difference: float, p: float | None, *, same: bool) -> str:
    if same:
        return "the same"
    if p is None:
        return "not tested"
    if p > RISK:
        return "not told apart"
    return "better" if difference > 0 else "worse"


def _changes(old: Columns, new: Columns) -> dict[str, Any]:
    """How many queries gained and lost average precision, and which the most."""
    change = new["average_precision"] - old["average_precision"]
    found: dict[str, Any] = {"equal": int((np.abs(change) <= EQUAL).sum())}
    for word, gains in (("gained", change), ("lost", -change)):
        order = np.argsort(-gains, kind="stable")  # queries come sorted by id
        order = order[gains[order] > EQUAL]
        first = [
            {
                "query_id": str(new["query_id"][row]),
                "pid": int(new["pid"][row]),
                "camid": int(new["camid"][row]),
                "before": float(old["average_precision"][row]),
                "after": float(new["average_precision"][row]),
                "first_match_before": int(old["first_match"][row]),
                "first_match_after": int(new["first_match"][row]),
            }
            for row in order[:CHANGED]
        ]
        found[word] = {"count": len(order), "first": first}
    return found


def _parts(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Differences by pair of cameras and by length, of the parts that both have with as many queries."""
    found = {}
    for part, keys in PARTS.items():
        of = itemgetter(*keys)
        known = {of(row): row for row in before.get(part) or ()}
        pairs = [(known.get(of(row)), row) for row in after.get(part) or ()]
        found[part] = [
            {key: now[key] for key in (*keys, "queries")}
            | {metric: {"before": old[metric], "after": now[metric]} for metric in ("mAP", "rank_1")}
            for old, now in pairs
            if old and old["queries"] == now["queries"]
        ]
    return found


def _other(results: Sequence[Result], parts: Sequence[str]) -> list[str]:
    """In which parts of their protocols results differ, one sentence a part."""
    told = []
    for part in parts:
        values: dict[str, list[str]] = {}
        for result in results:
            values.setdefault(_said(result.metrics["protocol"].get(part)), []).append(result.name)
        if len(values) > 1:
            label = "protocol" if part == "name" else part.replace("_", " ")
            told.append(f"{label}: " + ", ".join(f"{value} ({', '.join(names)})" for value, names in values.items()))
    return told


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name} {part}" for name, part in value.items())
    return "none" if value is None else str(value)


def _other_rules(results: Sequence[Result]) -> list[str]:
    """In which rules the results differ; by the same ones, the same queries must have met the same gallery."""
    told = _other(results, RULES)
    if told:
        return told
    for result in results[1:]:
        met = [results[0].queries[name] != result.queries[name] for name in ("matches", "candidates")]
        other = int(np.any(met, axis=0).sum())
        if other:
            told.append(
                f"gallery: {other:,} of {len(met[0]):,} common queries met other numbers of right answers or of "
                f"candidates in {result.name} than in {results[0].name}"
            )
    return told


def _left_out(results: Sequence[Result], left_out: Mapping[str, int], common: int) -> list[str]:
    return [
        f"{left_out[r.name]:,} of {r.name}'s {left_out[r.name] + common:,} counted queries {be(left_out[r.name])} left "
        f"out, as not all the others counted them; over all of its own, its mAP is {100 * r.metrics['mAP']:.1f}"
        for r in results
        if left_out[r.name]
    ]


def _few(people: int, results: Sequence[Result]) -> list[str]:
    if people == 1:
        return ["All queries show one identity, which says nothing of others: no intervals, and nothing is tested"]
    # of so few exchanges of whole persons, not even the most extreme one is rare
    if 2 * (len(results) - 1) > RISK * 2**people:
        return [f"Queries show {people} identities only: no difference can be told from chance"]
    if people < SMALLEST:
        return [f"Queries show {people} identities only: such intervals are somewhat too narrow"]
    return []
