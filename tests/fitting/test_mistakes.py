"""Estimators' mistakes: as often as they are made, and the same wherever a frame is repeated."""

import numpy as np
import pytest

from tests.fitting.mistakes import EXACT_SHARE, HARD_SHARE, mistaken
from tests.fitting.recordings import walk

N, FRAMES = 600, 6
WRISTS, FEET, HIPS, HEAD = [13, 16], [3, 6], [1, 4], 10


@pytest.fixture(scope="module")
def seen():
    motion = walk(FRAMES)
    joints = np.cumsum(motion.bones, 1)[..., :2]  # any 17 points do
    index = np.tile([0, 0, 2, 3, 5, 5], (N, 1))
    truth = np.tile(joints, (N, 1, 1, 1))
    return (*mistaken(np.random.default_rng(0), truth, index), truth[np.arange(N)[:, None], index])


def test_a_frame_that_is_repeated_is_seen_once(seen):
    joints, scores, _ = seen
    for first, second in ((0, 1), (4, 5)):
        assert np.array_equal(joints[:, first], joints[:, second])
        assert np.array_equal(scores[:, first], scores[:, second])
    assert not np.array_equal(joints[:, 1], joints[:, 2])


def test_some_windows_are_exact_where_joints_are_found_and_sides_are_kept(seen):
    joints, scores, truth = seen
    middle = [0, 7, 8, 9, 10]  # never taken for another
    exact = ((joints == truth).all(-1) | (scores == 0))[:, :, middle].all((1, 2))
    assert exact.mean() == pytest.approx(EXACT_SHARE, abs=0.06)


def test_limbs_swap_sides_now_and_then(seen):
    joints, _, truth = seen
    swapped = (joints[:, :, [2, 5]] == truth[:, :, [5, 2]]).all((-1, -2))
    exact = (joints[:, :, [2, 5]] == truth[:, :, [2, 5]]).all((-1, -2))
    assert 0.005 < swapped.sum() / (swapped | exact).sum() < 0.1


def test_ends_of_limbs_are_lost_more_often_than_hips_and_faces_most(seen):
    lost = 1 - seen[1].mean((0, 1))
    assert lost[HEAD] > lost[WRISTS].mean() > lost[FEET].mean() > lost[HIPS].mean() > 0


def test_hard_windows_lose_wrists_as_often_as_boxes_of_market1501(seen):
    lost = 1 - seen[1].mean(1)
    hard = np.sort(lost[:, WRISTS].mean(1))[-round(HARD_SHARE * N) :]
    assert 0.25 < hard.mean() < 0.5


def test_what_is_lost_is_mostly_lost_again(seen):
    lost = seen[1][:, :, 16] == 0
    again = lost[:, 2] & lost[:, 3]
    assert again.sum() / lost[:, 2].sum() > 1.5 * lost.mean()


def test_the_truth_is_left_alone():
    truth = np.ones((4, 3, 17, 2), np.float32)
    mistaken(np.random.default_rng(0), truth, np.tile(np.arange(3), (4, 1)))
    assert (truth == 1).all()
