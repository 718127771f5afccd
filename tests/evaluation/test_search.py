"""The nearest of a gallery, compared with sorting all of it; and the picture of what was found."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation import search
from evaluation.page.search_sheet import FRAME_HEIGHT, FRAME_WIDTH, RIGHT, WRONG, Shown, search_sheet
from evaluation.search import ANSWERS, nearest, search_files
from storage.errors import DataError


def unit(rng: np.random.Generator, count: int, width: int = 3) -> np.ndarray:
    vectors = rng.normal(size=(count, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def cut(vectors: np.ndarray, size: int) -> list[search.Block]:
    rows = np.arange(len(vectors))
    return [(rows[i : i + size], vectors[i : i + size]) for i in range(0, len(vectors), size)]


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(0, 30), st.integers(1, 40), st.integers(1, 12))
def test_blocks_give_what_sorting_everything_gives(seed: int, queries: int, count: int, top: int, size: int):
    rng = np.random.default_rng(seed)
    asked, gallery = unit(rng, queries), unit(rng, count)
    positions, distances = nearest(asked, cut(gallery, size), top)
    every = np.linalg.norm(asked[:, None].astype(np.float64) - gallery[None], axis=2)
    assert positions.shape == distances.shape == (queries, min(top, count))
    np.testing.assert_array_equal(positions, np.argsort(every, axis=1, kind="stable")[:, :top])
    np.testing.assert_allclose(distances, np.sort(every, axis=1)[:, :top], atol=1e-7)


@pytest.mark.parametrize("size", [1, 7, 64, 333, 600])
def test_copies_stand_in_their_order_and_the_query_itself_at_nothing(size: int):
    rng = np.random.default_rng(2)
    kinds = rng.integers(0, 30, 600)
    originals = unit(rng, 30, 200)
    asked = np.concatenate([originals[:15], unit(rng, 15, 200)])
    positions, distances = nearest(asked, cut(originals[kinds], size), 50)
    # the distances of the originals, and the order of the copies by their numbers alone
    every = np.linalg.norm(asked[:, None].astype(np.float64) - originals[None], axis=2)
    expected = [sorted(range(600), key=lambda row, of=of: (of[kinds[row]], row))[:50] for of in every]
    assert positions.tolist() == expected
    np.testing.assert_array_equal(distances, np.take_along_axis(every, kinds[positions], 1).astype(np.float32))
    assert (distances[:15, 0] == 0).all()


def test_an_embedding_that_the_gallery_holds_too_is_found_at_nothing(write_embeddings):
    vectors = unit(np.random.default_rng(3), 40, 300)
    rows = [(f"{row:02}", "gallery", 1, 1, tuple(vector.tolist())) for row, vector in enumerate(vectors)]
    shard, names = write_embeddings(rows), [name for name, *_ in rows]
    together = search_files(names, vectors, [shard], 1)
    alone = [search_files([name], vector[None], [shard], 1) for name, vector in zip(names, vectors, strict=True)]
    for found in (together, pa.concat_tables(alone)):
        assert found["tracklet_id"].to_pylist() == found["query_id"].to_pylist() == names
        assert set(found["distance"].to_pylist()) == {0.0}


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.integers(1, 30), st.integers(1, 8))
def test_of_equally_near_ones_the_first_come_first(kinds: list[int], top: int, size: int):
    gallery = np.eye(4, dtype=np.float32)[kinds]
    positions, _ = nearest(np.array([[0.8, 0.6, 0, 0]], np.float32), cut(gallery, size), top)
    # 2 and 3 are equally far from the query
    expected = sorted(range(len(kinds)), key=lambda row: (min(kinds[row], 2), row))
    assert positions[0].tolist() == expected[:top]


def test_answers_say_who_they_are_and_how_far(write_embeddings: Callable[..., Path], worked_rows):
    shard = write_embeddings(worked_rows)
    found = search_files(["new"], np.array([[0.0, 1.0]], np.float32), [shard], 2)
    assert found.schema.equals(ANSWERS)
    first, second = found.to_pylist()
    assert first == {
        "query_id": "new",
        "rank": 1,
        "tracklet_id": "0002C1T0001",
        "pid": 2,
        "camid": 1,
        "distance": 0.0,
    }
    # of (0.1, 1.0), which the gallery holds longer than a unit vector
    assert second["tracklet_id"] == "0000C2T0001"
    angle = np.arctan2(0.1, 1.0)
    assert second["distance"] == pytest.approx(2 * np.sin(angle / 2), abs=1e-4)


def test_files_blocks_and_one_table_give_the_same(write_embeddings, random_rows, monkeypatch):
    queries = unit(np.random.default_rng(1), 3, 12)
    names = ["a", "b", "c"]
    whole = search_files(names, queries, [write_embeddings(random_rows)], 7)
    parts = [write_embeddings(random_rows[:20], "a.parquet"), write_embeddings(random_rows[20:], "b.parquet")]
    monkeypatch.setattr(search, "ROWS", 5)
    cut = search_files(names, queries, parts, 7)
    assert cut["tracklet_id"].equals(whole["tracklet_id"])
    assert cut["query_id"].to_pylist() == [name for name in names for _ in range(7)]
    np.testing.assert_allclose(cut["distance"], whole["distance"], atol=1e-6)


def test_tracklets_without_an_embedding_or_by_the_camera_left_out_are_no_answers(write_embeddings):
    rows = [
        ("zero", "gallery", 1, 2, (0.0, 0.0)),
        ("own", "gallery", 1, 1, (1.0, 0.0)),
        ("far", "gallery", 1, 2, (-1.0, 0.0)),
    ]
    shard = write_embeddings(rows)
    query = np.array([[1.0, 0.0]], np.float32)
    assert search_files(["q"], query, [shard], 9)["tracklet_id"].to_pylist() == ["own", "far"]
    assert search_files(["q"], query, [shard], 9, without_camid=1)["tracklet_id"].to_pylist() == ["far"]
    with pytest.raises(DataError, match="none of the 2 tracklets"):
        search_files(["q"], query, [write_embeddings([rows[0], rows[2]])], 9, without_camid=2)


def test_a_gallery_of_another_model_is_refused(write_embeddings, worked_rows):
    with pytest.raises(DataError, match="embeddings of 2 dimensions, and the model makes 3"):
        search_files(["q"], np.array([[1.0, 0.0, 0.0]], np.float32), [write_embeddings(worked_rows)], 1)


def test_a_gallery_that_is_not_finite_is_refused(write_embeddings):
    shard = write_embeddings([("bad", "gallery", 1, 1, (float("nan"), 1.0))])
    with pytest.raises(DataError, match="not finite"):
        search_files(["q"], np.array([[1.0, 0.0]], np.float32), [shard], 1)


def frame(colour: tuple[int, int, int], height: int = 60, width: int = 30) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def shown(*frames: np.ndarray | None, right: bool | None = None, title: str = "0001C1T0001") -> Shown:
    return Shown(frames, title, "person 1 · camera 1", "1", "0.123", right)


def colours(picture: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(colour) for colour in np.unique(picture.reshape(-1, 3), axis=0).tolist()}


def test_every_frame_is_in_the_picture_and_its_colours_are_kept():
    blue, green, red, grey = (200, 10, 10), (10, 200, 10), (10, 10, 200), (99, 99, 99)
    picture = search_sheet(shown(frame(blue)), [shown(frame(green), None, frame(red)), shown(frame(grey))])
    there = colours(picture)
    assert {blue, green, red, grey} <= there
    assert {RIGHT[::-1], WRONG[::-1]}.isdisjoint(there)
    for colour in (green, red):
        assert (picture == colour).all(2).sum() == FRAME_HEIGHT * FRAME_WIDTH


def test_right_and_wrong_answers_are_framed():
    there = colours(search_sheet(shown(frame((0, 0, 0))), [shown(frame((1, 1, 1)), right=True)]))
    assert RIGHT[::-1] in there
    assert WRONG[::-1] not in there
    both = search_sheet(shown(frame((0, 0, 0))), [shown(frame((1, 1, 1)), right=r) for r in (True, False)])
    assert {RIGHT[::-1], WRONG[::-1]} <= colours(both)


def test_frames_keep_their_shape():
    red = (10, 10, 200)
    picture = search_sheet(shown(frame((0, 0, 0))), [shown(frame(red, 30, 60))])
    rows, columns = np.nonzero((picture == red).all(2))
    assert np.ptp(columns) + 1 == FRAME_WIDTH
    assert np.ptp(rows) + 1 == FRAME_WIDTH // 2


@pytest.mark.parametrize("count", [1, 5, 6, 23])
def test_any_number_of_answers_fits(count: int):
    answers = [shown(frame((1, 2, 3)), frame((4, 5, 6)), title="a/very/long/name " * 9) for _ in range(count)]
    picture = search_sheet(shown(frame((9, 9, 9))), answers)
    assert (picture == (4, 5, 6)).all(2).sum() == count * FRAME_HEIGHT * FRAME_WIDTH
    # nothing runs out of the paper: its edge is white
    edge = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    assert (edge == 255).all()
