"""Query expansion beside slow loops in double precision."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import evaluation.ranking.expansion
from evaluation.ranking.embeddings import Embeddings
from evaluation.ranking.expansion import ExpansionSettings, expand
from tests.evaluation.made import made


def random_tracklets(count: int, seed: int, name: str, blank: tuple[int, ...] = ()) -> Embeddings:
    vectors = np.random.default_rng(seed).normal(size=(count, 5))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[[row for row in blank if row < count]] = 0
    return made([f"{name}{row}" for row in range(count)], vectors)


def slowly(queries: Embeddings, gallery: Embeddings, count: int, alpha: float) -> list[list[float]]:
    found = []
    for name, values in zip(queries.ids, queries.vectors.astype(float).tolist(), strict=True):
        candidates = []
        for position, (other, vector) in enumerate(
            zip(gallery.ids, gallery.vectors.astype(float).tolist(), strict=True)
        ):
            if other != name and any(vector):
                candidates.append((-sum(a * b for a, b in zip(values, vector, strict=True)), position, vector))
        new = list(values)
        for negative, _, vector in sorted(candidates)[:count]:
            if negative < 0:
                new = [a + (-negative) ** alpha * b for a, b in zip(new, vector, strict=True)]
        length = math.sqrt(sum(a * a for a in new))
        found.append([a / length for a in new] if length else new)
    return found


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 8),
    st.integers(1, 20),
    st.integers(1, 25),
    st.sampled_from([0.0, 0.5, 1.0, 3.0]),
    st.integers(0, 10**6),
)
def test_queries_are_expanded_as_slow_loops_do(
    queries: int, gallery: int, neighbours: int, alpha: float, seed: int
) -> None:
    asked, answers = random_tracklets(queries, seed, "q", (2,)), random_tracklets(gallery, seed + 1, "g", (0, 5))
    both = made([*answers.ids, *asked.ids], np.concatenate([answers.vectors, asked.vectors]))
    for among in (answers, both):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(evaluation.ranking.expansion, "BLOCK_VALUES", 3 * len(among))
            found = expand(asked, among, ExpansionSettings(neighbours=neighbours, alpha=alpha))
        assert found.ids.tolist() == asked.ids.tolist()
        assert found.vectors.dtype == np.float32
        np.testing.assert_allclose(found.vectors, slowly(asked, among, neighbours, alpha), atol=2e-6)


def test_one_neighbour_by_hand() -> None:
    query = made(["q"], np.array([[1.0, 0]]))
    gallery = made(["q", "near", "far"], np.array([[1.0, 0], [0.6, 0.8], [0, 1]]))
    weighted = np.array([1 + 0.6**2 * 0.6, 0.6**2 * 0.8])
    found = expand(query, gallery, ExpansionSettings(neighbours=1, alpha=2))
    np.testing.assert_allclose(found.vectors[0], weighted / np.linalg.norm(weighted), rtol=1e-6)
    average = expand(query, gallery, ExpansionSettings(neighbours=1, alpha=0))
    np.testing.assert_allclose(average.vectors[0], np.array([1.6, 0.8]) / np.hypot(1.6, 0.8), rtol=1e-6)


def test_of_equally_similar_tracklets_the_first_join() -> None:
    query = made(["q"], np.array([[1.0, 0, 0, 0]]))
    rows = np.array([[0, 0, 0, 0], [0.5, 0.5, 0.5, 0.5], [0.5, -0.5, 0.5, 0.5], [0.5, 0.5, -0.5, 0.5]])
    found = expand(query, made(list("abcd"), rows), ExpansionSettings(neighbours=2, alpha=1))
    expected = np.array([1.5, 0, 0.5, 0.5])
    np.testing.assert_allclose(found.vectors[0], expected / np.linalg.norm(expected), rtol=1e-6)


def test_what_is_not_similar_changes_nothing() -> None:
    query = made(["q"], np.array([[0.6, 0.8]]))
    gallery = made(["across", "opposite", "blank"], np.array([[0.8, -0.6], [-0.6, -0.8], [0, 0]]))
    found = expand(query, gallery.take(np.array([1, 2])), ExpansionSettings(alpha=0))
    np.testing.assert_allclose(found.vectors, query.vectors, rtol=1e-6)
    blank = made(["z"], np.zeros((1, 2)))
    assert not expand(blank, gallery).vectors.any()


@pytest.mark.parametrize("wrong", [{"neighbours": 0}, {"alpha": -1}])
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        ExpansionSettings.model_validate(wrong)
