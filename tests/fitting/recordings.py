"""A recording made by hand, for tests: somebody who walks straight ahead, in the axes and the file format of mocap."""

from pathlib import Path

import numpy as np

from storage.skeleton import PARENTS
from tests.fitting.kinematics import ANGLES, COLUMN, Build, forward
from tests.fitting.mocap import Motion

SPEED = 1.2  # m/s
STRIDE = 36  # frames


def walk(frames: int = 90) -> Motion:
    """One sequence of a person who faces and walks towards -z, as the body axes have it."""
    build = Build(**{name: np.repeat(value, frames) for name, value in vars(Build.sample(_rng(), 1)).items()})
    swing = np.sin(2 * np.pi * np.arange(frames) / STRIDE, dtype=np.float32)
    angles = np.zeros((frames, len(ANGLES)), np.float32)
    for side, sign in (("left", 1), ("right", -1)):
        angles[:, COLUMN[f"{side}_hip_flex"]] = 0.4 * sign * swing
        angles[:, COLUMN[f"{side}_knee"]] = 0.4
        angles[:, COLUMN[f"{side}_arm_flex"]] = -0.3 * sign * swing
    joints, _ = forward(build, angles)
    root = np.zeros((frames, 3), np.float32)
    root[:, 2] = -SPEED * np.arange(frames) / 30
    bones = joints - joints[:, np.maximum(PARENTS, 0)]
    return Motion(bones, root, np.array([0, frames]), np.array([True]))


def write(path: Path, names: list[str], frames: int = 40) -> Path:
    """A file of such walks, z up, under the names of sequences."""
    motion = walk(frames)
    joints = np.zeros_like(motion.bones)
    for joint, parent in enumerate(PARENTS[1:], 1):
        joints[:, joint] = joints[:, parent] + motion.bones[:, joint]
    up = np.array([0, 2, 1]), np.float32([1, 1, -1])
    np.savez(
        path,
        joints=np.tile(joints[..., up[0]] * up[1], (len(names), 1, 1)),
        root=np.tile(motion.root[..., up[0]] * up[1], (len(names), 1)),
        sequence=np.array(names),
        start=np.arange(len(names)) * frames,
    )
    return path


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)
