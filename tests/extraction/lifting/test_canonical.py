"""The lifter's view of keypoints: what it forgets, what it keeps, what it does with joints nobody saw."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extraction.lifting.canonical import CANVAS, LIMBS, SPREAD, TRUNK, canonical


@pytest.fixture
def window():
    rng = np.random.default_rng(0)
    return rng.uniform(0, 100, (2, 9, 17, 2)).astype(np.float32), np.ones((2, 9, 17), np.float32)


def by_hand(keypoints, scores, min_score):
    """One window, frame by frame and joint by joint."""
    sizes = []
    for frame, score in zip(keypoints, scores, strict=True):
        middle = sum(frame[j] for j in TRUNK) / 4
        squares = [((frame[j] - middle) ** 2).sum() for j in LIMBS if score[j] >= min_score]
        if len(squares) >= 4:
            sizes.append(np.sqrt(np.mean(squares)))
    size = np.median(sizes)
    placed = np.full(keypoints.shape, CANVAS / 2)
    for t, frame in enumerate(keypoints):
        middle = sum(frame[j] for j in TRUNK) / 4
        for j in range(17):
            if scores[t, j] >= min_score:
                placed[t, j] += (frame[j] - middle) * SPREAD / size
    return placed


def test_it_is_what_the_docstring_says(window):
    keypoints, _ = window
    scores = np.random.default_rng(1).random((2, 9, 17))
    placed = canonical(keypoints, scores, 0.4)
    for i in range(2):
        assert np.allclose(placed[i], by_hand(keypoints[i].astype(float), scores[i], 0.4), atol=1e-2)


@settings(max_examples=20, deadline=None)
@given(scale=st.floats(0.05, 20), x=st.floats(-500, 500), y=st.floats(-500, 500))
def test_place_and_size_in_the_image_are_forgotten(scale, x, y):
    rng = np.random.default_rng(0)
    keypoints, scores = rng.uniform(0, 100, (9, 17, 2)), np.ones((9, 17))
    assert np.allclose(canonical(keypoints * scale + [x, y], scores), canonical(keypoints, scores), atol=0.05)


def test_each_frame_is_centred_by_itself_since_crops_follow_the_person(window):
    keypoints, scores = window
    shaken = keypoints + np.random.default_rng(1).normal(0, 20, (2, 9, 1, 2)).astype(np.float32)
    assert np.allclose(canonical(shaken, scores), canonical(keypoints, scores), atol=0.01)


def test_limbs_that_shorten_within_a_window_stay_shorter(window):
    keypoints, scores = window
    half = keypoints.copy()
    half[:, 0] = (half[:, 0] - half[:, :1].mean((1, 2))[:, None]) / 2
    spread = np.ptp(canonical(half, scores), axis=2)
    assert np.allclose(spread[:, 0], np.ptp(canonical(keypoints, scores), axis=2)[:, 0] / 2, rtol=0.2)


def test_a_joint_nobody_saw_is_put_at_the_centre_and_moves_no_other(window):
    keypoints, scores = window
    scores[:, :, 10] = 0.05
    wild = keypoints.copy()
    wild[:, :, 10] = 1e6
    placed = canonical(wild, scores)
    assert (placed[:, :, 10] == CANVAS / 2).all()
    assert np.array_equal(placed, canonical(keypoints, scores))


def test_windows_do_not_touch_each_other(window):
    keypoints, scores = window
    assert np.array_equal(canonical(keypoints, scores)[1], canonical(keypoints[1], scores[1]))


@pytest.mark.parametrize("seen", [0.0, 1.0])
def test_a_window_without_a_body_is_finite(seen):
    placed = canonical(np.zeros((9, 17, 2)), np.full((9, 17), seen))
    assert (placed == CANVAS / 2).all()


def test_a_body_that_the_estimator_does_not_believe_in_is_all_centre(window):
    keypoints, scores = window
    assert (canonical(keypoints, 0 * scores) == CANVAS / 2).all()
