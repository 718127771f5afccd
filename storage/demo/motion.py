"""How people walk: gaits that differ from person to person, vectorised over frames."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from storage.demo.body import Floats
from storage.skeleton import NUM_JOINTS


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
