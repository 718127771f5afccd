"""What a lifter is fed: random bodies in motion, before random cameras, found by an estimator with its mistakes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from extraction.lifting.canonical import CANVAS, canonical
from storage.demo.body import pose, sample_bodies
from storage.demo.motion import gait, sample_styles
from storage.skeleton import EDGES
from tests.fitting.kinematics import Build, about, forward
from tests.fitting.mistakes import mistaken
from tests.fitting.mocap import Motion, sample_motion
from tests.fitting.poses import KEYS, motions
from tests.fitting.random_poses import random_poses

Array = NDArray[np.float32]

MOCAP_SHARE, DEMO_SHARE = 0.4, 0.18
"""Parts of the windows that move as somebody did, where recordings are given, and of those with the demo's bodies and
motions; the others move in every way that `poses` knows. Without recordings their part is shared by the other two."""

BODY = 4.04
"""Sum of all bones of everybody, metres: the mean of the three kinds of bodies, which differ by 1 %. One view does not
tell how large somebody is, so that bodies of many sizes would teach the lifter nothing but noise."""


@dataclass(frozen=True)
class Windows:
    """One batch of training windows.

    Attributes:
        inputs: (N, T, 17, 2), what `canonical` returns.
        target: (N, 17, 3), metres, pelvis-centred, camera axes: the middle frame's true joints.
    """

    inputs: Array
    target: Array


def _places(rng: np.random.Generator, n: int, frames: int) -> NDArray[np.int64]:
    """Which frame stands at each place of a window, (N, T): at the ends of a tracklet the outermost repeats."""
    half = frames // 2
    offset = np.arange(frames) - half
    before = np.where(rng.random(n) < 0.65, half, rng.integers(0, half + 1, n))
    after = np.where(rng.random(n) < 0.65, half, rng.integers(0, half + 1, n))
    alone = rng.random(n) < 0.1
    before, after = np.where(alone, 0, before), np.where(alone, 0, after)
    return np.clip(offset[None], -before[:, None], after[:, None]) + half


def _times(rng: np.random.Generator, n: int, frames: int) -> Array:
    """Moments of each window's frames in an invented motion, (N, T).

    Steps reach from every frame of a fast video to tracklets thinned to a few frames.
    """
    offset = np.arange(frames) - frames // 2
    step = np.exp(rng.uniform(np.log(0.02), np.log(0.6), (n, 1)))
    # thinned tracklets skip unevenly
    jitter = step * rng.uniform(-0.4, 0.4, (n, frames))
    moment = rng.uniform(0, KEYS - 1, (n, 1)) + offset * step + jitter
    # motions end at both ends of their time; reflecting keeps the speed
    span = 2.0 * (KEYS - 1)
    return np.abs((moment + (KEYS - 1)) % span - (KEYS - 1)).astype(np.float32)


def _seconds(rng: np.random.Generator, n: int, frames: int) -> Array:
    """When the frames of a window are, from the middle one, (N, T): at 25 to 30 a second or thinned, unevenly too."""
    offset = np.arange(frames) - frames // 2
    thinned = rng.random((n, 1)) < 0.3
    # people walk slower and faster than those who were recorded
    step = np.exp(
        np.where(thinned, rng.uniform(np.log(0.04), np.log(1), (n, 1)), rng.normal(np.log(0.033), 0.12, (n, 1)))
    )
    jitter = np.where(thinned & (rng.random((n, 1)) < 0.5), step * rng.uniform(-0.4, 0.4, (n, frames)), 0)
    return (offset * step + jitter).astype(np.float32)


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


def pedestrian_cameras(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    """Cameras before which people walk: axes, (N, 1, 3, 3), and where the pelvis is in them, (N, 1, 3) metres.

    1 to 4 m high, 2 to 20 m away, the person anywhere in the picture.
    """
    distance = np.exp(rng.uniform(np.log(2), np.log(20), n))
    below = np.arctan2(rng.uniform(1, 4, n) - 0.95, distance)
    across, down = np.deg2rad(rng.uniform(-20, 20, n)), np.deg2rad(rng.uniform(-10, 10, n))
    pitch, roll = below - down, np.deg2rad(rng.normal(0, 3, n))
    axes = about(2, roll.astype(np.float32)) @ about(0, pitch.astype(np.float32))
    place = distance[:, None] * np.stack([np.tan(across), np.tan(down), np.ones(n)], -1)
    return axes[:, None], place[:, None].astype(np.float32)


def _walkers(rng: np.random.Generator, motion: Motion, index: NDArray[np.int64]) -> tuple[Array, Array]:
    """Bodies of `sample_motion` in camera axes, (N, T, 19, 3) about the pelvis, and their pelvis, (N, T, 3) metres."""
    n, frames = index.shape
    points, root = sample_motion(rng, motion, _seconds(rng, n, frames), index)
    axes, place = pedestrian_cameras(rng, n)
    root = root @ np.swapaxes(axes[:, 0], 1, 2) + place
    # nobody walks through the camera
    root[..., 2] += np.maximum(0, 1.5 - root[..., 2].min(1))[:, None]
    return _sized(points) @ np.swapaxes(axes, -1, -2), root


def _others(rng: np.random.Generator, n: int, demo: int, index: NDArray[np.int64]) -> tuple[Array, Array]:
    """The same of invented bodies, the first `demo` of them the demo's; they stay where they are."""
    frames = index.shape[1]
    times = np.take_along_axis(_times(rng, n, frames), index, 1)
    points = _sized(np.concatenate([_demo_bodies(rng, times[:demo]), _bodies(rng, times[demo:])]))
    level, camera = _rotations(rng, n, frames)
    turned = np.take_along_axis(level, index[..., None, None], 1)
    distance = np.exp(rng.uniform(np.log(2.3), np.log(20), n))
    across, down = (distance * np.tan(np.deg2rad(rng.uniform(-a, a, n))) for a in (14, 9))
    root = np.stack([across, down, distance], -1).astype(np.float32)
    return points @ np.swapaxes(camera @ turned, -1, -2), np.repeat(root[:, None], frames, 1)


