"""How far an estimated pose is from the true one: joint errors in 3D, before and after alignment, and PCK in 2D.

Every function takes any leading axes (B, T, ...) before the J joints. Skeletons are metres; 3D errors are millimetres.
"""

import numpy as np
from numpy.typing import NDArray

MILLIMETRES = 1000.0

Array = NDArray[np.floating]


def joint_errors(pred: Array, true: Array) -> NDArray[np.float64]:
    """Distance of each joint from the truth in mm: (..., J, 3) and (..., J, 3) in metres -> (..., J)."""
    difference = np.asarray(pred, np.float64) - np.asarray(true, np.float64)
    distances: NDArray[np.float64] = np.linalg.norm(difference, axis=-1)
    return distances * MILLIMETRES


def procrustes_align(pred: Array, true: Array) -> NDArray[np.float64]:
    """The similarity transform of `pred` (rotation, one scale, translation; no reflection) nearest to `true`.

    Args:
        pred: estimated joints, (..., J, 3).
        true: true joints, same shape.

    Returns:
        (..., J, 3) float64. A frame whose joints all coincide is only moved.

    Source: Umeyama 1991, "Least-squares estimation of transformation parameters between two point patterns".
    """
    pred = np.asarray(pred, np.float64)
    true = np.asarray(true, np.float64)
    pred_mean = pred.mean(-2, keepdims=True)
    true_mean = true.mean(-2, keepdims=True)
    a = pred - pred_mean
    b = true - true_mean
    u, s, vt = np.linalg.svd(np.swapaxes(a, -1, -2) @ b)  # (..., 3, 3)
    # det(u vt) is 1 or -1 up to rounding: where it is -1 the best orthogonal map is a mirror, which a body is not
    turn = np.where(np.linalg.det(u @ vt) < 0, -1.0, 1.0)
    u[..., :, 2] *= turn[..., None]
    s[..., 2] *= turn
    size = (a**2).sum((-1, -2))
    scale = np.divide(s.sum(-1), size, out=np.ones_like(size), where=size > 0)
    aligned: NDArray[np.float64] = scale[..., None, None] * (a @ (u @ vt)) + true_mean
    return aligned


def pck(
    pred: Array, true: Array, visible: NDArray[np.bool_] | None = None, threshold: float = 0.1
) -> NDArray[np.float64]:
    """Percentage of correct keypoints: which joints lie near enough to the truth.

    Args:
        pred: estimated joints, (..., J, 2), pixels.
        true: true joints, (..., J, 2), pixels.
        visible: (..., J), true where a joint counts; all count where None.
        threshold: what is near enough, as a part of the larger side of the tight box of all true joints.

    Returns:
        (..., J): 1 near enough, 0 not, nan not counted; `np.nanmean` of it, over whatever axes, is the PCK.
    """
    pred = np.asarray(pred, np.float64)
    true = np.asarray(true, np.float64)
    side = (true.max(-2) - true.min(-2)).max(-1)
    within = (np.linalg.norm(pred - true, axis=-1) < threshold * side[..., None]).astype(np.float64)
    return within if visible is None else np.where(np.asarray(visible, bool), within, np.nan)
