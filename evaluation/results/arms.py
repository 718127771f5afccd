"""Arms of an experiment beside each other: means over seeds, intervals for other people and seeds, paired tests.

Only queries that every arm counted with every seed are compared.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluation.ranking.intervals import LEVEL, Paired, bootstrap_over_seeds, holm, paired
from evaluation.results.comparison import RISK
from evaluation.results.files import PENALTY, Result
from storage.errors import DataError

MEASURES = ("mAP", "mINP")
RANK = re.compile(r"Rank-([1-9]\d*)")
Arms = Mapping[str, Mapping[int, Sequence[Result]]]
"""Arm -> seed -> its evaluation, or one of each split."""

Query = tuple[str, int, int]


def is_measure(name: str) -> bool:
    """Whether a name is that of a metric: mAP, mINP, Rank-1, Rank-5, ..."""
    return name in MEASURES or RANK.fullmatch(name) is not None


def compare_arms(arms: Arms, measures: Sequence[str], reference: str) -> dict[str, Any]:
    """All that can be said of an experiment's arms, as plain values.

    The p-value is of a sign-flip test over persons, of the mean over the seeds that both arms have; it is corrected
    (Holm) for the number of arms, each measure on its own. An arm is told apart from the reference if that is at most
    `RISK` and the interval, of other people and other seeds, leaves out 0.

    Args:
        arms: in the order in which they are shown; each has a seed at least.
        measures: names of metrics, the first of which leads.
        reference: the arm from which the others differ.

    Returns:
        `queries`, `identities`, `level`, `measures`, `reference`; `arms`: of each its name and by measure: the value of
        each seed, their mean and deviation (divided by N - 1; None of one seed), the interval, and, but for the
        reference, the difference from it.

    Raises:
        DataError: no query is counted by all.
    """
    found = {
        arm: {seed: _by_query(results, measures) for seed, results in seeds.items()} for arm, seeds in arms.items()
    }
    queries = sorted(set.intersection(*(set(values) for seeds in found.values() for values in seeds.values())))
    if not queries:
        raise DataError("the arms have no query in common", fix="let all of them be asked of one data set")
    pids = np.array([pid for _, pid, _ in queries])
    values = {
        arm: {seed: np.stack([of[query] for query in queries]) for seed, of in seeds.items()}
        for arm, seeds in found.items()
    }
    described = [{"name": arm, "measures": _described(pids, seeds, measures)} for arm, seeds in values.items()]
    _add_differences(described, pids, values, measures, reference)
    return {
        "queries": len(queries),
        "identities": len(np.unique(pids)),
        "level": LEVEL,
        "measures": list(measures),
        "reference": reference,
        "arms": described,
    }


def _by_query(results: Sequence[Result], measures: Sequence[str]) -> dict[Query, NDArray[np.float64]]:
    """The measures of each counted query, (M,)."""
    found: dict[Query, NDArray[np.float64]] = {}
    for result in results:
        counted = result.counted()
        columns = np.stack([_column(result, measure) for measure in measures], axis=1)
        found |= {query: columns[row] for query, row in counted.items()}
    return found


def _column(result: Result, measure: str) -> NDArray[np.float64]:
    rank = RANK.fullmatch(measure)
    if rank:
        first = result.queries["first_match"]
        return ((first > 0) & (first <= int(rank[1]))).astype(np.float64)
    return result.queries["average_precision" if measure == "mAP" else PENALTY].astype(np.float64)


def _described(
    pids: NDArray[Any], seeds: Mapping[int, NDArray[np.float64]], measures: Sequence[str]
) -> dict[str, dict[str, Any]]:
    every = np.stack(list(seeds.values()))
    interval = bootstrap_over_seeds(pids, every)
    means = every.mean(axis=1)  # (S, M)
    return {
        measure: {
            "seeds": {str(seed): float(means[row, column]) for row, seed in enumerate(seeds)},
            "mean": float(means[:, column].mean()),
            "deviation": float(means[:, column].std(ddof=1)) if len(means) > 1 else None,
            "interval": None if interval is None else interval[column].tolist(),
        }
        for column, measure in enumerate(measures)
    }


class _Test(NamedTuple):
    """One arm against the reference."""

    arm: dict[str, Any]  # as it is described
    seeds: tuple[int, ...]  # that both have
    by_seed: NDArray[np.float64]  # (S, M)
    people: Paired
    interval: NDArray[np.float64] | None


def _add_differences(
    described: Sequence[dict[str, Any]],
    pids: NDArray[Any],
    values: Mapping[str, Mapping[int, NDArray[np.float64]]],
    measures: Sequence[str],
    reference: str,
) -> None:
    base, tests = values[reference], list[_Test]()
    for arm in described:
        own = values[arm["name"]]
        common = tuple(seed for seed in own if seed in base)
        if arm["name"] != reference and common:
            before, after = (np.stack([of[seed] for seed in common]) for of in (base, own))
            people = paired(pids, before.mean(axis=0), after.mean(axis=0))
            interval = bootstrap_over_seeds(pids, after - before)
            tests.append(_Test(arm, common, (after - before).mean(axis=1), people, interval))
    for column, measure in enumerate(measures):
        single = [None if test.people.p is None else float(test.people.p[column]) for test in tests]
        corrected = iter(holm([p for p in single if p is not None]))
        for test, p in zip(tests, single, strict=True):
            limits = None if test.interval is None else test.interval[column].tolist()
            risk = None if p is None else next(corrected)
            test.arm["measures"][measure]["difference"] = {
                "value": float(test.people.difference[column]),
                "seeds": {str(seed): float(test.by_seed[row, column]) for row, seed in enumerate(test.seeds)},
                "interval": limits,
                "p": p,
                "p_corrected": risk,
                "verdict": _verdict(limits, risk),
            }


def _verdict(interval: Sequence[float] | None, p: float | None) -> str:
    if interval is None or p is None:
        return "not tested"
    if p > RISK or interval[0] <= 0 <= interval[1]:
        return "not told apart"
    return "better" if interval[0] > 0 else "worse"
