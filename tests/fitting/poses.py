"""What bodies do: random short motions as joint angles, from walking and standing to sitting, bending and anything.

A lifter's idea of depth is a prior over poses, so that this table is what it knows. Everything is degrees in the table
and radians outside.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.fitting.kinematics import ANGLES, COLUMN

Array = NDArray[np.float32]

KEYS = 3
"""Key poses of a motion; time runs from 0 to KEYS - 1."""


@dataclass(frozen=True)
class Normal:
    """Around a mean."""

    mean: float
    spread: float


@dataclass(frozen=True)
class Uniform:
    """Anywhere between."""

    low: float
    high: float


Table = dict[str, tuple[float, dict[str, Normal | Uniform]]]

TRUNK: Table = {
    "upright": (0.7, {"pelvis_pitch": Normal(2, 7), "waist_pitch": Normal(5, 8), "chest_pitch": Normal(4, 9)}),
    "leaning": (0.2, {"pelvis_pitch": Normal(12, 15), "waist_pitch": Normal(12, 15), "chest_pitch": Normal(8, 15)}),
    "bent": (0.1, {"pelvis_pitch": Uniform(10, 80), "waist_pitch": Uniform(0, 45), "chest_pitch": Uniform(0, 40)}),
}
ALWAYS: dict[str, Normal | Uniform] = {
    "pelvis_yaw": Normal(0, 6), "pelvis_roll": Normal(0, 5),
    "waist_yaw": Normal(0, 10), "waist_roll": Normal(0, 8),
    "chest_yaw": Normal(0, 10), "chest_roll": Normal(0, 8),
    "neck_pitch": Normal(5, 18), "neck_yaw": Normal(0, 28), "neck_roll": Normal(0, 10),
}  # fmt: skip

LEGS: Table = {
    "standing": (0.28, {
        "hip_flex": Normal(0, 9), "hip_abduct": Normal(5, 6), "hip_turn_out": Normal(6, 12), "knee": Normal(6, 9),
    }),
    "stepping": (0.22, {
        "hip_flex": Uniform(-30, 55), "hip_abduct": Normal(4, 7), "hip_turn_out": Normal(5, 12),
        "knee": Uniform(0, 80),
    }),
    "sitting": (0.2, {
        "hip_flex": Normal(85, 16), "hip_abduct": Normal(10, 12), "hip_turn_out": Normal(3, 15),
        "knee": Normal(82, 24),
    }),
    "crouching": (0.1, {
        "hip_flex": Uniform(50, 130), "hip_abduct": Uniform(-5, 40), "hip_turn_out": Normal(10, 20),
        "knee": Uniform(60, 150),
    }),
    "on the floor": (0.08, {
        "hip_flex": Normal(95, 25), "hip_abduct": Normal(20, 18), "hip_turn_out": Normal(25, 30),
        "knee": Uniform(0, 145),
    }),
    "any": (0.12, {
        "hip_flex": Uniform(-30, 130), "hip_abduct": Uniform(-15, 55), "hip_turn_out": Uniform(-40, 60),
        "knee": Uniform(0, 150),
    }),
}  # fmt: skip

ARMS: Table = {
    "hanging": (0.33, {
        "arm_flex": Normal(4, 14), "arm_abduct": Normal(9, 8), "arm_turn_in": Normal(10, 28), "elbow": Normal(20, 16),
    }),
    "before the body": (0.24, {
        "arm_flex": Normal(20, 22), "arm_abduct": Normal(15, 15), "arm_turn_in": Normal(40, 35),
        "elbow": Normal(80, 30),
    }),
    "raised forwards": (0.11, {
        "arm_flex": Uniform(30, 170), "arm_abduct": Normal(12, 25), "arm_turn_in": Normal(10, 40),
        "elbow": Uniform(0, 125),
    }),
    "raised sideways": (0.11, {
        "arm_flex": Normal(0, 30), "arm_abduct": Uniform(30, 165), "arm_turn_in": Uniform(-90, 80),
        "elbow": Uniform(0, 130),
    }),
    "stretched out": (0.08, {
        "arm_flex": Normal(-2, 18), "arm_abduct": Uniform(30, 120), "arm_turn_in": Uniform(-40, 40),
        "elbow": Normal(8, 10),
    }),
    "any": (0.13, {
        "arm_flex": Uniform(-50, 170), "arm_abduct": Uniform(-15, 150), "arm_turn_in": Uniform(-90, 90),
        "elbow": Uniform(0, 145),
    }),
}  # fmt: skip
SHOULDER: dict[str, Normal | Uniform] = {"shrug": Normal(0, 14), "reach": Normal(6, 16)}

LIMITS = {"knee": (-3, 155), "elbow": (-3, 150), "hip_flex": (-45, 140), "hip_abduct": (-25, 70)}
"""Where anatomy stops, degrees, as spans of the leg and arm angles."""


def _draw(rng: np.random.Generator, n: int, law: Normal | Uniform) -> Array:
    values = rng.normal(law.mean, law.spread, n) if isinstance(law, Normal) else rng.uniform(law.low, law.high, n)
    return values.astype(np.float32)


def _choose(rng: np.random.Generator, n: int, table: Table) -> NDArray[np.int64]:
    weights = np.array([weight for weight, _ in table.values()])
    return rng.choice(len(table), n, p=weights / weights.sum())


def _fill(rng: np.random.Generator, angles: Array, table: Table, rows: NDArray[np.int64], prefix: str = "") -> None:
    """Draw every angle that the table speaks of, for each body from its own row of the table."""
    for row, (_, laws) in enumerate(table.values()):
        mine = np.flatnonzero(rows == row)
        for name, law in laws.items():
            angles[mine, COLUMN[prefix + name]] = _draw(rng, len(mine), law)


@dataclass(frozen=True)
class _Kinds:
    trunk: NDArray[np.int64]
    legs: NDArray[np.int64]
    left_arm: NDArray[np.int64]
    right_arm: NDArray[np.int64]


def _kinds(rng: np.random.Generator, n: int) -> _Kinds:
    left, right = _choose(rng, n, ARMS), _choose(rng, n, ARMS)
    alike = rng.random(n) < 0.5
    return _Kinds(_choose(rng, n, TRUNK), _choose(rng, n, LEGS), left, np.where(alike, left, right))


def key_poses(rng: np.random.Generator, kinds: _Kinds) -> Array:
    """One random pose of each kind, degrees, (N, len(ANGLES))."""
    n = len(kinds.legs)
    angles = np.zeros((n, len(ANGLES)), np.float32)
    for name, law in ALWAYS.items():
        angles[:, COLUMN[name]] = _draw(rng, n, law)
    _fill(rng, angles, TRUNK, kinds.trunk)
    for side, arm in (("left_", kinds.left_arm), ("right_", kinds.right_arm)):
        _fill(rng, angles, LEGS, kinds.legs, side)
        _fill(rng, angles, ARMS, arm, side)
        for name, law in SHOULDER.items():
            angles[:, COLUMN[side + name]] = _draw(rng, n, law)
    return angles


def _gait(rng: np.random.Generator, times: Array) -> Array:
    """What walking adds, degrees, (N, T, len(ANGLES)): legs swing, knees bend as they do, arms swing against them."""
    n = len(times)

    def each(low: float, high: float) -> Array:
        return rng.uniform(low, high, (n, 1)).astype(np.float32)

    added = np.zeros((*times.shape, len(ANGLES)), np.float32)
    # two key poses apart is about one stride of a normal walk
    phase = 2 * np.pi * (each(0, 1) + times * each(0.3, 1.0))
    swing, lift, arms, twist, lag = each(10, 38), each(25, 75), each(0, 35), each(0, 10), each(0.1, 0.7)
    for side, shift in (("left_", 0.0), ("right_", np.pi)):
        own = phase + shift
        added[..., COLUMN[side + "hip_flex"]] = swing * np.sin(own) + 0.15 * swing
        added[..., COLUMN[side + "knee"]] = lift * np.maximum(0, np.cos(own + lag)) ** 2
        added[..., COLUMN[side + "arm_flex"]] = -arms * np.sin(own)
        added[..., COLUMN[side + "elbow"]] = 0.4 * arms * (1 - np.sin(own))
    added[..., COLUMN["pelvis_yaw"]] = twist * np.sin(phase)
    added[..., COLUMN["waist_yaw"]] = -2 * twist * np.sin(phase)
    return added


def motions(rng: np.random.Generator, times: Array, walking: float = 0.35) -> Array:
    """Random motions seen at given moments.

    Args:
        rng: source of all randomness.
        times: (N, T), each between 0 and KEYS - 1; equal times give equal poses.
        walking: part of the motions that are gaits.

    Returns:
        Joint angles in radians, (N, T, len(ANGLES)).
    """
    n = len(times)
    kinds = _kinds(rng, n)
    walks = rng.random(n) < walking
    kinds = _Kinds(
        trunk=np.where(walks, rng.integers(0, 2, n), kinds.trunk),
        legs=np.where(walks, 0, kinds.legs),
        left_arm=np.where(walks & (rng.random(n) < 0.7), 0, kinds.left_arm),
        right_arm=np.where(walks & (rng.random(n) < 0.7), 0, kinds.right_arm),
    )
    first = key_poses(rng, kinds)
    # later key poses keep a part of the first: from a person who hardly moves to one who changes pose altogether
    kept = rng.uniform(0.2, 1.0, (n, 1)).astype(np.float32)
    keys = [first] + [kept * first + (1 - kept) * key_poses(rng, kinds) for _ in range(KEYS - 1)]
    stack = np.stack(keys, 1)  # (N, KEYS, A)
    index = np.clip(times.astype(np.int64), 0, KEYS - 2)
    part = times - index
    part = (part * part * (3 - 2 * part))[..., None]
    row = np.arange(n)[:, None]
    angles = stack[row, index] * (1 - part) + stack[row, index + 1] * part
    angles[walks] += _gait(rng, times[walks])
    for side in ("left_", "right_"):
        for name, (low, high) in LIMITS.items():
            column = angles[..., COLUMN[side + name]]
            np.clip(column, low, high, out=column)
        # hips are told against the vertical, not against the pelvis: who bends forward keeps standing on the legs
        angles[..., COLUMN[side + "hip_flex"]] += angles[..., COLUMN["pelvis_pitch"]]
    return np.deg2rad(angles)
