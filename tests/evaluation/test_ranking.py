"""The nearest answers of a query, and the distances they are ranked by."""

import numpy as np
from numpy.typing import NDArray

import evaluation.ranking
from evaluation.embeddings import Embeddings
from evaluation.ranking import rank_gallery, squared_distances
from evaluation.schema import STATUS


def random_embeddings(count: int, name: str, seed: int, identities: int = 6) -> Embeddings:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = tuple(f"{name}{i:03d}" for i in range(count))
    pids = rng.integers(0, identities, count).astype(np.int32)
    camids, clothes = (rng.integers(1, 4, count).astype(np.int32) for _ in range(2))
    return Embeddings(ids, np.array([name] * count), pids, camids, clothes, vectors.astype("f"))


def joined(a: Embeddings, b: Embeddings) -> Embeddings:
    def both(x: NDArray, y: NDArray) -> NDArray:
        return np.concatenate([x, y])

    return Embeddings(
        a.ids + b.ids,
        both(a.splits, b.splits),
        both(a.pids, b.pids),
        both(a.camids, b.camids),
        both(a.clothes, b.clothes),
        both(a.vectors, b.vectors),
    )


def test_distances_are_those_between_unit_vectors_in_float32() -> None:
    a, b = random_embeddings(5, "q", 0), random_embeddings(7, "g", 1)
    got = squared_distances(a.vectors, b.vectors)
    assert got.dtype == np.float32
    slow = [[np.sum((x.astype(float) - y) ** 2) for y in b.vectors] for x in a.vectors]
    np.testing.assert_allclose(got, slow, atol=1e-6)


def test_nearest_answers_are_those_of_a_full_sort() -> None:
    queries, gallery = random_embeddings(9, "q", 2), random_embeddings(80, "g", 3)
    for query, answer in enumerate(rank_gallery(queries, gallery, top=20)):
        distances = squared_distances(queries.vectors[query : query + 1], gallery.vectors)[0]
        assert answer.nearest.tolist() == np.argsort(distances, kind="stable")[:20].tolist()
        np.testing.assert_allclose(answer.distances**2, distances[answer.nearest], rtol=1e-5)


def test_status_of_the_nearest_answers_and_ranks_of_matches_agree() -> None:
    queries, gallery = random_embeddings(9, "q", 4), random_embeddings(60, "g", 5)
    for query, answer in enumerate(rank_gallery(queries, gallery, top=60)):
        counted = [STATUS[s] for s in answer.status if STATUS[s] != "same_camera"]
        assert [i + 1 for i, s in enumerate(counted) if s == "match"] == answer.match_ranks.tolist()
        assert len(counted) == answer.candidates
        for position, status in zip(answer.nearest, answer.status, strict=True):
            same_pid = gallery.pids[position] == queries.pids[query]
            same_camera = gallery.camids[position] == queries.camids[query]
            assert (STATUS[status] == "same_camera") == bool(same_pid and same_camera)
            assert (STATUS[status] == "match") == bool(same_pid and not same_camera and queries.pids[query] != 0)


def test_clothes_that_do_not_count_are_told_from_cameras_that_do_not() -> None:
    queries, gallery = random_embeddings(9, "q", 4), random_embeddings(60, "g", 5)
    seen = set()
    for query, answer in enumerate(rank_gallery(queries, gallery, 60, "clothes_changing")):
        for position, status in zip(answer.nearest, answer.status, strict=True):
            same_pid = gallery.pids[position] == queries.pids[query]
            same_camera = gallery.camids[position] == queries.camids[query]
            same_clothes = gallery.clothes[position] == queries.clothes[query]
            assert (STATUS[status] == "same_camera") == bool(same_pid and same_camera)
            assert (STATUS[status] == "same_clothes") == bool(same_pid and same_clothes and not same_camera)
            seen.add(STATUS[status])
    assert seen == set(STATUS)


def test_queries_kept_in_the_gallery_change_no_rank_of_their_own() -> None:
    queries, gallery = random_embeddings(4, "q", 6, identities=1000), random_embeddings(30, "g", 7)
    with_queries = joined(gallery, queries)
    for query, answer in enumerate(rank_gallery(queries, with_queries, top=100)):
        assert len(gallery) + query not in answer.nearest, "a query is no answer to itself"
        assert len(answer.nearest) == len(with_queries) - 1


def test_block_size_does_not_change_the_answers(monkeypatch) -> None:
    queries, gallery = random_embeddings(11, "q", 8), random_embeddings(40, "g", 9)
    whole = list(rank_gallery(queries, gallery, top=5))
    monkeypatch.setattr(evaluation.ranking, "BLOCK_VALUES", 3 * len(gallery))
    for a, b in zip(whole, rank_gallery(queries, gallery, top=5), strict=True):
        assert a.match_ranks.tolist() == b.match_ranks.tolist()
        assert a.nearest.tolist() == b.nearest.tolist()
