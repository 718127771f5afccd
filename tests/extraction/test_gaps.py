import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extraction.gaps import fillable, interpolate


def slow_fillable(good: list[bool], max_gap: int) -> list[bool]:
    """By the definition: a run of bad frames, good ones on both sides, at most so long."""
    answer = [False] * len(good)
    for start in range(len(good)):
        for end in range(start + 1, len(good)):
            run = good[start + 1 : end]
            if good[start] and good[end] and run and not any(run) and len(run) <= max_gap:
                answer[start + 1 : end] = [True] * len(run)
    return answer


@given(st.lists(st.booleans(), max_size=14), st.integers(0, 5))
def test_short_runs_between_two_good_frames_can_be_filled_and_no_others(good, max_gap):
    assert fillable(np.array(good, bool), max_gap).tolist() == slow_fillable(good, max_gap)


def test_bad_frames_lie_on_the_line_between_their_good_neighbours_and_ends_repeat():
    values = np.array([[9.0, 9], [0, 10], [7, 7], [7, 7], [3, 4], [5, 5]])
    good = np.array([0, 1, 0, 0, 1, 0], bool)
    np.testing.assert_allclose(interpolate(values, good), [[0, 10], [0, 10], [1, 8], [2, 6], [3, 4], [3, 4]])


@pytest.mark.parametrize("good", [np.ones(4, bool), np.zeros(4, bool)])
def test_where_all_or_none_are_good_nothing_changes(good):
    values = np.random.default_rng(0).normal(size=(4, 17, 3)).astype(np.float32)
    np.testing.assert_array_equal(interpolate(values, good), values)


@given(st.lists(st.booleans(), min_size=1, max_size=9))
def test_good_frames_stay_to_the_bit_and_the_type_stays(good):
    values = np.random.default_rng(0).normal(size=(len(good), 2, 3)).astype(np.float32)
    filled = interpolate(values, np.array(good))
    assert filled.dtype == np.float32
    np.testing.assert_array_equal(filled[np.array(good)], values[np.array(good)])
