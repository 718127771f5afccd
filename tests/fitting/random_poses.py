"""Widely random poses of the demo's bodies: what a lifter must know beside walking."""

import numpy as np

from storage.demo.body import Floats
from storage.demo.motion import gait, sample_styles
from storage.skeleton import NUM_JOINTS

LIMITS = {
    # joint: (low, high) of the rotation vector, radians; for the right side, mirrored for the left
    1: ((-1.9, -0.3, -0.3), (0.5, 0.5, 0.5)),
    2: ((0.0, 0.0, 0.0), (2.2, 0.0, 0.0)),
    14: ((-2.8, -0.8, -0.3), (0.7, 0.8, 2.2)),
    15: ((-2.4, -0.5, 0.0), (0.0, 0.5, 0.6)),
    7: ((-0.3, -0.4, -0.3), (0.9, 0.4, 0.3)),
    8: ((-0.2, -0.4, -0.25), (0.7, 0.4, 0.25)),
    9: ((-0.5, -0.6, -0.3), (0.5, 0.6, 0.3)),
}
LEFT_OF = {1: 4, 2: 5, 14: 11, 15: 12}


def random_angles(rng: np.random.Generator, count: int, reach: float = 1.0) -> Floats:
    """Widely random poses: bending, sitting, raised and crossed arms, high steps; (count, 17, 3) rotation vectors."""
    angles = np.zeros((count, NUM_JOINTS, 3))
    for joint, (low, high) in LIMITS.items():
        for target, mirrored in ((joint, False), (LEFT_OF.get(joint), True)):
            if target is None:
                continue
            # more mass near rest than near the limits, as in people
            drawn = rng.uniform(low, high, (count, 3)) * rng.beta(1.2, 1.6, (count, 1)) * reach
            if mirrored:
                drawn[:, 1:] *= -1
            angles[:, target] = drawn
    both = rng.random(count) < 0.4  # sitting, squatting, lifting: both sides alike
    for right, left in LEFT_OF.items():
        angles[both, left] = angles[both, right] * [1, -1, -1] + rng.normal(0, 0.12, (both.sum(), 3))
    return angles


def random_poses(rng: np.random.Generator, count: int) -> Floats:
    """Angles for training a lifter: walking, disturbed walking, and anything else; (count, 17, 3)."""
    walking = gait(sample_styles(rng, count), rng.uniform(0, 2 * np.pi, count))
    wild = random_angles(rng, count)
    share = np.choose(rng.integers(0, 4, count), [0.0, 0.15, 0.6, 1.0])[:, None, None]
    return (1 - share) * walking + share * wild + rng.normal(0, 0.03, walking.shape)
