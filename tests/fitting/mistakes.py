"""The mistakes of 2D estimators: where they put joints, which they take for each other, which they do not find."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

SIDES = ((1, 2, 3), (4, 5, 6)), ((14, 15, 16), (11, 12, 13))
"""The limbs that are taken for each other, right and left."""

EXACT_SHARE = 0.2
"""Part of the windows whose joints are where they are."""

LEVELS = np.float32(
    [0.6, 1.3, 1.0, 1.0, 1.3, 1.0, 1.0, 0.5, 0.4, 0.65, 0.7, 1.0, 1.1, 1.6, 1.0, 1.1, 1.6]  # Human3.6M's order
)
"""How far from its place each joint is found, in parts of the limbs' mean. Source: robust deviations of PP-TinyPose in
406 crops of the demo's training people; 0.7 of the variance there lasts through a tracklet."""

LOST: tuple[tuple[tuple[int, ...], tuple[float, ...]], ...] = (
    ((3, 2, 1), (0.22, 0.4, 0.2)),
    ((6, 5, 4), (0.22, 0.4, 0.2)),
    ((13, 12, 11), (0.41, 0.58, 0.06)),
    ((16, 15, 14), (0.41, 0.58, 0.06)),
    ((10, 9), (0.63, 0.62)),
)
"""Limbs from their end, how often the end is not found, and if it is not, how often the next joint is not either.

Source: OpenPose in the boxes of Market-1501 where it found somebody (`../shared/data/gait/market1501_pose.npz`)."""

LASTING = 4.0
"""How much a limb that is lost stays lost: the rate of each window is drawn from a Beta distribution of this size, so
that of the limbs lost in one frame a third or more is lost in the next, as there."""

HARD_SHARE = 0.4
"""Part of the windows that lose joints as often as Market-1501's boxes do; a fifth of them lose some now and then."""

CUT = ((3, 6), (2, 3, 5, 6), (11, 12, 13), (14, 15, 16), (9, 10))
"""Joints that lie outside of the crop or behind something for a whole tracklet, each in one window of fifty."""


def mistaken(rng: np.random.Generator, joints: Array, index: NDArray[np.int64]) -> tuple[Array, Array]:
    """What an estimator makes of joints, the same wherever a frame is repeated.

    Args:
        rng: source of all randomness.
        joints: (N, T, 17, 2), in any unit.
        index: which frame stands at each place of the window, (N, T).

    Returns:
        (N, T, 17, 2), and scores (N, T, 17) of 0 or 1.
    """
    n, frames = joints.shape[:2]
    row = np.arange(n)[:, None]
    size = np.sqrt(((joints - joints.mean(2, keepdims=True)) ** 2).sum(-1).mean((1, 2)))[:, None, None, None]
    scores = _scores(rng, n, frames)
    joints = joints.copy()
    often = rng.choice([0, 0.02, 0.1], (n, 1), p=[0.4, 0.5, 0.1])
    turned = rng.random((n, frames)) < 0.5 * often
    for right, left in SIDES:
        swapped = (turned ^ (rng.random((n, frames)) < often))[..., None, None]
        columns = [*right, *left]
        joints[:, :, columns] = np.where(swapped, joints[:, :, [*left, *right]], joints[:, :, columns])
    level = np.exp(rng.uniform(np.log(0.01), np.log(0.11), (n, 1, 1, 1)))
    level *= rng.random((n, 1, 1, 1)) > EXACT_SHARE
    level = level * np.where(rng.random((n, 1, 1, 1)) < 0.5, LEVELS[:, None], 1)
    lasts = rng.uniform(0, 0.85, (n, 1, 1, 1))
    noise = np.sqrt(lasts) * _normal(rng, (n, 1, 17, 2)) + np.sqrt(1 - lasts) * _normal(rng, (n, frames, 17, 2))
    # where nothing was found is a guess, which moves the middle of the trunk
    far = (scores == 0) | (rng.random((n, frames, 17)) < rng.choice([0, 0.01, 0.03], (n, 1, 1)) * (level[..., 0] > 0))
    joints += (size * level * noise).astype(np.float32)
    where = np.nonzero(far)
    joints[where] += 0.3 * size[where[0], 0, 0] * _normal(rng, (len(where[0]), 2))
    return joints[row, index].astype(np.float32), scores[row, index]


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.standard_normal(shape, np.float32)


def _scores(rng: np.random.Generator, n: int, frames: int) -> Array:
    """1 where a joint was found, (N, T, 17)."""
    found = np.ones((n, frames, 17), np.float32)
    easy = np.where(rng.random(n) < 0.2, 0.25 * rng.random(n), 0)
    hardness = np.where(rng.random(n) < HARD_SHARE, rng.uniform(0.2, 1.2, n), easy)[:, None]
    for joints, rates in LOST:
        rate = rng.beta(LASTING * rates[0], LASTING * (1 - rates[0]), (n, 1))
        lost = rng.random((n, frames)) < hardness * rate
        for joint, further in zip(joints, (*rates[1:], 0), strict=True):
            found[:, :, joint] *= ~lost
            lost = lost & (rng.random((n, frames)) < further)
    which = rng.random(n) * 50
    for i, columns in enumerate(CUT):
        found[np.ix_((which >= i) & (which < i + 1), np.arange(frames), columns)] = 0
    return found
