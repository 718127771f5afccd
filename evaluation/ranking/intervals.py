"""How sure a mean over queries is: bootstrap intervals and paired tests, over identities and not over queries.

Queries of one person are not independent: whoever is hard to recognise by one camera is hard by the others. So persons
are drawn, and each brings all of its queries; a bootstrap over queries would give intervals that are too narrow. The
gallery stays as it is, and so does the model: neither other distractors nor another training is accounted for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES, FLIPS = 1000, 9999
LEVEL = 0.95
GRID = 2.0**30
"""Values are rounded to multiples of 1 / GRID. Sums of up to 2**23 of them are exact then: they depend on no order, of
queries or inside a matrix product, and equal sums of the sign-flip test count as equal."""

AT_ONCE = 2_000_000  # draws in memory


@dataclass(frozen=True)
class Paired:
    """What changed from one result to another of the same queries, for each of M metrics.

    `difference` of the means over queries, after minus before, (M,), its `interval` (M, 2), and its two-sided `p` value
    (M,); these are None of a single identity.
    """

    difference: NDArray[np.float64]
    interval: NDArray[np.float64] | None
    p: NDArray[np.float64] | None


def bootstrap(
    pids: ArrayLike, values: ArrayLike, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL
) -> NDArray[np.float64] | None:
    """Percentile interval of the mean over queries, identities drawn with replacement.

    Args:
        pids: identity of each query, (Q,) int.
        values: of the counted queries, each about 0 to 1, such as average precisions or hits within a rank, (Q, M).
        resamples: draws of as many identities as there are.
        seed: of the draws; the same queries in any order give the same bytes.
        level: share of the resampled means that the interval holds, the same share cut off at either end.

    Returns:
        (M, 2): lower and upper end; None if all queries show one identity, which says nothing of others.

    Raises:
        ValueError: no queries, other numbers of them, or values that are not finite.
    """
    sums, sizes = _by_identity(pids, values)
    if len(sizes) < 2:
        return None
    rng = np.random.default_rng(seed)
    means = np.concatenate([(draws @ sums) / (draws @ sizes)[:, None] for draws in _draws(rng, resamples, len(sizes))])
    outside = (1 - level) / 2
    ends: NDArray[np.float64] = np.quantile(means, [outside, 1 - outside], axis=0)
    return ends.T / GRID


def bootstrap_over_seeds(
    pids: ArrayLike, values: ArrayLike, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL
) -> NDArray[np.float64] | None:
    """As `bootstrap`, of the mean over several trainings, of which as many are drawn with replacement, too.

    Identities and trainings are drawn independently of each other, so that the interval holds for other people and
    other seeds. It is rather too wide than too narrow. Source: Owen, "The pigeonhole bootstrap", Annals of Applied
    Statistics 2007. `values` are those of the same queries in each of S trainings, (S, Q, M).
    """
    each = [_by_identity(pids, one) for one in np.asarray(values)]
    sums, sizes = np.stack([one for one, _ in each]), each[0][1]
    if len(sizes) < 2:
        return None
    rng = np.random.default_rng(seed)
    means = []
    for people in _draws(rng, resamples, len(sizes)):
        trainings = np.concatenate(list(_draws(rng, len(people), len(sums))))
        drawn = np.einsum("rs,rk,skm->rm", trainings, people, sums, optimize=True)
        means.append(drawn / (len(sums) * people @ sizes)[:, None])
    outside = (1 - level) / 2
    ends: NDArray[np.float64] = np.quantile(np.concatenate(means), [outside, 1 - outside], axis=0)
    return ends.T / GRID


def paired(
    pids: ArrayLike,
    before: ArrayLike,
    after: ArrayLike,
    resamples: int = RESAMPLES,
    flips: int = FLIPS,
    seed: int = 0,
    level: float = LEVEL,
) -> Paired:
    """The difference of two results, (Q, M) each, of the same queries, its bootstrap interval and its p-value.

    The interval is that of `bootstrap` of each query's difference. The p-value is of a sign-flip permutation test: if
    it made no difference which of the two ranked a person's queries, before and after could be exchanged for all
    queries of a person together; p is the share of such exchanges, `flips` of them drawn at random, in which the
    difference is at least as far from 0 as it really is. What is seen counts as one of them, so that p is never 0. Of K
    identities it can hardly be below 2 / 2**K. Other arguments and errors are those of `bootstrap`.
    """
    difference = (_on_grid(after) - _on_grid(before)) / GRID
    interval = bootstrap(pids, difference, resamples, seed, level)
    sums, sizes = _by_identity(pids, difference)
    seen = sums.sum(0)
    p = None
    if len(sizes) > 1:
        rng = np.random.default_rng(seed)
        as_far = np.zeros(len(seen))
        for rows in _rows(flips, len(sizes)):
            signs = 1.0 - 2.0 * rng.integers(2, size=(rows, len(sizes)))
            as_far += (np.abs(signs @ sums) >= np.abs(seen)).sum(0)
        p = (1 + as_far) / (1 + flips)
    return Paired(seen / sizes.sum() / GRID, interval, p)


def holm(p: Sequence[float]) -> list[float]:
    """P-values of several comparisons, each raised so that the risk of any false one stays as with a single one.

    Holm's step-down: the smallest times N, the next times N - 1, ..., never below one that was smaller, at most 1.
    """
    corrected = [0.0] * len(p)
    reached = 0.0
    for place, number in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        reached = max(reached, min(1.0, (len(p) - place) * p[number]))
        corrected[number] = reached
    return corrected


def _on_grid(values: ArrayLike) -> NDArray[np.float64]:
    return np.round(np.asarray(values, np.float64) * GRID)


def _by_identity(pids: ArrayLike, values: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums of each identity's values, (K, M), whole multiples of 1 / GRID, and how many there are, (K,)."""
    scaled = _on_grid(values)
    people, which = np.unique(np.asarray(pids), return_inverse=True)
    if scaled.ndim != 2 or len(scaled) != len(which) or not len(which):
        raise ValueError(f"pids of (Q,) and values of (Q, M) with Q > 0, not {which.shape} and {scaled.shape}")
    if not np.isfinite(scaled).all():
        raise ValueError("values that are not finite have no mean")
    sums = np.zeros((len(people), scaled.shape[1]))
    np.add.at(sums, which, scaled)
    return sums, np.bincount(which).astype(np.float64)


def _draws(rng: np.random.Generator, resamples: int, people: int) -> Iterator[NDArray[np.float64]]:
    """How often each of K identities is drawn, (some resamples, K), until there are as many as asked for."""
    for rows in _rows(resamples, people):
        drawn = rng.integers(people, size=(rows, people)) + people * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * people).reshape(rows, people).astype(np.float64)


def _rows(total: int, people: int) -> Iterator[int]:
    at_once = max(1, AT_ONCE // people)
    for start in range(0, total, at_once):
        yield min(at_once, total - start)