def _sized(points: Array) -> Array:
    """Windows of bodies, (N, T, 19, 3), as large as everybody."""
    start, end = np.array(EDGES).T
    middle = points[:, points.shape[1] // 2]
    size = np.linalg.norm(middle[:, end] - middle[:, start], axis=-1).sum(-1)
    return (points * (BODY / size)[:, None, None, None]).astype(np.float32)


def _project(rng: np.random.Generator, points: Array, root: Array) -> Array:
    """Points (N, T, P, 3) about the pelvis (N, T, 3) -> (N, T, P, 2), up to a scale that `canonical` removes."""
    n, frames = root.shape[:2]
    placed = points + root[:, :, None]
    flat = placed[..., :2] / np.maximum(placed[..., 2:], 0.4)
    # half of the tracklets are boxes that were resized, by hand or by a detector: as large from near as from far
    resized = rng.random((n, 1, 1, 1)) < 0.5
    box = root[:, :, None, 2:] * np.exp(rng.normal(0, 0.04, (n, frames, 1, 1)))
    # and without regard to their shape
    flat[..., :1] *= np.where(rng.random((n, 1, 1, 1)) < 0.4, np.exp(rng.normal(0, 0.08, (n, 1, 1, 1))), 1)
    return (flat * np.where(resized, box, root[:, :1, None, 2:])).astype(np.float32)


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


def sample_windows(rng: np.random.Generator, n: int, frames: int, motion: Motion | None = None) -> Windows:
    """`n` random training windows of `frames` frames; `rng` decides everything.

    Args:
        rng: source of all randomness.
        n: how many.
        frames: of each.
        motion: recordings of people; without them all windows are invented.
    """
    index = _places(rng, n, frames)
    real = 0 if motion is None else round(MOCAP_SHARE * n)
    demo = round(DEMO_SHARE / (1 - MOCAP_SHARE) * (n - real))
    parts = [_others(rng, n - real, demo, index[real:])]
    if motion is not None:
        parts.insert(0, _walkers(rng, motion, index[:real]))
    points, root = (np.concatenate(part) for part in zip(*parts, strict=True))
    flat = _project(rng, _as_defined(rng, points), root)
    # a frame that is repeated is one frame
    flat = np.take_along_axis(flat, index[..., None, None], 1)
    joints, scores = mistaken(rng, flat, index)
    return Windows(inputs=canonical(joints, scores), target=np.ascontiguousarray(points[:, frames // 2, :17]))


def network_input(windows: Array) -> Array:
    """(N, T, 17, 2) on the canvas -> (N, 34, T), as mmpose's `VideoPoseLifting` codec encodes a window.

    The codec takes one window a call; `tests/fitting` holds this to it.
    """
    n, frames = windows.shape[:2]
    placed = (windows - CANVAS / 2) / (CANVAS / 2)
    return np.ascontiguousarray(placed.transpose(0, 2, 3, 1).reshape(n, -1, frames), dtype=np.float32)
