"""What a lifter makes of keypoints beside the true joints, on poses of real people; and how far the two are apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from extraction.lifting.lifter import Lifter
from extraction.pose2d.joints import joint_map
from extraction.pose2d.keypoints import Poses2D
from extraction.quality.pose_metrics import joint_errors, procrustes_align
from storage.skeleton import JOINTS, centre_on_pelvis
from tests.fitting.clips import Clips

Array = NDArray[np.float32]

PCK_MILLIMETRES = 150


@dataclass(frozen=True)
class Lifted:
    """Frames with the lifter's answer and the truth.

    Attributes:
        keypoints: what the lifter was given, (F, 17, 2).
        skeletons: its answer, (F, 17, 3) metres, pelvis-centred.
        true: the same of the truth.
        same_axes: whether the truth is in camera axes too, so that more than the shape can be compared.
    """

    keypoints: Array
    skeletons: Array
    true: Array
    same_axes: bool = True

    def of(self, frames: NDArray[np.bool_]) -> "Lifted":
        """Some of the frames."""
        return Lifted(self.keypoints[frames], self.skeletons[frames], self.true[frames], self.same_axes)

    def by_joint(self) -> NDArray[np.float64]:
        """Errors of each joint, (17, 3): MPJPE and PA-MPJPE in mm, and PCK in 3D.

        PCK counts joints within 150 mm after alignment, as 3DPW and MPI-INF-3DHP are read.
        """
        aligned = joint_errors(procrustes_align(self.skeletons, self.true), self.true)
        plain = joint_errors(self.skeletons, self.true).mean(0) if self.same_axes else np.full(len(JOINTS), np.nan)
        return np.stack([plain, aligned.mean(0), (aligned <= PCK_MILLIMETRES).mean(0)], -1)


def mpjpe(pred: NDArray[np.floating], true: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean per-joint position error of each frame in mm, (..., J, 3) -> (...), as the two stand: centre both first."""
    return joint_errors(pred, true).mean(-1)


def pa_mpjpe(pred: NDArray[np.floating], true: NDArray[np.floating]) -> NDArray[np.float64]:
    """MPJPE of each frame after `procrustes_align`, mm, (..., J, 3) -> (...): the shape of the pose alone."""
    return mpjpe(procrustes_align(pred, true), true)


def lift(lifter: Lifter, keypoints: Array, scores: Array | None = None) -> Array:
    """Skeletons (T, 17, 3) from keypoints (T, 17, 2); believed everywhere without scores."""
    if scores is None:
        scores = np.ones(keypoints.shape[:2], np.float32)
    return lifter(Poses2D(keypoints, scores, np.ones((len(keypoints), 2), np.float32)))


def lift_each(lifter: Lifter, keypoints: Array) -> Array:
    """Skeletons of frames that have nothing to do with each other."""
    return np.concatenate([lift(lifter, frame[None]) for frame in keypoints])


def h36m(lifter: Lifter, folder: Path) -> Lifted:
    """Single frames of Human3.6M with the truth, `h36m/test_h36m_body3d.npz` of the folder."""
    with np.load(folder / "h36m/test_h36m_body3d.npz") as frames:
        keypoints, true = frames["part"][..., :2], centre_on_pelvis(frames["S"][..., :3])
    return Lifted(keypoints, lift_each(lifter, keypoints), true)


def videopose3d(lifter: Lifter, folder: Path) -> dict[str, Lifted]:
    """Videos of COCO keypoints with another lifter's opinion in world axes, `videopose3d/*.npz` of the folder."""
    found = {}
    for path in sorted((folder / "videopose3d").glob("*.npz")):
        with np.load(path) as video:
            keypoints = joint_map("coco", len(JOINTS)).keypoints(video["keypoints_2d"][..., :2])
            found[path.stem] = Lifted(keypoints, lift(lifter, keypoints), video["keypoints_3d"], same_axes=False)
    return found


def clips(lifter: Lifter, seen: Clips) -> dict[str, Lifted]:
    """Recorded motion, by what is seen of it: walks and all of it, exact and with noise."""
    found = {}
    for name, keypoints in (("exact 2D", seen.keypoints), ("noisy 2D", seen.noisy)):
        rows = [slice(*ends) for ends in zip(seen.start[:-1], seen.start[1:], strict=True)]
        skeletons = np.concatenate([lift(lifter, keypoints[row]) for row in rows])
        every = Lifted(keypoints, skeletons, seen.joints)
        found |= {f"walking, {name}": every.of(seen.walks), f"all, {name}": every}
    return found


def joined(parts: Mapping[str, Lifted]) -> Lifted:
    """All frames of several."""
    return Lifted(
        np.concatenate([part.keypoints for part in parts.values()]),
        np.concatenate([part.skeletons for part in parts.values()]),
        np.concatenate([part.true for part in parts.values()]),
        all(part.same_axes for part in parts.values()),
    )
