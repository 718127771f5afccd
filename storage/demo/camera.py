"""A pinhole camera on a post, looking at people on the ground; axes x right, y down, z away, metres."""

from dataclasses import dataclass

import numpy as np

from storage.demo.body import Floats, rotations


@dataclass(frozen=True)
class Camera:
    """A camera at `height` metres over the ground, pitched down by `pitch` radians, rolled by `roll`.

    `focal` is in units of the image's height.
    """

    height: float
    pitch: float
    roll: float = 0.0
    focal: float = 1.4


def turned(joints: Floats, heading: Floats) -> Floats:
    """Joints (N, 17, 3) of people who face `heading` radians from the camera's direction (0: towards it)."""
    zero = np.zeros_like(heading)
    return joints @ np.swapaxes(rotations(np.stack([zero, heading, zero], axis=-1)), -1, -2)


def seen(joints: Floats, ground: Floats, camera: Camera) -> Floats:
    """Joints in camera axes.

    Args:
        joints: (N, 17, 3), pelvis at the origin, y down.
        ground: where each stands relative to the camera's foot, (N, 2): right and away.
        camera: the camera.

    Returns:
        (N, 17, 3) metres from the camera's centre.
    """
    lowest = joints[..., 1].max(axis=-1)
    pelvis = np.stack([ground[:, 0], camera.height - lowest - 0.08, ground[:, 1]], axis=-1)
    world = joints + pelvis[:, None]
    # looking down turns the world up, towards the viewer
    tilt, roll = rotations(np.array([[camera.pitch, 0.0, 0.0], [0.0, 0.0, camera.roll]]))
    placed: Floats = world @ (roll @ tilt).T
    return placed


def project(points: Floats, focal: float) -> Floats:
    """Image coordinates (..., 2) of points in camera axes, in units of the image's height, centre at 0."""
    return focal * points[..., :2] / np.maximum(points[..., 2:], 0.05)
