"""What skeletons say of themselves, without any truth. Pure functions on arrays; nothing is read.

How many frames have which status, how sure the estimator is, and what a real body does not do: change the length of its
limbs, shake, and exchange its left side with its right one from one frame to the next.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from extraction.lifting.canonical import LIMBS
from extraction.quality.pose_metrics import MILLIMETRES, joint_errors
from extraction.skeletons import LOW_CONFIDENCE, UNREADABLE, has_skeleton
from storage.skeleton import EDGES, MIRROR_ORDER, MIRROR_PAIRS
from storage.tables.parquet import Ragged
from storage.tables.schema import FRAME_STATUS

BINS = 10
"""Of a histogram of scores, from 0 to 1."""

SURE = 0.3
"""Joints that score less say nothing of left and right."""

MIN_PAIRS = 2  # pairs of joints: with one alone, a crossing of the ankles would count
CLEARLY = 0.5
"""A swap must be explained this much better by exchanged sides: seen from the side, left and right lie together."""

ENDS = np.array(EDGES)
PAIRED = np.array(MIRROR_PAIRS).ravel()


def consistency(found: Ragged, positions: Sequence[int]) -> dict[str, Any]:
    """What the skeletons of some tracklets say of themselves; None for what none of their frames can tell.

    Returns:
        status and filled: shares of the frames. zero_skeletons: frames that should have a skeleton and hold zeros.
        mean_score and score_histogram: of the limbs' joints in readable frames. limb_variation_mm, jitter_mm (a frame)
        and swaps (a hundred neighbouring frames that could be judged): of poses that were seen, not interpolated.
    """
    shaking, stretching, swapping = [], [], []
    zeros = 0
    for i in positions:
        status, filled, skeletons = (found.of(i, column) for column in ("status", "filled", "keypoints_3d"))
        zeros += int((has_skeleton(status, filled) & ~skeletons.any((1, 2))).sum())
        seen = (status <= LOW_CONFIDENCE) & ~filled
        shaking.append(jitter(skeletons)[seen[:-2] & seen[1:-1] & seen[2:]])
        stretching.append(limb_variation(skeletons[seen]))
        swapping.append(side_swaps(found.of(i, "keypoints_2d"), found.of(i, "scores"), seen))
    status = gathered(found, "status", positions)
    scores = gathered(found, "scores", positions)[status != UNREADABLE][:, LIMBS]
    return {
        "tracklets": len(positions),
        "frames": len(status),
        "status": {name: average(status == code) for code, name in enumerate(FRAME_STATUS)},
        "filled": average(gathered(found, "filled", positions)),
        "zero_skeletons": zeros,
        "mean_score": average(scores),
        "score_histogram": score_histogram(scores),
        "limb_variation_mm": average(*stretching),
        "jitter_mm": average(*shaking),
        "swaps": average(*swapping, scale=100),
    }


def score_histogram(scores: NDArray[np.floating]) -> list[int]:
    """How many scores lie in each of ten equal bins from 0 to 1, the last one with 1 in it."""
    counts: list[int] = np.bincount((scores.ravel() * BINS).astype(int).clip(0, BINS - 1), minlength=BINS).tolist()
    return counts


def jitter(skeletons: NDArray[np.floating]) -> NDArray[np.float64]:
    """How far joints lie from the midpoint of where they were a frame before and are a frame after, on average.

    Even motion has none. (T, 17, 3) metres -> (T - 2) mm, empty for fewer than three frames.
    """
    skeletons = np.asarray(skeletons, np.float64)
    shaking: NDArray[np.float64] = joint_errors(skeletons[1:-1], (skeletons[:-2] + skeletons[2:]) / 2).mean(-1)
    return shaking


def limb_variation(skeletons: NDArray[np.floating]) -> NDArray[np.float64]:
    """Standard deviation over time of the length of each of the 16 edges, mm; empty for fewer than two frames."""
    if len(skeletons) < 2:
        return np.zeros(0)
    lengths = np.linalg.norm(skeletons[:, ENDS[:, 0]] - skeletons[:, ENDS[:, 1]], axis=-1).astype(np.float64)  # (T, 16)
    deviations: NDArray[np.float64] = lengths.std(0) * MILLIMETRES
    return deviations


def side_swaps(
    keypoints: NDArray[np.floating], scores: NDArray[np.floating], seen: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Whether left and right changed places from a frame to the next: the estimator's commonest gross error.

    A frame is swapped against the one before it if its joints, left and right exchanged, lie less than half as far from
    the joints before as they do as they are. One swapped frame alone is two swaps: there and back.

    Args:
        keypoints: (T, 17, 2) pixels; a frame of zeros (imported skeletons have no keypoints) cannot be judged.
        scores: (T, 17); a pair of joints counts where both are sure in both frames.
        seen: (T,), frames with a pose of their own, neither missing nor interpolated.

    Returns:
        (T - 1,): 1 swapped, 0 not, nan where one of the two frames or too few pairs of joints tell anything.
    """
    keypoints = np.asarray(keypoints, np.float64)
    usable = seen & keypoints.any((1, 2))
    sure = scores >= SURE
    sure = sure & sure[:, MIRROR_ORDER]
    counted = (sure[1:] & sure[:-1])[:, PAIRED]  # (T - 1, 12): both joints of a pair, or neither
    plain = np.linalg.norm(keypoints[1:] - keypoints[:-1], axis=-1)[:, PAIRED]
    exchanged = np.linalg.norm(keypoints[1:, MIRROR_ORDER] - keypoints[:-1], axis=-1)[:, PAIRED]
    swapped = (exchanged * counted).sum(-1) < CLEARLY * (plain * counted).sum(-1)
    judged = usable[1:] & usable[:-1] & (counted.sum(-1) >= 2 * MIN_PAIRS)
    return np.where(judged, swapped, np.nan)


def gathered(found: Ragged, column: str, positions: Sequence[int]) -> NDArray[Any]:
    """The values of some tracklets, one behind another."""
    return np.concatenate([found.values[column][:0], *(found.of(i, column) for i in positions)])


def average(*parts: NDArray[Any], scale: float = 1.0) -> float | None:
    """Mean of all values that are not nan, times `scale`, as JSON holds it; None where there is none."""
    values = np.concatenate([np.zeros(0), *(part.ravel() for part in parts)])
    values = values[~np.isnan(values)]
    return rounded(scale * float(values.mean())) if values.size else None


def rounded(value: float) -> float | None:
    """A number as JSON holds it: four digits after the point, None for nan."""
    return None if np.isnan(value) else round(value, 4)
