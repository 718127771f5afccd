"""A query and its answers as one picture."""

import numpy as np
import pytest

from evaluation.page.strips import BORDER, HEIGHT, RIGHT, WIDTH, WRONG, answer_strip

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
