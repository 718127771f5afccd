"""Real motion for the lifter: windows of motion capture, on bodies that differ as people do.

The recordings know one skeleton (`../shared/data/mocap`), so that build is made here and motion is not: bones get
other lengths, limbs hang a little otherwise, left becomes right, and half of the bodies get the shoulders, neck and
hips of Human3.6M's definition, which lie elsewhere on the same person.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from storage.demo.body import rotations
from storage.skeleton import EDGES, MIRROR_ORDER, PARENTS
from tests.fitting.kinematics import about

Array = NDArray[np.float32]

FPS = 30

WALKING_SHARE = 0.55
"""Part of the windows that are drawn from walks, whatever their part in the recordings: pedestrians walk."""

HOLD_OUT = 5
"""Of each action's sequences every fifth is left out where settings are compared."""

GROUPS: tuple[tuple[tuple[int, ...], float], ...] = (
    ((1, 4), 0.09),
    ((2, 5), 0.05),
    ((3, 6), 0.05),
    ((2, 3, 5, 6), 0.03),
    ((7,), 0.05),
    ((8,), 0.05),
    ((9,), 0.1),
    ((10,), 0.1),
    ((11, 14), 0.08),
    ((12, 15), 0.05),
    ((13, 16), 0.05),
    ((12, 13, 15, 16), 0.03),
)
"""Bones (by the joint that they end in) that are longer or shorter together, and the spread of their factor."""

POSTURE = (
    ((7, 8, 9, 10, 11, 14), 4.0), ((9, 10), 6.0), ((11,), 4.0), ((14,), 4.0), ((12, 13), 6.0), ((13,), 6.0),
    ((15, 16), 6.0), ((16,), 6.0), ((2, 3), 3.0), ((3,), 2.0), ((5, 6), 3.0), ((6,), 2.0),
)  # fmt: skip
"""Bones that hang otherwise together for a whole window, and by how many degrees about each axis."""

TO_H36M: dict[int, tuple[float, float, float]] = {
    1: (-0.035, 0, 0), 4: (0.035, 0, 0),
    9: (0, -0.04, 0.07), 10: (0, 0.005, -0.08),
    11: (-0.065, -0.07, 0), 14: (0.065, -0.07, 0),
}  # fmt: skip
"""What has to be added to a bone to make it Human3.6M's: metres to the person's left, upwards, ahead. Source: means of
the recordings, and of the four frames of `pose3d/h36m` and `storage.demo.body.REST`."""

NOSE, EYES = (0.01, 0.08), (0.05, 0.06)
"""From Human3.6M's neck base to nose and middle of the eyes, upwards and ahead, metres."""


@dataclass(frozen=True)
class Motion:
    """Recordings, one after another.

    Attributes:
        bones: from each joint's parent to the joint, (F, 17, 3) metres, level axes: y down, x and z on the floor.
        root: the pelvis, (F, 3), same axes.
        start: first frame of each sequence and the end, (S + 1,).
        walking: which sequences are walks, (S,).
    """

    bones: Array
    root: Array
    start: NDArray[np.int64]
    walking: NDArray[np.bool_]


def read_motion(file: Path, held_out: bool | None = None) -> Motion:
    """A file of `../shared/data/mocap`.

    Args:
        file: `train.npz`.
        held_out: only the sequences that are held out for comparing settings; only the others (False); all (None).
    """
    with np.load(file) as given:
        joints, root, names = given["joints"], given["root"], [str(name) for name in given["sequence"]]
        start = np.append(given["start"], len(joints))
    actions = [action_of(name) for name in names]
    place = [actions[:i].count(action) for i, action in enumerate(actions)]
    kept = [i for i in range(len(names)) if held_out is None or (place[i] % HOLD_OUT == HOLD_OUT - 1) == held_out]
    frames = np.concatenate([np.arange(start[i], start[i + 1]) for i in kept])
    lengths = [start[i + 1] - start[i] for i in kept]
    bones = joints - joints[:, np.maximum(PARENTS, 0)]
    return Motion(
        bones=_level(bones[frames]),
        root=_level(root[frames]),
        start=np.concatenate([[0], np.cumsum(lengths)]),
        walking=np.array([actions[i] == "walking" for i in kept]),
    )


def action_of(sequence: str) -> str:
    """What is done in a sequence, by its name: `walking` in `walking_extra/walking_7`, where the source keeps more."""
    return sequence.partition("/")[0].removesuffix("_extra")


def _level(points: Array) -> Array:
    """From the recordings' axes (z up) to y down."""
    x, y, z = np.moveaxis(points, -1, 0)
    return np.stack([x, -z, y], -1).astype(np.float32)


