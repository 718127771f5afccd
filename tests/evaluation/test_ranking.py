"""Distances between embeddings, and the answers of a gallery that holds the queries themselves."""

import numpy as np
import pytest

from evaluation.distances import between, chosen_device, euclidean
from evaluation.embeddings import Embeddings
from evaluation.ranking import NOBODY, rank_gallery
from evaluation.schema import STATUS
from storage.errors import SettingsError


def random_embeddings(count: int, name: str, seed: int, identities: int = 6) -> Embeddings:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = np.array([f"{name}{i:03d}" for i in range(count)])
    pids = rng.integers(0, identities, count).astype(np.int32)
    camids, clothes = (rng.integers(1, 4, count).astype(np.int32) for _ in range(2))
    frames, blank = np.zeros(count, np.int32), np.zeros(count, bool)
    return Embeddings(ids, np.array([name] * count), pids, camids, clothes, frames, vectors.astype("f"), blank)


def joined(a: Embeddings, b: Embeddings) -> Embeddings:
    return Embeddings(*(np.concatenate([x, y]) for x, y in zip(vars(a).values(), vars(b).values(), strict=True)))


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
        assert np.count_nonzero(nearest != NOBODY) == len(with_queries) - 1


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


def test_a_device_that_is_not_there_is_named(monkeypatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert chosen_device("auto") == "cpu"
    with pytest.raises(SettingsError, match=r"evaluation\.device=cuda, and there is no GPU"):
        chosen_device("cuda")
