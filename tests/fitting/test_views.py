"""What the lifter is fed: true joints of bodies seen by cameras, encoded as mmpose encodes them."""

import numpy as np
import pytest

from extraction.lifting.canonical import CANVAS
from extraction.zoo.mmpose_compat import mmpose_scope
from tests.fitting.poses import KEYS, motions
from tests.fitting.views import network_input, sample_windows


def test_the_same_seed_gives_the_same_windows():
    one, other = (sample_windows(np.random.default_rng(3), 40, 9) for _ in range(2))
    assert np.array_equal(one.inputs, other.inputs)
    assert np.array_equal(one.target, other.target)
    assert not np.array_equal(one.target, sample_windows(np.random.default_rng(4), 40, 9).target)


def test_targets_are_bodies_in_metres_about_the_pelvis_in_camera_axes():
    target = sample_windows(np.random.default_rng(0), 500, 9).target
    assert (target[:, 0] == 0).all()
    size = np.linalg.norm(target[:, 10] - target[:, 8], axis=-1) + np.linalg.norm(target[:, 1] - target[:, 2], axis=-1)
    assert 0.3 < size.min() < size.max() < 1.2
    # heads are mostly above pelvises, y is down
    assert (target[:, 10, 1] < 0).mean() > 0.85
    # headings go all round: left hips lie near and far, left and right
    assert 0.4 < (target[:, 4, 0] > 0).mean() < 0.6
    assert 0.4 < (target[:, 4, 2] > 0).mean() < 0.6


def test_what_is_seen_is_the_projection_of_the_target():
    windows = sample_windows(np.random.default_rng(0), 400, 9)
    limbs = [2, 3, 5, 6, 12, 13, 15, 16]
    seen = windows.inputs[:, 4, limbs] - CANVAS / 2
    correlation = [
        np.corrcoef(seen[..., axis].ravel(), windows.target[:, limbs, axis].ravel())[0, 1] for axis in (0, 1)
    ]
    assert min(correlation) > 0.85


def test_some_windows_are_one_frame_repeated_and_most_are_not():
    inputs = sample_windows(np.random.default_rng(0), 400, 9).inputs
    still = (inputs == inputs[:, 4:5]).all((1, 2, 3))
    assert 0.05 < still.mean() < 0.3


def test_missing_joints_are_part_of_training():
    inputs = sample_windows(np.random.default_rng(0), 400, 9).inputs
    missing = (inputs == CANVAS / 2).all(-1)
    assert 0.005 < missing.mean() < 0.1


def test_network_input_is_what_the_codec_of_mmpose_encodes():
    with mmpose_scope():
        from mmpose.registry import KEYPOINT_CODECS

        codec = KEYPOINT_CODECS.build({"type": "VideoPoseLifting", "num_keypoints": 17})
    inputs = sample_windows(np.random.default_rng(0), 3, 9).inputs
    for window, encoded in zip(inputs, network_input(inputs), strict=True):
        expected = codec.encode(
            window, lifting_target=np.zeros((1, 17, 3), np.float32), camera_param={"w": CANVAS, "h": CANVAS}
        )
        assert np.allclose(encoded, expected["keypoint_labels"], atol=1e-6)


def test_equal_moments_give_equal_poses_and_other_moments_others():
    times = np.tile(np.float32([0.5, 0.5, 1.5]), (30, 1))
    angles = motions(np.random.default_rng(0), times)
    assert np.array_equal(angles[:, 0], angles[:, 1])
    assert (np.abs(angles[:, 0] - angles[:, 2]).max(-1) > 0).all()


@pytest.mark.parametrize("moment", [0, KEYS - 1])
def test_motions_are_finite_and_within_anatomy_at_both_ends(moment):
    angles = motions(np.random.default_rng(0), np.full((200, 1), moment, np.float32))
    assert np.isfinite(angles).all()
    assert np.abs(angles).max() < np.deg2rad(270)
