"""Distances between embeddings, and the answers of a gallery that holds the queries themselves."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from evaluation.evaluate import EvaluationSettings
from evaluation.ranking.distances import between, euclidean
from evaluation.ranking.embeddings import NOWHERE, Embeddings
from evaluation.ranking.ranks import rank_gallery
from evaluation.schema import STATUS
from tests.evaluation.made import made


def random_embeddings(count: int, name: str, seed: int, identities: int = 6) -> Embeddings:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = rng.integers(0, identities, count), rng.integers(1, 4, count), rng.integers(1, 4, count)
    return made([f"{name}{number:03d}" for number in range(count)], vectors, *labels)


def joined(a: Embeddings, b: Embeddings) -> Embeddings:
    both = Embeddings(*(np.concatenate([x, y]) for x, y in zip(vars(a).values(), vars(b).values(), strict=True)))
    return replace(both, alike=np.arange(len(both)))


def test_distances_are_those_between_unit_vectors_in_float32() -> None:
    a, b = random_embeddings(5, "q", 0), random_embeddings(7, "g", 1)
    got = euclidean(between(a.vectors, b.vectors)(np.arange(5), np.arange(7)))
    assert got.dtype == np.float32
    slow = [[np.sqrt(np.sum((x.astype(float) - y) ** 2)) for y in b.vectors] for x in a.vectors]
    np.testing.assert_allclose(got, slow, atol=1e-6)


def test_queries_kept_in_the_gallery_change_no_rank_of_their_own() -> None:
    queries, gallery = random_embeddings(4, "q", 6, identities=1000), random_embeddings(30, "g", 7)
    with_queries = joined(gallery, queries)
    ranking = rank_gallery(queries, with_queries, between(queries.vectors, with_queries.vectors), 100)
    for query, nearest in enumerate(ranking.nearest):
        assert len(gallery) + query not in nearest, "a query is no answer to itself"
        assert np.count_nonzero(nearest != NOWHERE) == len(with_queries) - 1


def test_the_protocols_leave_out_what_they_say() -> None:
    queries, gallery = random_embeddings(9, "q", 4), random_embeddings(60, "g", 5)
    seen = set()
    ranking = rank_gallery(queries, gallery, between(queries.vectors, gallery.vectors), 60, "clothes_changing")
    for query, (nearest, kinds) in enumerate(zip(ranking.nearest, ranking.status, strict=True)):
        for position, kind in zip(nearest, kinds, strict=True):
            same_pid = gallery.pids[position] == queries.pids[query] != 0
            same_camera = gallery.camids[position] == queries.camids[query]
            same_clothes = gallery.clothes[position] == queries.clothes[query]
            expected = "match" if same_pid else "wrong"
            if same_pid and (same_camera or same_clothes):
                expected = "same_camera" if same_camera else "same_clothes"
            assert STATUS[kind] == expected
            seen.add(expected)
    assert seen == set(STATUS)


def test_a_device_of_another_name_is_refused() -> None:
    with pytest.raises(ValidationError):
        EvaluationSettings(device="gpu")
