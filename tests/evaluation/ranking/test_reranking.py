"""k-reciprocal re-ranking beside the paper's definition in plain loops."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

import evaluation.ranking.neighbours
from evaluation.ranking.reranking import RerankSettings, rerank

EXACT = np.array([*np.eye(4), *-np.eye(4), *(np.array(signs) - 0.5 for signs in np.ndindex(2, 2, 2, 2))], np.float32)
"""Unit vectors all of whose distances are exact in float32, so that equal ones are ties in any arithmetic."""


def unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def people(count: int, identities: int, seed: int, dimensions: int = 24) -> NDArray[np.float32]:
    """Noisy vectors of some identities."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(identities, dimensions))
    return unit(centres[rng.integers(0, identities, count)] + 0.8 * rng.normal(size=(count, dimensions)))


def by_definition(
    queries: NDArray[np.float32], gallery: NDArray[np.float32], k1: int, k2: int, weight: float
) -> NDArray[np.float64]:
    """The paper's sections 3.2 to 3.5, one pair after the other, with Python's own numbers."""
    items = [[float(value) for value in vector] for vector in (*queries, *gallery)]
    everyone = range(len(items))

    def squared(a: int, b: int) -> float:
        if not any(items[a]) or not any(items[b]):
            return 0.0 if a == b else 2.0
        return sum((x - y) ** 2 for x, y in zip(items[a], items[b], strict=True))

    distances = [[squared(a, b) for b in everyone] for a in everyone]
    scale = [max(row) or 1.0 for row in distances]
    d = [[distances[a][b] / scale[a] for b in everyone] for a in everyone]
    ranking = [[b for _, b in sorted(zip(distances[a], everyone, strict=True))] for a in everyone]

    def returned(a: int, k: int) -> set[int]:
        return {b for b in ranking[a][: k + 1] if a in ranking[b][: k + 1]}

    half = k1 // 2 + (k1 % 4 == 3)  # k1 / 2, halves to the even number
    encodings = []
    for a in everyone:
        members = returned(a, k1)
        for b in returned(a, k1):
            joining = returned(b, half)
            if 3 * len(joining & returned(a, k1)) > 2 * len(joining):
                members = members | joining
        total = sum(math.exp(-d[a][b]) for b in members)
        encodings.append([math.exp(-d[a][b]) / total if b in members else 0.0 for b in everyone])
    nearest = [ranking[a][:k2] if k2 > 1 else [a] for a in everyone]
    means = [[sum(encodings[b][c] for b in nearest[a]) / len(nearest[a]) for c in everyone] for a in everyone]
    found = np.zeros((len(queries), len(gallery)))
    for a in range(len(queries)):
        for g in range(len(gallery)):
            b = len(queries) + g
            shared = sum(min(x, y) for x, y in zip(means[a], means[b], strict=True))
            found[a, g] = (1 - weight) * (1 - shared / (2 - shared)) + weight * d[a][b]
    return found


def compare(queries: NDArray[np.float32], gallery: NDArray[np.float32], k1: int, k2: int, weight: float) -> None:
    found = rerank(queries, gallery, RerankSettings(k1=k1, k2=k2, weight=weight))
    assert (found.dtype, found.shape) == (np.float32, (len(queries), len(gallery)))
    np.testing.assert_allclose(found, by_definition(queries, gallery, k1, k2, weight), rtol=0, atol=1e-5)


@st.composite
def cases(draw: st.DrawFn) -> tuple[int, int, float, int]:
    k1 = draw(st.integers(2, 12))
    return k1, draw(st.integers(1, k1)), draw(st.sampled_from([0.0, 0.3, 1.0])), draw(st.integers(1, 30))


@settings(deadline=None, max_examples=60)
@given(cases(), st.lists(st.sampled_from(range(len(EXACT) + 1)), min_size=2, max_size=26), st.data())
def test_ties_copies_and_zeros_are_as_defined(
    case: tuple[int, int, float, int], which: list[int], data: st.DataObject
) -> None:
    k1, k2, weight, block = case
    items = np.array([*EXACT, np.zeros(4, np.float32)])[which]
    count = data.draw(st.integers(1, len(items) - 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation.ranking.neighbours, "BLOCK_VALUES", block)
        compare(items[:count], items[count:], k1, k2, weight)


@settings(deadline=None, max_examples=40)
@given(cases(), st.integers(2, 30), st.integers(1, 6), st.integers(0, 10**6))
def test_few_noisy_items_are_as_defined(
    case: tuple[int, int, float, int], count: int, identities: int, seed: int
) -> None:
    k1, k2, weight, queries = case
    items, queries = people(count, identities, seed, 6), min(queries, count - 1)
    compare(items[:queries], items[queries:], k1, k2, weight)


def test_hundreds_of_items_with_the_papers_settings_are_as_defined(monkeypatch: pytest.MonkeyPatch) -> None:
    items = people(300, 14, 0)
    monkeypatch.setattr(evaluation.ranking.neighbours, "BLOCK_VALUES", 300 * 64)
    compare(items[:40], items[40:], 20, 6, 0.3)


@settings(deadline=None, max_examples=40)
@given(cases(), st.lists(st.integers(0, 19), min_size=2, max_size=30), st.integers(0, 10**6), st.data())
def test_copies_of_noisy_items_are_exactly_as_far(
    case: tuple[int, int, float, int], which: list[int], seed: int, data: st.DataObject
) -> None:
    k1, k2, weight, block = case
    items = people(20, 4, seed, 9)[which]
    queries = data.draw(st.integers(1, len(items) - 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation.ranking.neighbours, "BLOCK_VALUES", block)
        compare(items[:queries], items[queries:], k1, k2, weight)


def test_queries_that_are_in_the_gallery_count_twice() -> None:
    items = people(150, 9, 3, 320)
    compare(items[:40], items, 20, 6, 0.3)


def test_a_reranked_order_finds_matches_that_distances_miss() -> None:
    rng = np.random.default_rng(1)
    pids = np.repeat(np.arange(20), 15)
    items = unit(rng.normal(size=(20, 32))[pids] + 1.6 * rng.normal(size=(300, 32)))
    query = np.arange(300) % 15 == 0

    def precision(distances: NDArray[np.floating]) -> float:
        right = pids[~query][np.argsort(distances, axis=1)] == pids[query][:, None]
        return float(np.mean(np.cumsum(right, axis=1)[right] / (np.nonzero(right)[1] + 1)))

    before, after = 2 - 2 * items[query] @ items[~query].T, rerank(items[query], items[~query])
    assert precision(after) > precision(before) + 0.05


def test_whole_weight_on_the_original_distance_keeps_the_order() -> None:
    items = people(50, 5, 7)
    found = rerank(items[:5], items[5:], RerankSettings(k1=6, k2=2, weight=1))
    assert np.array_equal(np.argsort(found), np.argsort(2 - 2 * items[:5] @ items[5:].T))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"k1": 1}, "k1"),
        ({"k2": 0}, "k2"),
        ({"k1": 5, "k2": 6}, "larger than evaluation.rerank.k1=5"),
        ({"weight": 1.1}, "weight"),
    ],
)
def test_settings_that_contradict_are_refused(wrong: dict[str, float], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        RerankSettings.model_validate(wrong)
