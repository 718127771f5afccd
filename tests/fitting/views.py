"""What a lifter is fed: random bodies in motion, before random cameras, found by an estimator with its mistakes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from extraction.lifting.canonical import CANVAS, canonical
from storage.demo.body import pose, sample_bodies
from storage.demo.motion import gait, sample_styles
from tests.fitting.kinematics import Build, about, forward
from tests.fitting.poses import KEYS, motions
from tests.fitting.random_poses import random_poses

Array = NDArray[np.float32]

SWAPS = (((1, 2, 3), (4, 5, 6)), ((14, 15, 16), (11, 12, 13)))
"""The limbs that 2D estimators take for each other, right and left."""

DEMO_SHARE = 0.3
"""Part of the windows with the demo's bodies and motions; the others move in every way that `poses` knows."""

LOSSES = ((3, 6), (2, 3, 5, 6), (3,), (6,), (13,), (16,), (12, 13), (15, 16), (9, 10))
"""Joints that go missing together for a whole tracklet: feet below the crop, an arm behind the body, a face."""


@dataclass(frozen=True)
class Windows:
    """One batch of training windows.

    Attributes:
        inputs: (N, T, 17, 2), what `canonical` returns.
        target: (N, 17, 3), metres, pelvis-centred, camera axes: the middle frame's true joints.
    """

    inputs: Array
    target: Array


def _times(rng: np.random.Generator, n: int, frames: int) -> tuple[Array, NDArray[np.int64]]:
    """Moments of each window's frames, (N, T), and which frame stands at each place: the ends of a tracklet repeat.

    Steps reach from every frame of a fast video to tracklets thinned to a few frames, and to one frame repeated.
    """
    half = frames // 2
    step = np.exp(rng.uniform(np.log(0.02), np.log(0.6), (n, 1)))
    offset = np.arange(frames) - half
    before = np.where(rng.random(n) < 0.7, half, rng.integers(0, half + 1, n))
    after = np.where(rng.random(n) < 0.7, half, rng.integers(0, half + 1, n))
    alone = rng.random(n) < 0.12
    before, after = np.where(alone, 0, before), np.where(alone, 0, after)
    place = np.clip(offset[None], -before[:, None], after[:, None])
    # thinned tracklets skip unevenly
    jitter = step * rng.uniform(-0.4, 0.4, (n, frames))
    moment = rng.uniform(0, KEYS - 1, (n, 1)) + offset * step + jitter
    # motions end at both ends of their time; reflecting keeps the speed
    span = 2.0 * (KEYS - 1)
    moment = np.abs((moment + (KEYS - 1)) % span - (KEYS - 1))
    index = place + half
    return np.take_along_axis(moment, index, 1).astype(np.float32), index


def _bodies(rng: np.random.Generator, times: Array) -> Array:
    """Bodies in motion: (N, T, 19, 3), Human3.6M's joints and then nose and middle of the eyes; body axes."""
    n, frames = times.shape
    build = Build.sample(rng, n)
    repeated = Build(**{name: np.repeat(length, frames) for name, length in vars(build).items()})
    joints, face = forward(repeated, motions(rng, times).reshape(n * frames, -1))
    return np.concatenate([joints, face], 1).reshape(n, frames, 19, 3)


def _demo_bodies(rng: np.random.Generator, times: Array) -> Array:
    """As `_bodies`, of the people and motions that the demo data set is made of."""
    n, frames = times.shape
    people = np.repeat(np.arange(n), frames)
    phase = 2 * np.pi * (rng.random((n, 1)) + times * rng.uniform(0.3, 0.9, (n, 1)))
    walking = gait(sample_styles(rng, n).take(people), phase.reshape(-1)).reshape(n, frames, 17, 3)
    part = (times / (KEYS - 1))[..., None, None]
    changing = (1 - part) * random_poses(rng, n)[:, None] + part * random_poses(rng, n)[:, None]
    angles = np.where(rng.random((n, 1, 1, 1)) < 0.6, walking, changing)
    joints = pose(sample_bodies(rng, n, spread=1.2)[people], angles.reshape(-1, 17, 3))
    up = joints[:, 10] - joints[:, 8]
    up /= np.linalg.norm(up, axis=-1, keepdims=True)
    ahead = np.cross(joints[:, 11] - joints[:, 14], up)
    ahead /= np.linalg.norm(ahead, axis=-1, keepdims=True)
    nose = joints[:, 9] + 0.01 * up + 0.08 * ahead
    eyes = nose + 0.04 * up - 0.02 * ahead
    points = np.concatenate([joints, nose[:, None], eyes[:, None]], 1)
    return points.reshape(n, frames, 19, 3).astype(np.float32)


def _rotations(rng: np.random.Generator, n: int, frames: int) -> tuple[Array, Array]:
    """From body axes to level axes that face the camera, (N, T, 3, 3), and from those to the camera's, (N, 1, 3, 3)."""
    heading = rng.uniform(-np.pi, np.pi, (n, 1)) + rng.normal(0, 0.25, (n, 1)) * np.linspace(-1, 1, frames)
    lying = rng.random(n) < 0.06
    tilt = np.where(lying, rng.uniform(0, np.pi / 2, n), np.abs(rng.normal(0, 0.05, n)))
    axis = rng.uniform(-np.pi, np.pi, n).astype(np.float32)
    tipped = about(1, axis) @ about(0, tilt.astype(np.float32)) @ about(1, -axis)
    level = tipped[:, None] @ about(1, heading.astype(np.float32))
    pitch = np.deg2rad(np.where(rng.random(n) < 0.75, rng.normal(8, 9, n), rng.uniform(-15, 50, n)))
    roll = np.deg2rad(rng.normal(0, 4, n))
    camera = about(2, roll.astype(np.float32)) @ about(0, pitch.astype(np.float32))
    return level, camera[:, None]


