"""Forward kinematics of the 17-joint body: limb lengths and joint angles in, joints in metres out.

Body axes: x to the person's left, y down, z backwards; a person who faces the camera has the camera's axes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.demo.body import chained

Array = NDArray[np.float32]

ANGLES = (
    "pelvis_pitch", "pelvis_yaw", "pelvis_roll",
    "waist_pitch", "waist_yaw", "waist_roll",
    "chest_pitch", "chest_yaw", "chest_roll",
    "neck_pitch", "neck_yaw", "neck_roll",
    *(
        f"{side}_{angle}"
        for side in ("left", "right")
        for angle in (
            "hip_flex", "hip_abduct", "hip_turn_out", "knee",
            "arm_flex", "arm_abduct", "arm_turn_in", "elbow", "shrug", "reach",
        )
    ),
)  # fmt: skip
"""Columns of the angle arrays. Radians; flexion forwards, pitch forwards; shrug and reach move the shoulder (radians
about the thorax)."""

COLUMN = {name: i for i, name in enumerate(ANGLES)}


@dataclass(frozen=True)
class Build:
    """Lengths of N bodies in metres, each (N,)."""

    hip_width: Array  # pelvis to hip
    thigh: Array
    shank: Array
    belly: Array  # pelvis to spine
    chest: Array  # spine to thorax
    neck: Array
    head: Array
    shoulder_width: Array  # thorax to shoulder, sideways
    shoulder_drop: Array  # thorax to shoulder, downwards
    upper_arm: Array
    forearm: Array
    face: Array  # how far the nose lies before the neck base

    @staticmethod
    def sample(rng: np.random.Generator, n: int) -> "Build":
        """Adults and children: a common stature, and each length varied around its share of it."""
        stature = rng.normal(1.0, 0.09, n).clip(0.65, 1.25)

        def length(mean: float, spread: float) -> Array:
            return (mean * stature * rng.normal(1, spread, n).clip(1 - 3 * spread, 1 + 3 * spread)).astype(np.float32)

        leg = rng.normal(1, 0.04, n)
        return Build(
            hip_width=length(0.122, 0.12),
            thigh=length(0.435, 0.05) * leg.astype(np.float32),
            shank=length(0.430, 0.05) * leg.astype(np.float32),
            belly=length(0.236, 0.06),
            chest=length(0.252, 0.06),
            neck=length(0.107, 0.12),
            head=length(0.112, 0.08),
            shoulder_width=length(0.138, 0.12),
            shoulder_drop=length(0.052, 0.5),
            upper_arm=length(0.272, 0.07),
            forearm=length(0.240, 0.07),
            face=length(0.08, 0.25),
        )


def about(axis: int, angle: Array) -> Array:
    """Rotation matrices about a coordinate axis, (N,) -> (N, 3, 3)."""
    cos, sin = np.cos(angle), np.sin(angle)
    i, j = ((1, 2), (2, 0), (0, 1))[axis]
    matrix = np.zeros((*angle.shape, 3, 3), np.float32)
    matrix[..., axis, axis] = 1
    matrix[..., i, i] = matrix[..., j, j] = cos
    matrix[..., i, j] = -sin
    matrix[..., j, i] = sin
    return matrix


def _along(matrix: Array, x: Array | float, y: Array | float, z: Array | float = 0) -> Array:
    """`matrix @ (x, y, z)`, (N, 3)."""
    vector = np.stack(np.broadcast_arrays(np.float32(x), np.float32(y), np.float32(z), matrix[..., 0, 0])[:3], -1)
    return (matrix @ vector[..., None])[..., 0]


def forward(build: Build, angles: Array) -> tuple[Array, Array]:
    """Joints of N bodies.

    Args:
        build: lengths, each (N,).
        angles: (N, len(ANGLES)), radians.

    Returns:
        Human3.6M joints, (N, 17, 3), metres, pelvis at the origin, body axes; and (N, 2, 3), nose and middle of the
        eyes, which COCO's definition has in place of neck and head.
    """

    def angle(name: str) -> Array:
        return angles[:, COLUMN[name]]

    def turned(part: str) -> Array:
        yaw, pitch, roll = angle(f"{part}_yaw"), angle(f"{part}_pitch"), angle(f"{part}_roll")
        return about(1, yaw) @ about(0, pitch) @ about(2, roll)

    bones = np.zeros((len(angles), 17, 3), np.float32)
    pelvis = turned("pelvis")
    waist = pelvis @ turned("waist")
    chest = waist @ turned("chest")
    neck = chest @ turned("neck")
    # the lower back follows half of the waist's bend: a back is a curve, and the two segments are its chords
    bones[:, 7] = _along(0.5 * (pelvis + waist), 0, -build.belly)
    bones[:, 8] = _along(chest, 0, -build.chest)
    # Human3.6M's neck base lies before the line from thorax to head, at the height of the nose
    bones[:, 9] = _along(neck, 0, -0.88 * build.neck, -0.47 * build.neck)
    bones[:, 10] = _along(neck, 0, -0.88 * build.head, 0.47 * build.head)

    for side, sign, hip, shoulder in (("right", -1, 1, 14), ("left", 1, 4, 11)):
        leg = pelvis @ (
            about(2, -sign * angle(f"{side}_hip_abduct"))
            @ about(0, -angle(f"{side}_hip_flex"))
            @ about(1, -sign * angle(f"{side}_hip_turn_out"))
        )
        bones[:, hip] = _along(pelvis, sign * build.hip_width, 0)
        bones[:, hip + 1] = _along(leg, 0, build.thigh)
        bones[:, hip + 2] = _along(leg @ about(0, angle(f"{side}_knee")), 0, build.shank)

        girdle = chest @ about(2, -sign * angle(f"{side}_shrug")) @ about(1, sign * angle(f"{side}_reach"))
        arm = chest @ (
            about(2, -sign * angle(f"{side}_arm_abduct"))
            @ about(0, -angle(f"{side}_arm_flex"))
            @ about(1, sign * angle(f"{side}_arm_turn_in"))
        )
        bones[:, shoulder] = _along(girdle, sign * build.shoulder_width, build.shoulder_drop)
        bones[:, shoulder + 1] = _along(arm, 0, build.upper_arm)
        bones[:, shoulder + 2] = _along(arm @ about(0, -angle(f"{side}_elbow")), 0, build.forearm)

    joints = chained(bones)
    nose = joints[:, 9] + _along(neck, 0, -0.1 * build.head, -build.face)
    eyes = nose + _along(neck, 0, -0.35 * build.head, 0.25 * build.face)
    return joints, np.stack([nose, eyes], 1)