def sample_motion(
    rng: np.random.Generator, motion: Motion, seconds: Array, index: NDArray[np.int64]
) -> tuple[Array, Array]:
    """Bodies that move as somebody did.

    Args:
        rng: source of all randomness.
        motion: the recordings.
        seconds: when each frame of each window is, from the middle one, (N, T).
        index: which frame stands at each place of the window, (N, T).

    Returns:
        (N, T, 19, 3), Human3.6M's joints and then nose and middle of the eyes, about the pelvis; and where the pelvis
        is, (N, T, 3), from the middle frame's. Metres, level axes, any heading.
    """
    n, frames = seconds.shape
    bones, root = _moments(rng, motion, seconds, index)
    mirrored = rng.random(n) < 0.5
    bones[mirrored] = bones[mirrored][:, :, list(MIRROR_ORDER)] * np.float32([-1, 1, 1])
    root[mirrored] *= np.float32([-1, 1, 1])
    turn = about(1, rng.uniform(-np.pi, np.pi, n).astype(np.float32))
    points = _bodies(rng, bones).reshape(n, -1, 3) @ np.swapaxes(turn, 1, 2)
    return points.reshape(n, frames, 19, 3), root @ np.swapaxes(turn, 1, 2)


def _moments(rng: np.random.Generator, motion: Motion, seconds: Array, index: NDArray[np.int64]) -> tuple[Array, Array]:
    """Bones and places of the pelvis at random moments; a recording that ends stands still."""
    length = np.diff(motion.start)
    part = np.where(motion.walking, 1.0, 0.0) * length
    other = length - part
    weight = WALKING_SHARE * part / max(1.0, part.sum()) + (1 - WALKING_SHARE) * other / max(1.0, other.sum())
    sequence = rng.choice(len(length), len(seconds), p=weight / weight.sum())
    last = (length[sequence] - 1)[:, None]
    moment = rng.uniform(0, 1, (len(seconds), 1)) * last + np.take_along_axis(seconds, index, 1) * FPS
    moment = moment.clip(0, last) + motion.start[sequence][:, None]
    before = np.minimum(moment.astype(np.int64), motion.start[sequence + 1][:, None] - 2)
    part = (moment - before).astype(np.float32)
    bones = motion.bones[before]
    bones += part[..., None, None] * (motion.bones[before + 1] - bones)
    root = motion.root[before] + part[..., None] * (motion.root[before + 1] - motion.root[before])
    return bones, root - root[:, root.shape[1] // 2, None]


def _bodies(rng: np.random.Generator, bones: Array) -> Array:
    """Other people's bones, and the joints and the face that they make, (N, T, 17, 3) -> (N, T, 19, 3)."""
    n = len(bones)
    scale = np.ones((n, 1, 17, 1), np.float32)
    for joints, spread in GROUPS:
        scale[:, :, joints] *= rng.normal(1, spread, (n, 1, 1, 1)).clip(1 - 2.5 * spread, 1 + 2.5 * spread)
    bones = bones * scale
    for joints, degrees in POSTURE:
        turn = rotations(np.deg2rad(rng.normal(0, degrees, (n, 3)))).astype(np.float32)
        for joint in joints:
            bones[:, :, joint] = bones[:, :, joint] @ np.swapaxes(turn, 1, 2)
    axes = _trunk_axes(bones)  # (N, T, 3, 3)
    kind = rng.random(n)
    share = np.where(kind < 0.45, 0, np.where(kind < 0.75, 1, rng.uniform(0, 1.2, n))).astype(np.float32)
    for joint, offset in TO_H36M.items():
        bones[:, :, joint] += share[:, None, None] * (np.float32(offset) @ axes)
    joints = np.zeros_like(bones)
    for parent, joint in EDGES:
        joints[:, :, joint] = joints[:, :, parent] + bones[:, :, joint]
    # the skull's base of the recordings lies behind Human3.6M's
    behind = TO_H36M[9][2] * (1 - share) + rng.normal(0, 0.012, n)
    ahead = behind.astype(np.float32)[:, None, None] * axes[:, :, 2]
    face = [joints[:, :, 9] + up * axes[:, :, 1] + forward * axes[:, :, 2] + ahead for up, forward in (NOSE, EYES)]
    return np.concatenate([joints, np.stack(face, 2)], 2)


def _trunk_axes(bones: Array) -> Array:
    """Rows to the person's left, upwards and ahead, as the chest has them: (N, T, 3, 3)."""
    up = bones[:, :, 8] / np.linalg.norm(bones[:, :, 8], axis=-1, keepdims=True)
    left = bones[:, :, 11] - bones[:, :, 14]
    left -= (left * up).sum(-1, keepdims=True) * up
    left /= np.linalg.norm(left, axis=-1, keepdims=True)
    return np.stack([left, up, np.cross(left, up)], 2).astype(np.float32)
