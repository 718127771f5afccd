"""Which tracklets and queries are shown, and their pictures as data URIs."""

import base64

import cv2
import numpy as np
import pytest

from evaluation.page.showcase import (
    BORDER,
    HEIGHT,
    RIGHT,
    WIDTH,
    WRONG,
    answer_strip,
    choose_queries,
    data_uri,
    portrait,
    posed_tracklets,
    shown_tracklets,
    small_data_uri,
)
from storage.frames.files import DataFiles
from storage.frames.images import Frame
from storage.skeleton import NUM_JOINTS
from storage.tables.parquet import ragged_table, write_table
from storage.tables.schema import SKELETONS
from storage.tables.tracklets import Tracklet


def decoded(uri: str) -> Frame:
    data = base64.b64decode(uri.removeprefix("data:image/jpeg;base64,"))
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


@pytest.fixture
def noise() -> Frame:
    """A picture that JPEG can hardly make smaller."""
    return np.random.default_rng(0).integers(0, 256, (64, 128, 3), dtype=np.uint8)


def test_a_picture_that_is_small_enough_stays_as_it_is(noise) -> None:
    assert small_data_uri(noise, most=10**6) == data_uri(noise)


def test_a_large_picture_loses_quality_before_it_loses_size(noise) -> None:
    fits_poorly = len(data_uri(noise, quality=45))
    poorer = small_data_uri(noise, most=fits_poorly)
    assert len(poorer) <= fits_poorly
    assert decoded(poorer).shape == noise.shape
    smaller = small_data_uri(noise, most=2000)
    assert len(smaller) <= 2000
    assert decoded(smaller).shape[0] < 64


def test_no_limit_is_too_low_to_end(noise) -> None:
    assert decoded(small_data_uri(noise, most=1)).shape[0] == 1


def test_tracklets_are_shown_once_with_the_first_kind_that_names_them() -> None:
    rows = [{"tracklet_id": name, "mean_score": score} for name, score in (("a", 0.9), ("b", 0.5), ("c", None))]
    quality = {"ranked": {"best": rows[:2], "median": rows[1:2], "worst": rows[::-1]}}
    shown = shown_tracklets(quality, 2)
    assert [(name, row["kind"], row["score"]) for name, row in shown.items()] == [
        ("a", "best", 0.9),
        ("b", "best", 0.5),
        ("c", "worst", None),
    ]
    assert list(shown_tracklets(quality, 1)) == ["a", "b", "c"]
    assert shown_tracklets({}, 2) == {}


def test_only_wanted_tracklets_are_drawn_and_only_their_shards_are_read(tmp_path) -> None:
    cv2.imwrite(str(tmp_path / "frame.png"), np.full((32, 16, 3), 90, np.uint8))
    tracklets = [Tracklet(name, "query", 1, 1, ("frame.png",) * 5) for name in "ab"]
    shape = (2, 5, NUM_JOINTS)
    columns = {
        "keypoints_3d": list(np.ones((*shape, 3))),
        "keypoints_2d": list(np.ones((*shape, 2))),
        "scores": list(np.ones(shape)),
        "status": list(np.zeros(shape[:2])),
        "filled": list(np.zeros(shape[:2], bool)),
    }
    write_table(ragged_table("ab", columns, SKELETONS), tmp_path / "skeletons.parquet")
    elsewhere = ([Tracklet("c", "query", 1, 1, ())], tmp_path / "not there.parquet")
    pictures = posed_tracklets(tmp_path, {"b"}, [(tracklets, tmp_path / "skeletons.parquet"), elsewhere], frames=3)
    assert list(pictures) == ["b"]
    assert pictures["b"].shape[1] == 3 * 128 + 2 * 4


def test_a_portrait_is_the_readable_frame_nearest_to_the_middle(tmp_path) -> None:
    names = tuple(f"{t}.png" for t in range(5))
    for t, name in enumerate(names):
        cv2.imwrite(str(tmp_path / name), np.full((8, 4, 3), t, np.uint8))
    (tmp_path / names[2]).write_bytes(b"broken")
    assert portrait(DataFiles(tmp_path), Tracklet("a", "query", 1, 1, names))[0, 0, 0] == 1


def query(name: str, pid: int, precision: float, matches: int = 1) -> dict[str, object]:
    return {"query_id": name, "pid": pid, "average_precision": precision, "matches": matches}


def test_shown_queries_are_of_different_people_where_there_are_enough() -> None:
    rows = [query(f"{pid}-{take}", pid, pid / 10 + take / 100) for pid in range(1, 7) for take in (1, 2)]
    chosen = choose_queries([*rows, query("lost", 9, 0.0, matches=0)], 2)
    assert [r["query_id"] for r in chosen["easy"]] == ["6-2", "5-2"]
    assert [r["query_id"] for r in chosen["hard"]] == ["1-1", "2-1"]
    assert {r["pid"] for r in chosen["median"]} == {3, 4}


def test_no_query_is_shown_twice_when_there_are_few() -> None:
    rows = [query("a", 1, 0.9), query("b", 1, 0.5), query("c", 2, 0.1)]
    chosen = choose_queries(rows, 3)
    shown = [r["query_id"] for part in chosen.values() for r in part]
    assert sorted(shown) == ["a", "b", "c"]


QUERY = {"query_id": "q", "camid": 1}
COLOURS = {"q": (200, 40, 40), "a": (40, 200, 40), "b": (40, 40, 200)}
PICTURES = {name: np.full((128, 64, 3), colour, np.uint8) for name, colour in COLOURS.items()}


def answer(name: str, status: str, rank: int) -> dict[str, object]:
    return {"gallery_id": name, "status": status, "rank": rank, "camid": 2}


def cell(strip: np.ndarray, number: int) -> np.ndarray:
    """The picture of an answer in a strip, with its border; from the right, the last one is 0."""
    right = strip.shape[1] - number * (WIDTH + 4)
    return strip[:HEIGHT, right - WIDTH : right]


def test_right_is_green_wrong_is_red_and_what_does_not_count_is_grey() -> None:
    answers = [answer("a", "match", 1), answer("b", "wrong", 2), answer("a", "same_camera", 0)]
    strip = answer_strip(QUERY, answers, PICTURES)
    grey, wrong, right = (cell(strip, number) for number in range(3))
    assert tuple(right[0, 0]) == RIGHT
    assert tuple(wrong[0, 0]) == WRONG
    assert tuple(right[HEIGHT // 2, WIDTH // 2]) == COLOURS["a"]
    assert tuple(wrong[HEIGHT // 2, WIDTH // 2]) == COLOURS["b"]
    assert np.ptp(grey[BORDER:-BORDER, BORDER:-BORDER].astype(int), axis=2).max() <= 15, "no colour is left"
    assert tuple(strip[HEIGHT // 2, WIDTH // 2]) == COLOURS["q"], "the query comes first"


@pytest.mark.parametrize("shape", [(20, 400, 3), (400, 20, 3), (1, 1, 3)])
def test_a_frame_of_any_shape_has_its_place(shape: tuple[int, int, int]) -> None:
    usual = answer_strip(QUERY, [answer("a", "match", 1)], PICTURES)
    odd = answer_strip(QUERY, [answer("a", "match", 1)], PICTURES | {"a": np.zeros(shape, np.uint8)})
    assert odd.shape == usual.shape


def test_ten_answers_stand_beside_each_other() -> None:
    strip = answer_strip(QUERY, [answer("a", "wrong", rank + 1) for rank in range(10)], PICTURES)
    assert strip.shape[1] > 11 * WIDTH
    assert all(tuple(cell(strip, number)[0, 0]) == WRONG for number in range(10))
