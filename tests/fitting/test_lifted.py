"""Answers beside the truth, in figures and in pictures."""

import cv2
import numpy as np
import pytest

from storage.skeleton import JOINTS
from tests.fitting.clips import make_clips
from tests.fitting.lifted import Lifted, clips, joined
from tests.fitting.pictures import APART, draw, worst
from tests.fitting.recordings import walk


@pytest.fixture(scope="module")
def truth():
    return make_clips(np.random.default_rng(0), walk(60))


@pytest.fixture
def lifted(truth):
    """Right but for the left wrist: 30 mm off, in frame 20 and its neighbours and in frame 50 far off."""
    skeletons = truth.joints.copy()
    skeletons[:, 13, 0] += 0.03
    skeletons[19:22, 13, 0] += (0.3, 0.4, 0.3)
    skeletons[50, 13, 0] += 0.2
    return Lifted(truth.keypoints, skeletons, truth.joints)


def test_errors_are_told_by_joint(lifted):
    found = lifted.of(np.arange(60) < 10).by_joint()
    wrist = JOINTS.index("left_wrist")
    assert found[wrist, 0] == pytest.approx(30, abs=1e-3)
    assert np.delete(found[:, 0], wrist).max() < 1e-3
    assert 20 < found[wrist, 1] < 30  # aligning takes some of it
    assert (found[:, 2] == 1).all()


def test_joints_further_than_150_mm_are_not_near(lifted):
    assert lifted.of(np.arange(60) == 20).by_joint()[13, 2] == 0


def test_truth_in_other_axes_has_no_mpjpe(lifted):
    other = Lifted(lifted.keypoints, lifted.skeletons, lifted.true, same_axes=False)
    assert np.isnan(other.by_joint()[:, 0]).all()
    assert not joined({"one": lifted, "other": other}).same_axes
    assert len(joined({"one": lifted, "other": other}).true) == 120


def test_clips_are_lifted_one_by_one_exact_and_noisy(truth):
    given = []

    def lifter(poses):
        given.append(poses.keypoints)
        return truth.joints[: len(poses)]

    found = clips(lifter, truth)
    assert [len(keypoints) for keypoints in given] == [60, 60]
    assert np.array_equal(given[1], truth.noisy)
    assert list(found) == ["walking, exact 2D", "all, exact 2D", "walking, noisy 2D", "all, noisy 2D"]
    assert found["all, exact 2D"].by_joint()[:, 0].max() == 0


def test_the_worst_frames_are_not_neighbours(lifted):
    chosen = worst(lifted, 3)
    assert chosen[:2] == [20, 50]
    assert all(abs(a - b) >= APART for a in chosen for b in chosen if a != b)


def test_few_frames_are_all_shown(lifted):
    assert sorted(worst(lifted.of(np.arange(60) < 3), 4)) == [0, 1, 2]


def test_a_picture_is_drawn(lifted, tmp_path):
    draw(lifted, tmp_path / "pictures" / "worst.png", count=2)
    assert cv2.imread(str(tmp_path / "pictures" / "worst.png")).std() > 10
