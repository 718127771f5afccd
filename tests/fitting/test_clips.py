"""Clips with the truth, as a lifter is judged by."""

import numpy as np
import pytest

from tests.fitting.clips import FRAMES, NOISE, make_clips, read_clips
from tests.fitting.recordings import walk


@pytest.fixture(scope="module")
def clips():
    return make_clips(np.random.default_rng(0), walk(150))


def test_recordings_are_cut_into_clips_and_no_frame_is_lost(clips):
    assert np.diff(clips.start).tolist() == [FRAMES, FRAMES, 30]
    assert clips.walking.tolist() == [True] * 3
    assert len(clips.keypoints) == len(clips.joints) == clips.walks.sum() == 150


def test_bodies_are_those_of_the_recording(clips):
    def bones(joints):
        return np.linalg.norm(joints[:, [2, 3, 12]] - joints[:, [1, 2, 11]], axis=-1)

    recorded = np.linalg.norm(walk(150).bones[:, [2, 3, 12]], axis=-1)
    np.testing.assert_allclose(bones(clips.joints), recorded, atol=1e-4)
    assert (clips.joints[:, 0] == 0).all()


def test_keypoints_are_where_a_camera_sees_the_joints(clips):
    # a pinhole: with the pelvis at (X, Y, Z), keypoint = (x + X) / (z + Z) is linear in (X, Y, Z)
    for frame in (0, 70, 149):
        joints, seen = clips.joints[frame].astype(float), clips.keypoints[frame].astype(float)
        rows, right = [], []
        for axis in (0, 1):
            unit = np.eye(3)[axis]
            rows += [unit - np.array([0, 0, u]) for u in seen[:, axis]]
            right += list(seen[:, axis] * joints[:, 2] - joints[:, axis])
        pelvis, residual, *_ = np.linalg.lstsq(np.array(rows), np.array(right), rcond=None)
        assert pelvis[2] > 1
        assert residual.item() < 1e-6


def test_noise_is_a_part_of_the_height_and_of_each_joint_its_own(clips):
    height = np.ptp(clips.keypoints[..., 1], -1)[:, None, None]
    noise = (clips.noisy - clips.keypoints) / height
    assert noise.std() == pytest.approx(NOISE, rel=0.05)
    assert abs(np.corrcoef(noise[1:].ravel(), noise[:-1].ravel())[0, 1]) < 0.05


def test_given_clips_are_read_about_the_pelvis(tmp_path, clips):
    names = ["walking_extra/walking_7", "jumping/jumping_1"]
    file = tmp_path / "test_views.npz"
    given = {"keypoints": clips.keypoints, "noisy": clips.noisy, "joints": clips.joints + np.float32([1, 0, 6])}
    np.savez(file, start=[0, 60], sequence=names, **given)
    read = read_clips(file)
    assert read.start.tolist() == [0, 60, 150]
    assert read.walks.tolist() == [True] * 60 + [False] * 90
    np.testing.assert_allclose(read.joints, clips.joints, atol=1e-5)  # about the pelvis
