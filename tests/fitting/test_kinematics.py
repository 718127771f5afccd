"""The articulated body: angles do what their names say, and bones keep their lengths."""

import numpy as np
import pytest

from storage.skeleton import EDGES, MIRROR_ORDER
from tests.fitting.kinematics import ANGLES, COLUMN, Build, about, forward
from tests.fitting.poses import motions

LEFT_WRIST, RIGHT_WRIST, LEFT_FOOT, RIGHT_FOOT, HEAD, NECK = 13, 16, 6, 3, 10, 9
X, Y, Z = range(3)


@pytest.fixture
def build():
    return Build.sample(np.random.default_rng(0), 1)


def posed(build, **degrees):
    angles = np.zeros((1, len(ANGLES)), np.float32)
    for name, angle in degrees.items():
        angles[0, COLUMN[name]] = np.deg2rad(angle)
    return forward(build, angles)[0][0]


def test_a_person_at_rest_faces_the_camera_with_the_left_side_on_the_right_of_the_image(build):
    joints, face = (part[0] for part in forward(build, np.zeros((1, len(ANGLES)), np.float32)))
    assert joints[LEFT_WRIST, X] > 0 > joints[RIGHT_WRIST, X]
    assert joints[HEAD, Y] < joints[NECK, Y] < 0 < joints[LEFT_FOOT, Y]
    assert (face[:, Z] < joints[NECK, Z]).all()


@pytest.mark.parametrize(
    ("angle", "joint", "axis", "sign"),
    [
        ("left_hip_flex", LEFT_FOOT, Z, -1),
        ("right_hip_flex", RIGHT_FOOT, Z, -1),
        ("left_hip_abduct", LEFT_FOOT, X, 1),
        ("right_hip_abduct", RIGHT_FOOT, X, -1),
        ("left_knee", LEFT_FOOT, Z, 1),
        ("right_arm_flex", RIGHT_WRIST, Z, -1),
        ("left_arm_abduct", LEFT_WRIST, X, 1),
        ("left_elbow", LEFT_WRIST, Z, -1),
        ("left_shrug", LEFT_WRIST, Y, -1),
        ("right_shrug", RIGHT_WRIST, Y, -1),
        ("right_reach", RIGHT_WRIST, Z, -1),
        ("waist_pitch", HEAD, Z, -1),
        ("neck_pitch", HEAD, Z, -1),
    ],
)
def test_angles_move_what_they_name_to_where_they_say(build, angle, joint, axis, sign):
    moved = posed(build, **{angle: 40}) - posed(build)
    assert sign * moved[joint, axis] > 0.01


def test_turning_a_bent_arm_inwards_brings_the_hand_before_the_body(build):
    moved = posed(build, left_elbow=90, left_arm_turn_in=60) - posed(build, left_elbow=90)
    assert moved[LEFT_WRIST, X] < -0.05


def test_bones_keep_their_lengths_in_every_pose():
    rng = np.random.default_rng(1)
    build = Build.sample(rng, 50)
    angles = motions(rng, np.tile(np.float32([0, 0.7, 2]), (50, 1)))
    lengths = []
    for t in range(3):
        joints, _ = forward(build, angles[:, t])
        lengths.append(np.stack([np.linalg.norm(joints[:, a] - joints[:, b], axis=-1) for a, b in EDGES], -1))
    # the lower back bends: the chord from pelvis to spine shortens
    rigid = [i for i, edge in enumerate(EDGES) if edge != (0, 7)]
    assert np.ptp(np.array(lengths)[..., rigid], axis=0).max() < 1e-4


def test_swapping_the_sides_of_the_angles_mirrors_the_body(build):
    swap = {f"left_{name}": angle for name, angle in (("hip_flex", 50), ("knee", 30), ("arm_abduct", 70))}
    mirrored = posed(build, **{name.replace("left", "right"): angle for name, angle in swap.items()})
    expected = posed(build, **swap)[list(MIRROR_ORDER)] * [-1, 1, 1]
    assert np.allclose(mirrored, expected, atol=1e-6)


def test_rotations_are_right_handed():
    quarter = np.float32([np.pi / 2])
    assert np.allclose(about(0, quarter)[0] @ [0, 1, 0], [0, 0, 1], atol=1e-6)
    assert np.allclose(about(1, quarter)[0] @ [0, 0, 1], [1, 0, 0], atol=1e-6)
    assert np.allclose(about(2, quarter)[0] @ [1, 0, 0], [0, 1, 0], atol=1e-6)
