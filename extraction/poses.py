"""From what the estimator found in a tracklet's frames to its columns of `SKELETONS`: status, filling, lifting.

A frame that is unsure, shows nobody or cannot be decoded is filled from its neighbours where the run of such frames is
short, and marked so; its status and scores stay what they were. One broken file spoils one frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from extraction.filling import fillable, interpolate
from extraction.lifting.canonical import LIMBS
from storage.skeleton import NUM_JOINTS
from storage.tables.schema import FRAME_STATUS

if TYPE_CHECKING:
    from extraction.lifting.lifter import Lifter, Poses2D

OK, LOW_CONFIDENCE, NO_PERSON, UNREADABLE = range(len(FRAME_STATUS))


@dataclass(frozen=True)
class Estimates:
    """What the 2D estimator found in N frames.

    Attributes:
        keypoints: (N, 17, 2) pixels of each frame.
        scores: (N, 17).
        sizes: (N, 2) width and height of each frame; zeros where it could not be decoded.
    """

    keypoints: NDArray[np.float32]
    scores: NDArray[np.float32]
    sizes: NDArray[np.float32]

    @classmethod
    def empty(cls, frames: int) -> "Estimates":
        """Room for N frames, all unreadable so far."""
        shapes = ((frames, NUM_JOINTS, 2), (frames, NUM_JOINTS), (frames, 2))
        return cls(*(np.zeros(shape, np.float32) for shape in shapes))

    def __len__(self) -> int:
        return len(self.sizes)

    def rows(self, start: int, end: int | None = None) -> "Estimates":
        """Some of the frames, as views."""
        return Estimates(self.keypoints[start:end], self.scores[start:end], self.sizes[start:end])

    def followed_by(self, others: "Estimates") -> "Estimates":
        """These frames, and then the others."""
        return Estimates(*(np.concatenate(pair) for pair in zip(self._fields(), others._fields(), strict=True)))

    def _fields(self) -> tuple[NDArray[np.float32], ...]:
        return self.keypoints, self.scores, self.sizes


@dataclass(frozen=True)
class Thresholds:
    """When a frame counts as what.

    Attributes:
        min_score: a frame whose limb joints score less on average is of low confidence.
        no_person_score: one whose limb joints score less on average shows nobody.
        max_gap: longest run of frames that are not ok which is filled from the neighbours.
    """

    min_score: float
    no_person_score: float
    max_gap: int


def frame_status(found: Estimates, thresholds: Thresholds) -> NDArray[np.uint8]:
    """(N,) positions in `FRAME_STATUS`."""
    mean = found.scores[:, LIMBS].mean(-1)  # in COCO, trunk and head are made from other joints
    unsure = np.where(mean < thresholds.min_score, LOW_CONFIDENCE, OK)
    status = np.where(mean < thresholds.no_person_score, NO_PERSON, unsure)
    return np.where(found.sizes[:, 0] > 0, status, UNREADABLE).astype(np.uint8)


def skeletons_of(found: Sequence[Estimates], lifter: "Lifter", thresholds: Thresholds) -> list[dict[str, NDArray[Any]]]:
    """Columns of `SKELETONS`, (T, ...) each, of each tracklet. A tracklet's depend on no other tracklet (on a CPU)."""
    prepared = [_prepare(one, thresholds) for one in found]
    lifted = iter(lifter.lift([tracklet.poses for tracklet in prepared if tracklet.poses is not None]))
    return [_columns(one, tracklet, lifted) for one, tracklet in zip(found, prepared, strict=True)]


@dataclass(frozen=True)
class _Prepared:
    status: NDArray[np.uint8]
    filled: NDArray[np.bool_]
    poses: "Poses2D | None"  # None: there is no frame to lift anything from


def _prepare(found: Estimates, thresholds: Thresholds) -> _Prepared:
    from extraction.lifting.lifter import Poses2D

    status = frame_status(found, thresholds)
    filled = fillable(status == OK, thresholds.max_gap)
    seen = (status <= LOW_CONFIDENCE) & ~filled
    if not seen.any():
        return _Prepared(status, filled, None)
    # crops follow the person in place and size: what moves evenly is the pose within its crop
    readable = found.sizes[:, :1] > 0
    sizes = np.where(readable, found.sizes, interpolate(found.sizes, readable[:, 0]))
    within = np.divide(found.keypoints, sizes[:, None], dtype=np.float32)
    keypoints = np.where(seen[:, None, None], found.keypoints, interpolate(within, seen) * sizes[:, None])
    poses = Poses2D(keypoints.astype(np.float32), interpolate(found.scores, seen), sizes.astype(np.float32))
    return _Prepared(status, filled, poses)


def _columns(found: Estimates, tracklet: _Prepared, lifted: Any) -> dict[str, NDArray[Any]]:
    shown = ((tracklet.status <= LOW_CONFIDENCE) | tracklet.filled)[:, None, None]
    frames = len(found)
    skeletons, keypoints = np.zeros((frames, NUM_JOINTS, 3), np.float32), np.zeros((frames, NUM_JOINTS, 2), np.float32)
    if tracklet.poses is not None:
        skeletons = np.where(shown, next(lifted), 0)
        keypoints = np.where(shown, tracklet.poses.keypoints, 0)
    return {
        "keypoints_3d": skeletons,
        "keypoints_2d": keypoints,
        "scores": found.scores.clip(0, 1),
        "status": tracklet.status,
        "filled": tracklet.filled,
    }
