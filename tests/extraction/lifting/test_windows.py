from hypothesis import given
from hypothesis import strategies as st

from extraction.lifting.windows import FRAMES_AT_ONCE, batches, frame_windows, window_offsets, window_starts


def test_windows_repeat_the_outermost_frame():
    assert frame_windows(3, window_offsets(3)).tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 2]]
    assert frame_windows(3, window_offsets(3, causal=True)).tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 2]]
    assert frame_windows(4, window_offsets(3, step=2)).tolist() == [[0, 0, 2], [0, 1, 3], [0, 2, 3], [1, 3, 3]]


def test_whole_windows_cover_every_frame_and_end_with_the_tracklet():
    assert window_starts(5, window=9, overlap=4) == [0]
    assert window_starts(9, window=9, overlap=4) == [0]
    assert window_starts(14, window=9, overlap=4) == [0, 5]
    assert window_starts(15, window=9, overlap=4) == [0, 5, 6]


@given(st.lists(st.tuples(st.integers(1, 600), st.sampled_from([1, 9, 27, 243, 5000])), max_size=8), st.booleans())
def test_every_window_is_in_one_batch_once_and_in_order(shapes, together):
    seen: list[list[int]] = [[] for _ in shapes]
    for batch in batches(shapes, together):
        for i, start, end in batch:
            seen[i] += range(start, end)
        lengths = {shapes[i][1] for i, _, _ in batch}
        assert len(lengths) == 1
        count = sum(end - start for _, start, end in batch)
        assert count == 1 or count * lengths.pop() <= FRAMES_AT_ONCE
        assert together or len({i for i, _, _ in batch}) == 1
    assert seen == [list(range(windows)) for windows, _ in shapes]


def test_windows_of_short_tracklets_share_a_batch():
    assert list(batches([(30, 27), (20, 27)], together=True)) == [[(0, 0, 30), (1, 0, 20)]]
    assert list(batches([(30, 27), (20, 27)], together=False)) == [[(0, 0, 30)], [(1, 0, 20)]]
