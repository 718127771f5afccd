"""The nearest items, beside a full sort of all distances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import evaluation.ranking.neighbours
from evaluation.ranking.neighbours import distance_blocks, find_neighbours

EXACT = np.array([*np.eye(4), *-np.eye(4), *(np.array(signs) - 0.5 for signs in np.ndindex(2, 2, 2, 2))], np.float32)
"""Unit vectors all of whose distances are exact in float32, so that equal ones are ties in any arithmetic."""


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from(range(len(EXACT))), min_size=2, max_size=40),
    st.integers(1, 12),
    st.integers(1, 900),
    st.data(),
)
def test_neighbours_are_by_distance_and_then_position(
    which: list[int], count: int, block: int, data: st.DataObject
) -> None:
    items = EXACT[which]
    queries = data.draw(st.integers(1, len(items) - 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation.ranking.neighbours, "BLOCK_VALUES", block)
        found, kept = find_neighbours(items[:queries], items[queries:], count)
    distances = np.maximum(2 - 2 * items.astype(float) @ items.T, 0)
    assert found.positions.tolist() == np.argsort(distances, axis=1, kind="stable")[:, :count].tolist()
    assert np.array_equal(found.distances, np.sort(distances, axis=1)[:, :count])
    assert np.array_equal(found.farthest, distances.max(axis=1))
    assert np.array_equal(kept, distances[:queries, queries:])


def test_blocks_hold_all_pairs_and_few_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    items = np.random.default_rng(0).normal(size=(23, 8))
    items = (items / np.linalg.norm(items, axis=1, keepdims=True)).astype(np.float32)
    monkeypatch.setattr(evaluation.ranking.neighbours, "BLOCK_VALUES", 23 * 5)
    together, values = np.full((23, 23), np.nan), 0
    for row, column, block in distance_blocks(items[:9], items[9:]):
        assert len(block) <= 5
        together[row : row + len(block), column : column + block.shape[1]] = block
        values += block.size
    exact = ((items[:, None].astype(float) - items) ** 2).sum(axis=2)
    upper = np.triu_indices(23)
    np.testing.assert_allclose(together[upper], exact[upper], atol=1e-6)
    assert values < 23 * (23 + 5) / 2