def _project(rng: np.random.Generator, points: Array) -> Array:
    """(N, T, P, 3) metres about the pelvis, camera axes -> (N, T, P, 2), up to a scale that `canonical` removes."""
    n = len(points)
    distance = np.exp(rng.uniform(np.log(2.3), np.log(20), (n, 1, 1)))
    across, down = (distance * np.tan(np.deg2rad(rng.uniform(-a, a, (n, 1, 1)))) for a in (14, 9))
    depth = np.maximum(points[..., 2] + distance, 0.4)
    flat = np.stack([(points[..., 0] + across) / depth, (points[..., 1] + down) / depth], -1)
    # crops are resized without regard to their shape
    flat[..., 0] *= np.exp(rng.normal(0, 0.06, (n, 1, 1)))
    return (flat * distance[..., None]).astype(np.float32)


def _as_defined(rng: np.random.Generator, points: Array) -> Array:
    """The joints as an estimator's definition places them on the body, (N, T, 19, 3) -> (N, T, 17, 3).

    Half of the tracklets are Human3.6M's; half are COCO's, which has no spine, thorax, neck or head (mmpose's
    conversion puts guesses there, `extraction.pose2d.joints.COCO`), and whose annotators see hips lower and wider than
    the joints are, and ankles not quite where the feet begin.
    """
    joints = points[:, :, :17].copy()
    coco = np.flatnonzero(rng.random(len(points)) < 0.5)
    own = joints[coco]
    low, wide, ankle = (rng.uniform(a, b, (len(coco), 1, 1)) for a, b in ((0.0, 0.14), (-0.05, 0.3), (-0.06, 0.03)))
    for hip, other in ((1, 4), (4, 1)):
        apart = joints[coco, :, hip] - joints[coco, :, other]
        thigh = joints[coco, :, hip + 1] - joints[coco, :, hip]
        shank = joints[coco, :, hip + 2] - joints[coco, :, hip + 1]
        own[:, :, hip] += low * thigh + 0.5 * wide * apart
        own[:, :, hip + 2] += ankle * shank
    own[:, :, 0] = 0.5 * (own[:, :, 1] + own[:, :, 4])
    own[:, :, 8] = 0.5 * (own[:, :, 11] + own[:, :, 14])
    own[:, :, 7] = 0.5 * (own[:, :, 0] + own[:, :, 8])
    own[:, :, 9:11] = points[coco, :, 17:]
    joints[coco] = own
    return joints


def _mistaken(rng: np.random.Generator, joints: Array, index: NDArray[np.int64]) -> tuple[Array, Array]:
    """The estimator's mistakes, the same wherever a frame is repeated: (N, T, 17, 2), and scores (N, T, 17) of 0 or 1.

    Noise in parts of the body's size, some of it lasting through the tracklet, some joints far out, limbs swapped,
    joints missing.
    """
    n, frames = joints.shape[:2]
    size = np.sqrt(((joints - joints.mean(2, keepdims=True)) ** 2).sum(-1).mean((1, 2)))[:, None, None, None]
    level = size * np.exp(rng.uniform(np.log(0.004), np.log(0.08), (n, 1, 1, 1)))
    lasting = rng.normal(size=(n, 1, 17, 2)) * level
    passing = rng.normal(size=(n, frames, 17, 2)) * level
    outliers = (rng.random((n, frames, 17, 1)) < rng.choice([0, 0.01, 0.04], (n, 1, 1, 1))) * rng.normal(
        size=(n, frames, 17, 2)
    )
    joints = joints.copy()
    for right, left in SWAPS:
        swapped = (rng.random((n, frames)) < 0.02)[..., None, None]
        columns = [*right, *left]
        joints[:, :, columns] = np.where(swapped, joints[:, :, [*left, *right]], joints[:, :, columns])
    joints = joints + 0.7 * lasting + 0.7 * passing + 0.35 * size * outliers
    scores = (rng.random((n, frames, 17)) > rng.choice([0, 0, 0.02, 0.1], (n, 1, 1))).astype(np.float32)
    lost = rng.random(n)
    for i, columns in enumerate(LOSSES):
        part = (lost > 0.02 * i) & (lost < 0.02 * (i + 1))
        scores[np.ix_(part, np.arange(frames), columns)] = 0
    row = np.arange(n)[:, None]
    return joints[row, index].astype(np.float32), scores[row, index]


def sample_windows(rng: np.random.Generator, n: int, frames: int) -> Windows:
    """`n` random training windows of `frames` frames; `rng` decides everything."""
    times, index = _times(rng, n, frames)
    demo = round(DEMO_SHARE * n)
    points = np.concatenate([_demo_bodies(rng, times[:demo]), _bodies(rng, times[demo:])])
    level, camera = _rotations(rng, n, frames)
    turned = np.take_along_axis(level, index[..., None, None], 1)
    points = points @ np.swapaxes(camera @ turned, -1, -2)
    joints, scores = _mistaken(rng, _project(rng, _as_defined(rng, points)), index)
    return Windows(inputs=canonical(joints, scores), target=np.ascontiguousarray(points[:, frames // 2, :17]))


def network_input(windows: Array) -> Array:
    """(N, T, 17, 2) on the canvas -> (N, 34, T), as mmpose's `VideoPoseLifting` codec encodes a window.

    The codec takes one window a call; `tests/fitting` holds this to it.
    """
    n, frames = windows.shape[:2]
    placed = (windows - CANVAS / 2) / (CANVAS / 2)
    return np.ascontiguousarray(placed.transpose(0, 2, 3, 1).reshape(n, -1, frames), dtype=np.float32)
