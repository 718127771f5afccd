"""From the joints that a pose estimator predicts to the 17 of Human3.6M, by table."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.errors import SettingsError
from storage.skeleton import JOINTS, NUM_JOINTS

Sources = dict[str, dict[int, float]]

COCO: Sources = {
    "pelvis": {11: 0.5, 12: 0.5},  # between the hips
    "right_hip": {12: 1},
    "right_knee": {14: 1},
    "right_foot": {16: 1},
    "left_hip": {11: 1},
    "left_knee": {13: 1},
    "left_foot": {15: 1},
    "spine": {5: 0.25, 6: 0.25, 11: 0.25, 12: 0.25},  # between pelvis and thorax
    "thorax": {5: 0.5, 6: 0.5},  # between the shoulders
    "neck_base": {0: 1},  # the nose: what lifters trained on Human3.6M are fed by mmpose
    "head": {1: 0.5, 2: 0.5},  # between the eyes
    "left_shoulder": {5: 1},
    "left_elbow": {7: 1},
    "left_wrist": {9: 1},
    "right_shoulder": {6: 1},
    "right_elbow": {8: 1},
    "right_wrist": {10: 1},
}
"""Human3.6M joint -> weight of each COCO joint in it. Source: mmpose's `convert_keypoint_definition`, coco to h36m."""

HALPE26: Sources = COCO | {
    # Halpe-26 begins with COCO's 17 and adds points on the body's axis, so less has to be guessed
    "pelvis": {19: 1},
    "spine": {18: 0.5, 19: 0.5},  # between neck and hip
    "thorax": {18: 1},  # the neck
    "head": {17: 1},  # the top of the head
}
"""The same for Halpe-26. Source: the mapping that MotionBERT documents for skeletons found in videos."""

H36M: Sources = {joint: {i: 1} for i, joint in enumerate(JOINTS)}

DEFINITIONS: dict[str, tuple[int, Sources]] = {"coco": (17, COCO), "halpe26": (26, HALPE26), "h36m": (17, H36M)}
"""mmpose's name of a joint definition (`dataset_meta["dataset_name"]`) -> number of its joints, and the table."""


@dataclass(frozen=True)
class JointMap:
    """How one definition becomes Human3.6M's: `mixing` is (17, K) weights, rows sum to 1."""

    mixing: NDArray[np.float32]

    def keypoints(self, keypoints: NDArray[np.float32]) -> NDArray[np.float32]:
        """(..., K, C) -> (..., 17, C)."""
        mapped: NDArray[np.float32] = np.einsum("jk,...kc->...jc", self.mixing, keypoints)
        return mapped

    def scores(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """(..., K) -> (..., 17): a joint is no surer than the least sure of those it is made from."""
        used = self.mixing > 0
        least: NDArray[np.float32] = np.where(used, scores[..., None, :], np.inf).min(-1).astype(np.float32)
        return least


def joint_map(definition: str, num_joints: int) -> JointMap:
    """The map from the joints of a model, whose `dataset_meta["dataset_name"]` is `definition`.

    Raises:
        SettingsError: this definition of joints, or another number of them than it has, is not in the tables.
    """
    expected, table = DEFINITIONS.get(definition, (0, {}))
    if expected != num_joints:
        known = ", ".join(f"{name} ({count} joints)" for name, (count, _) in DEFINITIONS.items())
        raise SettingsError(
            f"a pose estimator of {num_joints} joints named {definition!r} cannot be mapped to Human3.6M's 17",
            where="extraction.estimator.config",
            fix=f"choose a model of: {known}",
        )
    mixing = np.zeros((NUM_JOINTS, num_joints), np.float32)
    for row, joint in enumerate(JOINTS):
        for column, weight in table[joint].items():
            mixing[row, column] = weight
    return JointMap(mixing)
