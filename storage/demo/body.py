"""A 17-joint body in Human3.6M order: limb lengths that differ from person to person, and forward kinematics.

Body axes are camera axes for a person who faces the camera: x to the person's left, y down, z backward; metres.
"""

import numpy as np
from numpy.typing import NDArray

from storage.skeleton import EDGES, PARENTS, Floating

Floats = NDArray[np.float64]

REST = np.array(
    [
        [0, 0, 0],  # pelvis
        [-0.13, 0, 0],  # right hip
        [0, 0.44, 0],
        [0, 0.44, 0],
        [0.13, 0, 0],  # left hip
        [0, 0.44, 0],
        [0, 0.44, 0],
        [0, -0.23, 0.01],  # spine
        [0, -0.255, 0],  # thorax
        [0, -0.095, -0.06],  # neck base: in front of the line from thorax to head
        [0, -0.1, 0.055],  # head
        [0.135, 0.06, 0],  # left shoulder
        [0, 0.275, 0],
        [0, 0.25, 0],
        [-0.135, 0.06, 0],  # right shoulder
        [0, 0.275, 0],
        [0, 0.25, 0],
    ]
)
"""Offset of each joint from its parent, standing with the arms down; the mean of Human3.6M's people."""

GROUPS = {
    "hips": (1, 4),
    "thighs": (2, 5),
    "shanks": (3, 6),
    "torso": (7, 8),
    "head": (9, 10),
    "shoulders": (11, 14),
    "upper_arms": (12, 15),
    "forearms": (13, 16),
}
"""Limbs that differ between people by one factor each."""


def sample_bodies(rng: np.random.Generator, count: int, spread: float = 1.0) -> Floats:
    """Bone offsets at rest of people of different height and build, (N, 17, 3) metres.

    Args:
        rng: source of randomness.
        count: how many.
        spread: 1 for the variety of adults, more for wider.
    """
    height = rng.normal(1.0, 0.055 * spread, (count, 1, 1)).clip(0.75, 1.25)
    offsets = np.repeat(REST[None], count, axis=0)
    for joints in GROUPS.values():
        factor = rng.normal(1.0, 0.07 * spread, (count, 1, 1)).clip(0.7, 1.3)
        offsets[:, joints, :] *= factor
    bodies: Floats = offsets * height
    return bodies


def rotations(angles: Floats) -> Floats:
    """Rotation matrices of rotation vectors (..., 3) in radians: (..., 3, 3). Source: Rodrigues' formula."""
    size = np.linalg.norm(angles, axis=-1, keepdims=True)
    axis = angles / np.maximum(size, 1e-12)
    x, y, z = np.moveaxis(axis, -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*angles.shape[:-1], 3, 3)
    sine, cosine = np.sin(size)[..., None], np.cos(size)[..., None]
    turned: Floats = np.eye(3) + sine * cross + (1 - cosine) * (cross @ cross)
    return turned


def pose(bodies: Floats, angles: Floats) -> Floats:
    """Joints of posed bodies, pelvis at the origin.

    Args:
        bodies: bone offsets of N people at rest, (N, 17, 3) metres.
        angles: rotation vector of each joint relative to its parent, (N, 17, 3) radians; a joint's rotation moves
            the joints after it.

    Returns:
        (N, 17, 3) metres.
    """
    turned = rotations(angles)
    for parent, joint in EDGES:
        turned[:, joint] = turned[:, parent] @ turned[:, joint]
    return chained(np.einsum("nkij,nkj->nki", turned[:, PARENTS], bodies))


def chained(bones: NDArray[Floating]) -> NDArray[Floating]:
    """Joints from bones, (N, 17, 3) metres: each begins at its parent, and the pelvis is at the origin."""
    joints = np.zeros_like(bones)
    for parent, joint in EDGES:
        joints[:, joint] = joints[:, parent] + bones[:, joint]
    return joints
