"""CMC and mAP from the ranks of right answers, and what a random ranking would get: exact, not simulated.

A query without a right answer in another camera is not counted, in the metrics or in chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Scores:
    """Metrics over the counted queries.

    Attributes:
        mean_average_precision: 0 to 1.
        cmc: share of queries with a match at rank 1, 2, ... or before, (K,) float64.
    """

    mean_average_precision: float
    cmc: NDArray[np.float64]


def average_precision(match_ranks: NDArray[np.int64]) -> float:
    """Mean over a query's matches of the share of right answers down to that match; 0 without matches.

    Args:
        match_ranks: ranks of all matches, from 1, ascending, (R,).
    """
    if not len(match_ranks):
        return 0.0
    return float(np.mean(np.arange(1, len(match_ranks) + 1) / match_ranks))


def scores(match_ranks: Sequence[NDArray[np.int64]], up_to: int) -> Scores:
    """MAP, and CMC at ranks 1 to `up_to`, of the queries that have a match.

    Args:
        match_ranks: of each query, the ranks of its matches, from 1, ascending; empty if it has none.
        up_to: last rank of the CMC curve.

    Raises:
        ValueError: no query has a match.
    """
    counted = [ranks for ranks in match_ranks if len(ranks)]
    if not counted:
        raise ValueError("no query has a match: nothing can be measured")
    first = np.array([ranks[0] for ranks in counted])
    cmc = (first[:, None] <= np.arange(1, up_to + 1)).mean(0)
    return Scores(float(np.mean([average_precision(ranks) for ranks in counted])), cmc)


def chance(matches: NDArray[np.int64], candidates: NDArray[np.int64], up_to: int) -> Scores:
    """The expected scores of a random ranking, over the queries that have a match.

    With R matches among N candidates, rank-k is 1 - C(N - R, k) / C(N, k), and the expected average precision is
    (H_N + (R - 1) / (N - 1) (N - H_N)) / N with H_N the N-th harmonic number: a place k holds a match with probability
    R / N, and given that, each of the k - 1 places before it does with (R - 1) / (N - 1).

    Args:
        matches: R of each query, (Q,).
        candidates: N of each query, (Q,).
        up_to: last rank of the CMC curve.

    Raises:
        ValueError: no query has a match.
    """
    counted = matches > 0
    if not counted.any():
        raise ValueError("no query has a match: nothing can be measured")
    r = matches[counted].astype(np.float64)
    n = candidates[counted].astype(np.float64)
    place = np.arange(up_to)
    misses = np.clip(n[:, None] - r[:, None] - place, 0, None) / np.clip(n[:, None] - place, 1, None)
    cmc = 1 - np.cumprod(misses, axis=1).mean(0)
    harmonic = np.cumsum(1 / np.arange(1, int(n.max()) + 1))[n.astype(np.int64) - 1]
    pairs = (r - 1) / np.maximum(n - 1, 1)
    return Scores(float(np.mean((harmonic + pairs * (n - harmonic)) / n)), cmc)
