"""The lifter's view of 2D keypoints: every window moved and scaled onto one canvas, whatever the camera and the crop.

A lifter never learns where in the image a person stood or how many pixels tall: in a ReID crop both say something of
the detector, nothing of the pose. The lifter is trained on, and must be given, what `canonical` returns.
"""

import numpy as np
from numpy.typing import NDArray

CANVAS = 1000
"""Width and height of the canonical image, in its pixels: `w` and `h` of the lifting codec's `camera_param`."""

SPREAD = 250
"""Root mean square distance of the limbs' joints from the trunk's middle on the canvas."""

TRUNK = (1, 4, 11, 14)
"""Hips and shoulders: the four that every joint definition puts at the same place."""

LIMBS = (1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16)
"""The joints that COCO and Human3.6M agree on: spine, thorax, neck and head are guesses in one of them."""

MIN_SCORE = 0.2
MIN_SEEN = 4  # limb joints: fewer give no size


def canonical(
    keypoints: NDArray[np.floating], scores: NDArray[np.floating], min_score: float = MIN_SCORE
) -> NDArray[np.float32]:
    """Keypoints as the project's lifter wants them.

    Each frame is centred by itself on the middle of hips and shoulders, since crops follow the person, and all frames
    of a window share one scale (the median of theirs), since limbs that shorten on the way tell of depth. A joint that
    the estimator does not believe in is put at the centre, which is how the lifter knows that it is missing.

    Args:
        keypoints: windows of Human3.6M joints, (..., T, 17, 2), in pixels of anything with square pixels.
        scores: the estimator's confidence, (..., T, 17).
        min_score: joints that score less are missing.

    Returns:
        (..., T, 17, 2) float32 on a canvas of 1000 x 1000. All finite: a window without a body is all centre.
    """
    keypoints = np.asarray(keypoints, np.float32)
    seen = np.asarray(scores) >= min_score
    offsets = keypoints - keypoints[..., TRUNK, :].mean(-2, keepdims=True)
    size = _window_size(offsets[..., LIMBS, :], seen[..., LIMBS])[..., None, None, None]
    placed = np.divide(offsets * SPREAD, size, out=np.zeros_like(offsets), where=size > 0)
    return np.where(seen[..., None], placed, 0).astype(np.float32) + np.float32(CANVAS / 2)


def _window_size(offsets: NDArray[np.float32], seen: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Median over the frames of a window of the spread of the seen joints, (..., T, L, 2) -> (...); 0: no body."""
    squares = (offsets**2).sum(-1)
    count = seen.sum(-1)
    enough = count >= MIN_SEEN
    # a window with no frame that shows enough is sized by all of its joints, believed or not
    everywhere = ~enough.any(-1, keepdims=True)
    spread = np.sqrt(np.where(everywhere, squares.mean(-1), (squares * seen).sum(-1) / np.maximum(count, 1)))
    counted = np.where(enough | everywhere, spread, np.nan)
    return np.nanmedian(counted, axis=-1).astype(np.float32)
