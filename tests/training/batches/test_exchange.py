import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.batches.clips import PerFrame
from training.batches.exchange import exchanged

LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=8)


def per_frame(lengths: list[int]) -> tuple[PerFrame, PerFrame]:
    """Of each frame its tracklet and its number in it, in the place of a skeleton."""
    sizes = np.array(lengths)
    rows = np.array([(t, f) for t, length in enumerate(lengths) for f in range(length)], np.float32)
    starts = np.cumsum(sizes) - sizes
    return PerFrame(rows, starts, sizes), PerFrame(rows[:, 1] % 2 == 0, starts, sizes)


@given(LENGTHS, st.integers(0, 99))
def test_each_tracklet_gets_those_of_one_other_in_their_order_and_each_is_given_once(lengths: list[int], seed: int):
    skeletons, seen = exchanged(*per_frame(lengths), seed)
    givers = []
    for (rows, there), length in zip(zip(skeletons, seen, strict=True), lengths, strict=True):
        assert len(rows) == len(there) == length
        (giver,) = set(rows[:, 0].tolist())
        givers.append(giver)
        assert (np.diff(rows[:, 1]) >= 0).all(), "in the order of time"
        assert rows[0, 1] == 0
        np.testing.assert_array_equal(there, rows[:, 1] % 2 == 0, "whether a frame has one goes with it")
    assert sorted(givers) == list(range(len(lengths)))


def test_a_seed_says_who_gets_whose() -> None:
    given_by = [exchanged(*per_frame([3] * 20), seed)[0].values[:, 0].tolist() for seed in (0, 0, 1)]
    assert given_by[0] == given_by[1] != given_by[2]
    assert given_by[0] != per_frame([3] * 20)[0].values[:, 0].tolist()
