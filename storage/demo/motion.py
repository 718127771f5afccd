"""How people move: gaits that differ from person to person, and widely random poses. All vectorised over frames."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from storage.skeleton import NUM_JOINTS

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Style:
    """A person's way of walking; each field (N,). Angles in radians, frequency in strides a second."""

    frequency: Floats
    stride: Floats
    knee_lift: Floats
    arm_swing: Floats
    elbow_bend: Floats
    arms_out: Floats
    lean: Floats
    hip_sway: Floats
    shoulder_twist: Floats
    head_pitch: Floats
    asymmetry: Floats

    def take(self, people: NDArray[np.integer]) -> "Style":
        """The styles at these positions."""
        return Style(**{f.name: getattr(self, f.name)[people] for f in fields(self)})


def sample_styles(rng: np.random.Generator, count: int) -> Style:
    """Gaits of different people."""
    uniform = rng.uniform
    return Style(
        frequency=uniform(0.7, 1.15, count),
        stride=uniform(0.25, 0.6, count),
        knee_lift=uniform(0.4, 1.0, count),
        arm_swing=uniform(0.05, 0.75, count),
        elbow_bend=uniform(0.05, 0.9, count),
        arms_out=uniform(0.02, 0.3, count),
        lean=uniform(-0.06, 0.22, count),
        hip_sway=uniform(0.0, 0.12, count),
        shoulder_twist=uniform(0.02, 0.25, count),
        head_pitch=uniform(-0.2, 0.5, count),
        asymmetry=uniform(-0.15, 0.15, count),
    )


def gait(style: Style, phase: Floats) -> Floats:
    """Joint angles of walking people.

    Args:
        style: N styles.
        phase: where each is in the stride, (N,) radians.

    Returns:
        (N, 17, 3) rotation vectors for `body.pose`.
    """
    angles = np.zeros((len(phase), NUM_JOINTS, 3))
    for side, (hip, knee, shoulder, elbow), shift in (
        (-1, (1, 2, 14, 15), 0.0),
        (1, (4, 5, 11, 12), np.pi),
    ):
        at = phase + shift
        reach = style.stride * (1 + side * style.asymmetry)
        # a leg swings forward (negative x) while its knee is bent, and back nearly straight
        angles[:, hip, 0] = -(0.08 + reach * np.cos(at))
        angles[:, knee, 0] = (
            0.08 + style.knee_lift * np.maximum(0, -np.sin(at + 0.25)) ** 2 + 0.1 * np.maximum(0, np.cos(at))
        )
        angles[:, shoulder, 0] = style.arm_swing * np.cos(at) - 0.05
        angles[:, shoulder, 2] = -side * style.arms_out
        angles[:, elbow, 0] = -(style.elbow_bend + 0.35 * style.arm_swing * np.maximum(0, -np.cos(at)))
    angles[:, 0, 1] = 0.5 * style.shoulder_twist * np.sin(phase + np.pi / 2)
    angles[:, 0, 2] = style.hip_sway * np.sin(phase)
    angles[:, 7, 0] = style.lean
    angles[:, 7, 2] = -0.8 * style.hip_sway * np.sin(phase)
    angles[:, 8, 1] = -style.shoulder_twist * np.sin(phase + np.pi / 2)
    angles[:, 9, 0] = style.head_pitch - style.lean
    return angles


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
