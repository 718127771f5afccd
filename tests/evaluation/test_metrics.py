"""The metrics against their definitions, written out slowly, on random cases; and chance against simulation."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.embeddings import Embeddings
from evaluation.metrics import average_precision, chance, scores
from evaluation.ranking import Protocol, rank_gallery, squared_distances

Item = tuple[int, int, int, tuple[int, int]]  # pid, camid, clothes, direction: few, so that ties and gaps are common
items = st.tuples(
    st.integers(0, 3),
    st.integers(1, 3),
    st.integers(1, 2),
    st.tuples(st.integers(-2, 2), st.integers(-2, 2)).filter(lambda v: any(v)),
)


def embeddings(rows: Sequence[Item], name: str) -> Embeddings:
    vectors = np.array([row[3] for row in rows], np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Embeddings(
        tuple(f"{name}{i}" for i in range(len(rows))),
        np.array([name] * len(rows)),
        np.array([row[0] for row in rows], np.int32),
        np.array([row[1] for row in rows], np.int32),
        np.array([row[2] for row in rows], np.int32),
        vectors.astype(np.float32),
    )


def slow_ranked(query: Item, gallery: Sequence[Item], distances: Sequence[float], protocol: Protocol) -> list[bool]:
    """Right or wrong of each gallery item that counts, nearest first, by sorting."""
    rows = []
    for (pid, camid, clothes, _), distance in zip(gallery, distances, strict=True):
        if pid == query[0] and camid == query[1]:
            continue
        if protocol == "clothes_changing" and pid == query[0] and clothes == query[2]:
            continue
        rows.append((distance, pid == query[0] and pid != 0))
    return [right for _, right in sorted(rows)]


def slow_average_precision(ranked: Sequence[bool]) -> float:
    precisions = [sum(ranked[: k + 1]) / (k + 1) for k in range(len(ranked)) if ranked[k]]
    return sum(precisions) / len(precisions)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(items, min_size=1, max_size=5),
    st.lists(items, min_size=1, max_size=25),
    st.sampled_from(("standard", "clothes_changing")),
)
def test_metrics_equal_their_definition_on_random_cases(
    queries: list[Item], gallery: list[Item], protocol: Protocol
) -> None:
    asked, ranked = embeddings(queries, "q"), embeddings(gallery, "g")
    distances = squared_distances(asked.vectors, ranked.vectors)
    slow = [slow_ranked(q, gallery, row.tolist(), protocol) for q, row in zip(queries, distances, strict=True)]
    counted = [s for s in slow if any(s)]
    answers = list(rank_gallery(asked, ranked, 4, protocol))
    assert [len(s) for s in slow] == [a.candidates for a in answers]
    assert [sum(s) for s in slow] == [len(a.match_ranks) for a in answers]
    if not counted:
        with pytest.raises(ValueError, match="no query has a match"):
            scores([a.match_ranks for a in answers], 10)
        return
    got = scores([a.match_ranks for a in answers], 10)
    assert got.mean_average_precision == pytest.approx(np.mean([slow_average_precision(s) for s in counted]))
    assert got.cmc == pytest.approx([np.mean([any(s[:k]) for s in counted]) for k in range(1, 11)])


def test_of_equally_near_answers_the_wrong_one_ranks_first() -> None:
    asked = embeddings([(1, 1, 0, (1, 0))], "q")
    ranked = embeddings([(1, 2, 0, (0, 1)), (2, 2, 0, (0, 1)), (0, 2, 0, (0, -1))], "g")
    (answer,) = rank_gallery(asked, ranked, top=3)
    assert answer.match_ranks.tolist() == [3]
    assert answer.nearest.tolist() == [1, 2, 0]


def test_average_precision_of_a_case_worked_by_hand() -> None:
    assert average_precision(np.array([1, 3, 6])) == pytest.approx((1 / 1 + 2 / 3 + 3 / 6) / 3)


def test_queries_without_a_match_are_not_counted() -> None:
    got = scores([np.array([1]), np.array([], np.int64)], 1)
    assert got.cmc.tolist() == [1.0]
    assert got.mean_average_precision == 1.0


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(0, 20), st.integers(0, 10_000))
def test_chance_is_what_random_rankings_get_on_average(matches: int, others: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    right = np.arange(matches + others) < matches
    trials = [np.flatnonzero(rng.permutation(right)) + 1 for _ in range(4000)]
    simulated = scores(trials, 8)
    expected = chance(np.array([matches]), np.array([matches + others]), 8)
    assert expected.cmc == pytest.approx(simulated.cmc, abs=0.04)  # five standard errors of a share of 4,000
    assert expected.mean_average_precision == pytest.approx(simulated.mean_average_precision, abs=0.03)


def test_chance_is_the_mean_over_counted_queries() -> None:
    both = chance(np.array([1, 4, 0]), np.array([10, 30, 7]), 5)
    alone = [chance(np.array([r]), np.array([n]), 5) for r, n in ((1, 10), (4, 30))]
    assert both.mean_average_precision == pytest.approx(np.mean([a.mean_average_precision for a in alone]))
    assert both.cmc == pytest.approx(np.mean([a.cmc for a in alone], axis=0))
