"""Recorded motion becomes training windows: other people's bones, the same motion."""

import numpy as np
import pytest

from tests.fitting.mocap import read_motion, sample_motion
from tests.fitting.recordings import SPEED, walk, write

FRAMES = 9


@pytest.fixture(scope="module")
def windows():
    seconds = np.tile(np.arange(FRAMES, dtype=np.float32) - FRAMES // 2, (300, 1)) / 30
    index = np.tile(np.arange(FRAMES), (300, 1))
    return sample_motion(np.random.default_rng(0), walk(), seconds, index)


def ahead_of(points):
    up = points[..., 8, :] - points[..., 7, :]
    ahead = np.cross(points[..., 11, :] - points[..., 14, :], up)
    return ahead / np.linalg.norm(ahead, axis=-1, keepdims=True)


def test_a_file_is_read_with_y_down(tmp_path):
    motion, made = read_motion(write(tmp_path / "train.npz", ["walking/walking_1"])), walk(40)
    np.testing.assert_allclose(motion.bones, made.bones, atol=1e-6)
    np.testing.assert_allclose(motion.root, made.root, atol=1e-6)
    assert motion.start.tolist() == [0, 40]


def test_every_fifth_sequence_of_an_action_is_held_out_and_the_others_are_the_rest(tmp_path):
    names = [f"walking/walking_{i}" for i in range(3)] + [f"walking_extra/walking_{i}" for i in range(4)] + ["soccer/1"]
    file = write(tmp_path / "train.npz", names, frames=5)
    held_out, rest = read_motion(file, held_out=True), read_motion(file, held_out=False)
    assert held_out.walking.tolist() == [True]
    assert rest.walking.tolist() == [True] * 6 + [False]
    assert len(held_out.bones) + len(rest.bones) == len(read_motion(file).bones)


def test_people_walk_the_way_they_face_at_their_speed_in_every_direction(windows):
    points, root = windows
    path = root[:, -1] - root[:, 0]
    assert ((ahead_of(points[:, 4]) * path).sum(-1) > 0.9 * np.linalg.norm(path, axis=-1)).all()
    # windows that reach beyond the end of the recording stand still there
    speed = np.linalg.norm(path, axis=-1) / ((FRAMES - 1) / 30)
    assert np.median(speed) == pytest.approx(SPEED, abs=0.01)
    assert {(x > 0, z > 0) for x, z in path[:, [0, 2]]} == {(a, b) for a in (False, True) for b in (False, True)}


def test_faces_are_ahead_of_the_neck_and_above_the_shoulders(windows):
    points, _ = windows
    ahead = ahead_of(points[:, 4])
    assert (((points[:, 4, 17] - points[:, 4, 8]) * ahead).sum(-1) > 0.08).all()
    assert (points[:, 4, 18, 1] < points[:, 4, 8, 1]).all()


def test_bodies_differ_and_keep_their_bones_through_a_window(windows):
    points, _ = windows
    for joint, parent in ((2, 1), (3, 2), (12, 11), (16, 15)):
        length = np.linalg.norm(points[:, :, joint] - points[:, :, parent], axis=-1)
        assert np.ptp(length, axis=1).max() < 1e-3
        assert 0.02 < length[:, 0].std() / length[:, 0].mean() < 0.15


def test_half_of_the_bodies_are_mirrored():
    motion = walk(2)
    motion.bones[:, 13] *= 1.5  # a long left forearm
    still = np.zeros((400, 1), np.float32)
    points, _ = sample_motion(np.random.default_rng(0), motion, still, np.zeros((400, 1), np.int64))
    left, right = (np.linalg.norm(points[:, 0, a] - points[:, 0, a - 1], axis=-1) for a in (13, 16))
    assert 0.4 < (left > right).mean() < 0.6


def test_frames_that_stand_for_the_same_moment_are_the_same():
    seconds = np.tile(np.arange(5, dtype=np.float32), (20, 1)) / 30
    points, root = sample_motion(np.random.default_rng(0), walk(), seconds, np.tile([1, 1, 2, 3, 3], (20, 1)))
    assert np.array_equal(points[:, 0], points[:, 1])
    assert np.array_equal(root[:, 3], root[:, 4])
    assert not np.array_equal(points[:, 1], points[:, 2])
