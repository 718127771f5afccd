"""The metrics against their definitions, written out slowly, on random cases; and chance against simulation."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import evaluation.ranking.gallery_blocks
import evaluation.ranking.ranks
import evaluation.ranking.vectors
from evaluation.ranking.breakdown import by_length, camera_pairs
from evaluation.ranking.distances import between
from evaluation.ranking.distances import given as given_distances
from evaluation.ranking.embeddings import Embeddings
from evaluation.ranking.judgement import Protocol
from evaluation.ranking.metrics import chance, per_query
from evaluation.ranking.ranks import Ranking, rank_gallery
from tests.evaluation.definition import Item, Ranked, ranked
from tests.evaluation.made import made

LEVELS = np.float32([0.0, 0.25, 0.5, 1.0])  # few, so that ties are common
items = st.builds(Item, st.integers(0, 3), st.integers(1, 3), st.integers(1, 2))
protocols = st.sampled_from(("standard", "clothes_changing"))


@st.composite
def cases(draw) -> tuple[list[Item], list[Item], np.ndarray]:
    """Queries, a gallery and the distances between them; distractors and missing matches come by chance."""
    queries = draw(st.lists(items, min_size=1, max_size=6))
    gallery = draw(st.lists(items, min_size=1, max_size=30))
    seed, levels = draw(st.integers(0, 2**32 - 1)), draw(st.sampled_from((LEVELS, None)))
    rng = np.random.default_rng(seed)
    shape = (len(queries), len(gallery))
    return queries, gallery, rng.choice(levels, shape) if levels is not None else rng.random(shape, np.float32)


def embeddings(rows: Sequence[Item], name: str, vectors: np.ndarray | None = None) -> Embeddings:
    # without vectors, distances are given: no two of them may be taken for those of copies
    vectors = 1 + np.arange(len(rows))[:, None] if vectors is None else vectors
    labels = ([getattr(row, label) for row in rows] for label in ("pid", "camid", "clothes"))
    return made([f"{name}{number:03d}" for number in range(len(rows))], vectors, *labels)


def rank(queries: Sequence[Item], gallery: Sequence[Item], distances: np.ndarray, protocol: Protocol) -> Ranking:
    asked, held = embeddings(queries, "q"), embeddings(gallery, "g")
    return rank_gallery(asked, held, given_distances(distances.copy()), 4, protocol)


def slowly(queries: Sequence[Item], gallery: Sequence[Item], distances: np.ndarray, protocol: Protocol) -> list[Ranked]:
    return [ranked(q, gallery, row.tolist(), protocol) for q, row in zip(queries, distances, strict=True)]


@settings(max_examples=400)
@given(cases(), protocols)
def test_metrics_equal_their_definition_on_random_cases(
    case: tuple[list[Item], list[Item], np.ndarray], protocol: Protocol
) -> None:
    slow = slowly(*case, protocol)
    ranking = rank(*case, protocol)
    found = per_query(ranking.ranks, ranking.starts)
    assert [len(s.answers) for s in slow] == ranking.candidates.tolist()
    assert [s.ranks for s in slow] == [part.tolist() for part in np.split(ranking.ranks, ranking.starts[1:-1])]
    counted = [s for s in slow if s.ranks]
    if not counted:
        with pytest.raises(ValueError, match="no query has a match"):
            found.mean(10)
        return
    assert found.matches.tolist() == [len(s.ranks) for s in slow]
    assert found.first_match.tolist() == [min(s.ranks, default=0) for s in slow]
    got = found.mean(10)
    assert got.mean_average_precision == pytest.approx(np.mean([s.average_precision() for s in counted]))
    assert got.mean_inverse_negative_penalty == pytest.approx(np.mean([s.inverse_negative_penalty() for s in counted]))
    assert got.cmc == pytest.approx([np.mean([s.within(k) for s in counted]) for k in range(1, 11)])


@settings(max_examples=200)
@given(cases(), protocols)
def test_ties_are_counted_and_what_they_may_be_worth(
    case: tuple[list[Item], list[Item], np.ndarray], protocol: Protocol
) -> None:
    slow = slowly(*case, protocol)
    ranking = rank(*case, protocol)
    tied = ranking.ranks != ranking.ranks_right_first
    assert np.bincount(ranking.queries[tied], minlength=len(slow)).tolist() == [s.ties for s in slow]
    kindly = np.split(ranking.ranks_right_first, ranking.starts[1:-1])
    assert [part.tolist() for part in kindly] == [s.right_first().ranks for s in slow]


@settings(max_examples=200)
@given(cases(), protocols)
def test_a_pair_of_cameras_is_measured_as_if_there_were_no_other(
    case: tuple[list[Item], list[Item], np.ndarray], protocol: Protocol
) -> None:
    queries = case[0]
    slow = slowly(*case, protocol)
    got = camera_pairs(rank(*case, protocol), np.array([q.camid for q in queries], np.int32))
    expected = []
    for asking in (1, 2, 3):
        for asked in (1, 2, 3):
            alone = [s.of_camera(asked) for s, q in zip(slow, queries, strict=True) if q.camid == asking]
            counted = [s for s in alone if s.ranks]
            if counted:
                values = np.mean([s.average_precision() for s in counted]), np.mean([s.within(1) for s in counted])
                expected.append((asking, asked, len(counted), *(pytest.approx(v) for v in values)))
    names = ("query_camid", "gallery_camid", "queries", "mAP", "rank_1")
    assert [tuple(row[name] for name in names) for row in got] == expected


@settings(max_examples=150)
@given(cases(), protocols, st.integers(1, 40), st.integers(1, 300))
def test_a_gallery_in_blocks_is_ranked_as_a_whole_one(
    case: tuple[list[Item], list[Item], np.ndarray], protocol: Protocol, block_bytes: int, values: int
) -> None:
    whole = rank(*case, protocol)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation.ranking.gallery_blocks, "BLOCK_BYTES", block_bytes)
        patch.setattr(evaluation.ranking.ranks, "BLOCK_VALUES", values)
        parts = rank(*case, protocol)
    for name, value in vars(whole).items():
        np.testing.assert_array_equal(getattr(parts, name), value, err_msg=name)


@settings(max_examples=60)
@given(cases(), protocols)
def test_many_cameras_are_ranked_as_few_are(
    case: tuple[list[Item], list[Item], np.ndarray], protocol: Protocol
) -> None:
    few = rank(*case, protocol)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation.ranking.ranks, "MANY_CAMERAS", 0)
        many = rank(*case, protocol)
    for name, value in vars(few).items():
        np.testing.assert_array_equal(getattr(many, name), value, err_msg=name)


@settings(max_examples=150)
@given(cases(), st.integers(1, 6), st.integers(1, 40), st.integers(1, 40))
def test_queries_in_a_gallery_of_several_blocks_lose_no_answer(
    case: tuple[list[Item], list[Item], np.ndarray], block: int, values: int, top: int
) -> None:
    """Each query is ranked against the gallery and all queries, itself left out of its answers."""
    queries, gallery, distances = case
    rng = np.random.default_rng(len(gallery))
    distances = np.concatenate([distances, rng.choice(LEVELS, (len(queries), len(queries)))], 1)
    held = embeddings([*gallery, *queries], "g")
    held = replace(held, ids=np.concatenate([held.ids[: len(gallery)], embeddings(queries, "q").ids]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation.ranking.gallery_blocks, "BLOCK_BYTES", 4 * block)
        patch.setattr(evaluation.ranking.ranks, "BLOCK_VALUES", values)
        ranking = rank_gallery(embeddings(queries, "q"), held, given_distances(distances), top)
    for row, query in enumerate(queries):
        everybody = [*gallery, *queries]
        others = [g for g in range(len(everybody)) if g != len(gallery) + row]
        order = sorted(others, key=lambda g: (distances[row, g], kind(query, everybody[g], "standard"), g))
        shown = ranking.nearest[row][ranking.nearest[row] >= 0]
        assert shown.tolist() == order[:top]
        assert ranking.distances[row, : len(shown)].tolist() == [distances[row, g] for g in shown]


@settings(max_examples=150)
@given(cases(), protocols)
def test_nearest_answers_are_the_first_of_the_ranking(
    case: tuple[list[Item], list[Item], np.ndarray], protocol: Protocol
) -> None:
    queries, gallery, distances = case
    ranking = rank(queries, gallery, distances, protocol)
    for row, query in enumerate(queries):
        shown = ranking.nearest[row][ranking.nearest[row] >= 0]
        assert len(shown) == min(4, len(gallery))
        order = sorted(range(len(gallery)), key=lambda g: (distances[row, g], kind(query, gallery[g], protocol), g))
        assert shown.tolist() == order[:4]
        assert ranking.distances[row, : len(shown)].tolist() == [distances[row, g] for g in shown]


def kind(query: Item, item: Item, protocol: Protocol) -> int:
    """Wrong, of the same camera, in the same clothes, right."""
    if item.pid != query.pid or item.pid == 0:
        return 0
    if item.camid == query.camid:
        return 1
    return 2 if protocol == "clothes_changing" and item.clothes == query.clothes else 3


@settings(max_examples=200)
@given(
    st.lists(st.tuples(items, st.integers(0, 4)), min_size=1, max_size=5),
    st.lists(st.tuples(items, st.integers(0, 4)), min_size=1, max_size=40),
    st.integers(0, 100),
    st.integers(1, 400),
)
def test_tracklets_with_the_same_embedding_tie_wherever_they_stand(
    queries: list[tuple[Item, int]], gallery: list[tuple[Item, int]], seed: int, block_bytes: int
) -> None:
    """In a matrix product the same numbers may come to another sum in another column."""
    vectors = np.random.default_rng(seed).normal(size=(5, 9)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    asked = embeddings([item for item, _ in queries], "q", vectors[[v for _, v in queries]])
    held = embeddings([item for item, _ in gallery], "g", vectors[[v for _, v in gallery]])
    exact = [[-float(vectors[a].astype(float) @ vectors[b].astype(float)) for _, b in gallery] for _, a in queries]
    slow = slowly([item for item, _ in queries], [item for item, _ in gallery], np.array(exact), "standard")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation.ranking.gallery_blocks, "BLOCK_BYTES", block_bytes)
        ranking = rank_gallery(asked, held, between(asked.vectors, held.vectors), 3)
    assert [part.tolist() for part in np.split(ranking.ranks, ranking.starts[1:-1])] == [s.ranks for s in slow]


def test_a_model_that_gives_everybody_the_same_embedding_gets_the_worst_ranks() -> None:
    everybody = np.tile(np.random.default_rng(0).normal(size=(1, 50)).astype(np.float32), (40, 1))
    everybody /= np.linalg.norm(everybody, axis=1, keepdims=True)
    gallery = [Item(1 + number % 4, 2) for number in range(40)]
    asked, held = embeddings([Item(1, 1)], "q", everybody[:1]), embeddings(gallery, "g", everybody)
    ranking = rank_gallery(asked, held, between(asked.vectors, held.vectors), 5)
    assert ranking.ranks.tolist() == list(range(31, 41))
    assert ranking.ranks_right_first.tolist() == list(range(1, 11))


def test_metrics_of_a_case_worked_by_hand() -> None:
    found = per_query(np.array([1, 3, 6, 2]), np.array([0, 3, 3, 4]))
    assert found.average_precision == pytest.approx([(1 / 1 + 2 / 3 + 3 / 6) / 3, 0, 1 / 2])
    assert found.inverse_negative_penalty == pytest.approx([3 / 6, 0, 1 / 2])
    assert found.first_match.tolist() == [1, 0, 2]
    assert found.mean(3).cmc.tolist() == [0.5, 1, 1]


def test_queries_without_a_match_are_not_counted() -> None:
    got = per_query(np.array([1]), np.array([0, 1, 1])).mean(1)
    assert got.cmc.tolist() == [1.0]
    assert got.mean_average_precision == 1.0


def test_lengths_are_powers_of_two() -> None:
    found = per_query(np.array([1, 2, 1, 1, 4]), np.array([0, 1, 2, 3, 4, 5, 5]))
    rows = by_length(found, np.array([1, 8, 15, 16, 0, 3], np.int32))
    assert [(row["from"], row["to"], row["queries"], row["mAP"], row["rank_1"]) for row in rows] == [
        (1, 1, 1, 1.0, 1.0),
        (8, 15, 2, 0.75, 0.5),
        (16, 31, 1, 1.0, 1.0),
    ]


@settings(max_examples=20)
@given(st.integers(1, 6), st.integers(0, 20), st.integers(0, 10_000))
def test_chance_is_what_random_rankings_get_on_average(matches: int, others: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    right = np.arange(matches + others) < matches
    trials = [np.flatnonzero(rng.permutation(right)) + 1 for _ in range(4000)]
    simulated = per_query(np.concatenate(trials), matches * np.arange(4001)).mean(8)
    expected = chance(np.array([matches]), np.array([matches + others]), 8)
    assert expected.cmc == pytest.approx(simulated.cmc, abs=0.04)  # five standard errors of a share of 4,000
    assert expected.mean_average_precision == pytest.approx(simulated.mean_average_precision, abs=0.03)
    assert expected.mean_inverse_negative_penalty == pytest.approx(simulated.mean_inverse_negative_penalty, abs=0.03)


def test_chance_is_the_mean_over_counted_queries() -> None:
    both = chance(np.array([1, 4, 0, 4]), np.array([10, 30, 7, 30]), 5)
    alone = [chance(np.array([r]), np.array([n]), 5) for r, n in ((1, 10), (4, 30), (4, 30))]
    for name in ("mean_average_precision", "mean_inverse_negative_penalty"):
        assert getattr(both, name) == pytest.approx(np.mean([getattr(a, name) for a in alone]))
    assert both.cmc == pytest.approx(np.mean([a.cmc for a in alone], axis=0))


def test_blocks_are_read_from_a_file_as_from_memory(tmp_path) -> None:
    values = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    values[[3, 20, 49]] = values[11]
    values.tofile(tmp_path / "vectors.f32")
    rows = np.random.default_rng(1).permutation(50)
    stored = evaluation.ranking.vectors.VectorFile(tmp_path / "vectors.f32", 7, rows)
    np.testing.assert_array_equal(stored[np.arange(50)], values[rows])
    np.testing.assert_array_equal(stored.take(np.array([4, 4, 1]))[:2], values[rows[[4, 4]]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation.ranking.vectors, "BLOCK_BYTES", 100)
        first = evaluation.ranking.vectors.copies(stored)
    alike = sorted(np.flatnonzero(np.isin(rows, [3, 11, 20, 49])).tolist())
    assert first[alike].tolist() == [alike[0]] * 4
    assert np.flatnonzero(first != np.arange(50)).tolist() == alike[1:]
