"""From what the estimator found in a tracklet's frames to its columns of `SKELETONS`: status, gaps, lifting.

A frame that is unsure, shows nobody or cannot be decoded is filled from its neighbours where the run of such frames is
short, and marked so; its status and scores stay what they were. One broken file spoils one frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from extraction.gaps import fillable, interpolate
from extraction.lifting.canonical import LIMBS
from extraction.lifting.lifter import Lifter
from extraction.pose2d.keypoints import Poses2D
from extraction.skeletons import LOW_CONFIDENCE, NO_PERSON, OK, UNREADABLE, Columns, has_skeleton
from storage.skeleton import NUM_JOINTS


@dataclass(frozen=True)
class Thresholds:
    """When a frame counts as what; the fields of `extract.ExtractionSettings`."""

    min_score: float
    no_person_score: float
    max_gap: int


def frame_status(found: Poses2D, thresholds: Thresholds) -> NDArray[np.uint8]:
    """(T,) positions in `FRAME_STATUS`."""
    mean = found.scores[:, LIMBS].mean(-1)  # in COCO, trunk and head are made from other joints
    unsure = np.where(mean < thresholds.min_score, LOW_CONFIDENCE, OK)
    status = np.where(mean < thresholds.no_person_score, NO_PERSON, unsure)
    return np.where(found.sizes[:, 0] > 0, status, UNREADABLE).astype(np.uint8)


def skeletons_of(found: Sequence[Poses2D], lifter: Lifter, thresholds: Thresholds) -> list[Columns]:
    """The columns of each tracklet, which depend on no other tracklet (on a CPU)."""
    answers = [_without_pose(poses, thresholds) for poses in found]
    posed: list[tuple[Columns, Poses2D]] = []
    for columns, poses in zip(answers, found, strict=True):
        seen = (columns["status"] <= LOW_CONFIDENCE) & ~columns["filled"]
        if seen.any():
            posed.append((columns, _without_gaps(poses, seen)))
    lifted = lifter.lift([poses for _, poses in posed])
    for (columns, poses), skeletons in zip(posed, lifted, strict=True):
        shown = has_skeleton(columns["status"], columns["filled"])[:, None, None]
        columns["keypoints_3d"] = np.where(shown, skeletons, 0)
        columns["keypoints_2d"] = np.where(shown, poses.keypoints, 0)
    return answers


def _without_pose(found: Poses2D, thresholds: Thresholds) -> Columns:
    status = frame_status(found, thresholds)
    return {
        "keypoints_3d": np.zeros((len(found), NUM_JOINTS, 3), np.float32),
        "keypoints_2d": np.zeros((len(found), NUM_JOINTS, 2), np.float32),
        "scores": found.scores.clip(0, 1),
        "status": status,
        "filled": fillable(status == OK, thresholds.max_gap),
    }


def _without_gaps(found: Poses2D, seen: NDArray[np.bool_]) -> Poses2D:
    # crops follow the person in place and size: what moves evenly is the pose within its crop
    readable = found.sizes[:, 0] > 0
    sizes = np.where(readable[:, None], found.sizes, interpolate(found.sizes, readable))
    within = np.divide(found.keypoints, sizes[:, None], dtype=np.float32)
    keypoints = np.where(seen[:, None, None], found.keypoints, interpolate(within, seen) * sizes[:, None])
    return Poses2D(keypoints.astype(np.float32), interpolate(found.scores, seen), sizes.astype(np.float32))
