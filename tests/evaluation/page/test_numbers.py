"""What the report says of numbers: plainly, whichever way they turn out."""

import pytest

from evaluation.page.numbers import blocks, duration, histogram, points


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.42, "0.4 s"), (38.4, "38 s"), (252, "4 min 12 s"), (7500, "2 h 5 min"), (59.7, "1 min 0 s")],
)
def test_durations_read_as_people_say_them(seconds, said) -> None:
    assert duration(seconds) == said


def test_differences_carry_their_sign() -> None:
    assert [points(d) for d in (0.051, -0.051)] == ["+5.1", "−5.1"]
    assert [points(d) for d in (0.0, -0.0, 0.0004, -0.0004)] == ["0.0"] * 4
    assert [points(d) for d in (-0.0006, 0.1, -1.0)] == ["−0.1", "+10.0", "−100.0"]


def test_a_small_histogram_is_as_tall_as_its_tallest_bar_and_says_its_shares() -> None:
    drawn = histogram([0, 1, 0, 0, 0, 0, 0, 0, 5, 4])
    assert drawn["heights"] == [0, 0.2, 0, 0, 0, 0, 0, 0, 1, 0.8]
    assert drawn["text"] == "0.1 to 0.2: 10 %, 0.8 to 0.9: 50 %, 0.9 to 1.0: 40 %"
    assert histogram([0] * 10) == {"heights": [0] * 10, "text": ""}
    assert blocks([0, 0.2, 1, 0.8]) == "▁▂█▇"
