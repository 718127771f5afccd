import numpy as np

from storage.demo.body import pose, rotations, sample_bodies
from storage.demo.camera import Camera, project, seen, turned
from storage.demo.motion import gait, sample_styles
from storage.skeleton import EDGES, JOINTS
from tests.fitting.random_poses import random_poses
from tests.storage.mirrors import mirror, mirrored_angles


def walk(seed: int = 0, frames: int = 40) -> np.ndarray:
    rng = np.random.default_rng(seed)
    body, style = sample_bodies(rng, 1), sample_styles(rng, 1)
    same = np.zeros(frames, int)
    return pose(body[same], gait(style.take(same), np.linspace(0, 4 * np.pi, frames)))


def bones(joints: np.ndarray) -> np.ndarray:
    return np.stack([np.linalg.norm(joints[:, a] - joints[:, b], axis=-1) for a, b in EDGES], axis=-1)


def test_rotations_turn_by_the_right_hand_rule() -> None:
    quarter = rotations(np.array([0.0, 0.0, np.pi / 2]))
    np.testing.assert_allclose(quarter @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(quarter @ quarter.T, np.eye(3), atol=1e-12)


def test_bones_keep_their_length_while_a_person_walks() -> None:
    lengths = bones(walk())
    np.testing.assert_allclose(lengths, np.repeat(lengths[:1], len(lengths), axis=0), atol=1e-9)


def test_people_have_different_limbs_and_both_sides_alike() -> None:
    rest = pose(sample_bodies(np.random.default_rng(0), 50), np.zeros((50, 17, 3)))
    lengths = bones(rest)
    assert (lengths.std(axis=0) > 0.005).all()
    np.testing.assert_allclose(rest[:, [2, 3, 13]] * [-1, 1, 1], rest[:, [5, 6, 16]], atol=1e-12)


def test_a_person_who_faces_the_camera_has_the_left_side_on_the_right_of_the_image() -> None:
    joints = walk()
    for left in ("left_hip", "left_shoulder"):
        right = left.replace("left", "right")
        assert (joints[:, JOINTS.index(left), 0] > joints[:, JOINTS.index(right), 0]).all()
    assert (joints[:, JOINTS.index("head"), 1] < -0.3).all()
    assert (joints[:, JOINTS.index("neck_base"), 2] < joints[:, JOINTS.index("thorax"), 2] + 0.1).all()


def test_legs_and_arms_swing_in_opposition() -> None:
    joints = walk()

    def forward(name: str) -> np.ndarray:
        return -joints[:, JOINTS.index(name), 2]

    legs = forward("right_knee") - forward("left_knee")
    arms = forward("right_wrist") - forward("left_wrist")
    assert np.corrcoef(legs, arms)[0, 1] < -0.9


def test_mirrored_angles_pose_the_mirrored_skeleton() -> None:
    rng = np.random.default_rng(0)
    body, angles = sample_bodies(rng, 20), random_poses(rng, 20)
    np.testing.assert_allclose(pose(body, mirrored_angles(angles)), mirror(pose(body, angles)), atol=1e-9)


def test_a_camera_sees_feet_below_the_head_and_near_people_larger() -> None:
    joints = turned(walk()[:2], np.array([0.0, 1.0]))
    camera = Camera(height=3.0, pitch=0.3)
    near = seen(joints, np.array([[0.0, 5.0]] * 2), camera)
    far = seen(joints, np.array([[0.0, 12.0]] * 2), camera)
    high = [np.ptp(project(j, camera.focal)[..., 1], axis=-1) for j in (near, far)]
    assert (high[0] > 1.8 * high[1]).all()
    points = project(near, camera.focal)
    assert (points[:, 3, 1] > points[:, 10, 1]).all()
    np.testing.assert_allclose(bones(near), bones(joints), atol=1e-9)
