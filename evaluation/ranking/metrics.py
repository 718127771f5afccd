"""CMC, mAP and mINP from the ranks of right answers, and what a random ranking would get: exact, not simulated.

A query without a right answer that counts is not counted, in the metrics or in chance.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Scores:
    """Metrics over the counted queries, 0 to 1; CMC: share of them with a match at rank 1, 2, ... or before, (K,)."""

    mean_average_precision: float
    mean_inverse_negative_penalty: float
    cmc: NDArray[np.float64]


@dataclass(frozen=True)
class PerQuery:
    """Scores of each of Q queries."""

    matches: NDArray[np.int64]  # right answers, (Q,); a query with none is not counted, and its other values are 0
    # mean over the right answers of the share of right answers down to each, (Q,)
    average_precision: NDArray[np.float64]
    # right answers to the rank of the last of them, (Q,). Source: Ye et al., "Deep Learning for Person
    # Re-identification: A Survey and Outlook", 2021, where its mean is called mINP.
    inverse_negative_penalty: NDArray[np.float64]
    first_match: NDArray[np.int64]  # rank of the first one, from 1, (Q,)

    def mean(self, up_to: int) -> Scores:
        """Over the counted queries, CMC at ranks 1 to `up_to`.

        Raises:
            ValueError: no query has a match.
        """
        counted = _counted(self.matches)
        cmc = (self.first_match[counted, None] <= np.arange(1, up_to + 1)).mean(0)
        precision, penalty = self.average_precision[counted].mean(), self.inverse_negative_penalty[counted].mean()
        return Scores(float(precision), float(penalty), cmc)


def per_query(ranks: NDArray[np.int64], starts: NDArray[np.int64]) -> PerQuery:
    """Scores of each query, from the ranks of its right answers as `Ranking` has them: ranks (M,), starts (Q + 1,)."""
    matches = np.diff(starts)
    counted = matches > 0
    first, last = starts[:-1][counted], starts[1:][counted] - 1
    nth = np.arange(len(ranks)) - np.repeat(starts[:-1], matches) + 1
    precision, penalty, first_match = np.zeros(len(matches)), np.zeros(len(matches)), np.zeros(len(matches), np.int64)
    if counted.any():
        # reduceat sums from each start to the next; queries without matches have none of their own
        precision[counted] = np.add.reduceat(nth / ranks, first) / matches[counted]
        penalty[counted] = matches[counted] / ranks[last]
        first_match[counted] = ranks[first]
    return PerQuery(matches, precision, penalty, first_match)


def chance(matches: NDArray[np.int64], candidates: NDArray[np.int64], up_to: int) -> Scores:
    """The expected scores of a random ranking, CMC at ranks 1 to `up_to`, over the queries that have a match.

    With R matches among N candidates, rank-k is 1 - C(N - R, k) / C(N, k), and the expected average precision is
    (H_N + (R - 1) / (N - 1) (N - H_N)) / N with H_N the N-th harmonic number: a place k holds a match with probability
    R / N, and given that, each of the k - 1 places before it does with (R - 1) / (N - 1). The last match is at place l
    with probability C(l - 1, R - 1) / C(N, R), which gives the expected inverse negative penalty.

    Args:
        matches: R of each query, (Q,).
        candidates: N of each query, (Q,).
        up_to: K.

    Raises:
        ValueError: as `PerQuery.mean`.
    """
    counted = _counted(matches)
    # many queries are alike
    kinds, times = np.unique(np.stack([matches[counted], candidates[counted]]), axis=1, return_counts=True)
    r, n = kinds.astype(np.float64)
    place = np.arange(up_to)
    misses = np.clip(n[:, None] - r[:, None] - place, 0, None) / np.clip(n[:, None] - place, 1, None)
    harmonic = np.cumsum(1 / np.arange(1, int(n.max()) + 1))[n.astype(np.int64) - 1]
    pairs = (r - 1) / np.maximum(n - 1, 1)
    precision = (harmonic + pairs * (n - harmonic)) / n
    penalty = np.array([_expected_inverse_negative_penalty(*kind) for kind in kinds.T.tolist()])
    cmc = 1 - np.cumprod(misses, axis=1)
    precision, penalty, curve = (np.average(values, axis=0, weights=times) for values in (precision, penalty, cmc))
    return Scores(float(precision), float(penalty), curve)


def _counted(matches: NDArray[np.int64]) -> NDArray[np.bool_]:
    if not matches.any():
        raise ValueError("no query has a match: nothing can be measured")
    return matches > 0


def _expected_inverse_negative_penalty(matches: int, candidates: int) -> float:
    last = np.arange(candidates, matches - 1, -1, dtype=np.float64)
    # from one place to the place before it the probability falls by (l - R) / (l - 1)
    falls = (last[:-1] - matches) / np.maximum(last[:-1] - 1, 1)
    probability = matches / candidates * np.concatenate([[1.0], np.cumprod(falls)])
    return float(np.sum(probability * matches / last))
