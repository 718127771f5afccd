"""Kinds of skeletons: which joints there are, how they hang together, and what they become in another kind."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage import skeleton as h36m


@dataclass(frozen=True)
class SkeletonType:
    """A kind of skeleton of J joints.

    Attributes:
        name: of the kind.
        joints: names of the joints, in the order of the arrays.
        edges: of the joint graph, each once.
        mirror_pairs: joints that change places in the mirror image.
        root: the joint that a skeleton is centred on; several where it is the mean of them.
    """

    name: str
    joints: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    mirror_pairs: tuple[tuple[int, int], ...]
    root: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.joints)

    @property
    def mirror_order(self) -> tuple[int, ...]:
        """`skeleton[..., mirror_order, :]` swaps left and right."""
        order = list(range(len(self)))
        for a, b in self.mirror_pairs:
            order[a], order[b] = b, a
        return tuple(order)

    def centred(self, skeletons: NDArray[np.floating]) -> NDArray[np.floating]:
        """Skeletons (..., J, C) without the place of their root, each frame by itself; same dtype."""
        return skeletons - skeletons[..., list(self.root), :].mean(axis=-2, keepdims=True)


def _mirrored_names(joints: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """Pairs (left, right) of joints that are named alike but for the side, in the order of the left ones."""
    return tuple(
        (left, joints.index("right_" + name.removeprefix("left_")))
        for left, name in enumerate(joints)
        if name.startswith("left_")
    )


H36M17 = SkeletonType("h36m17", h36m.JOINTS, h36m.EDGES, h36m.MIRROR_PAIRS, (h36m.PELVIS,))
"""Human3.6M: what extraction makes."""

_COCO = (
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
)
COCO17 = SkeletonType(
    "coco17",
    _COCO,
    (
        (15, 13),
        (13, 11),
        (16, 14),
        (14, 12),
        (11, 12),
        (5, 11),
        (6, 12),
        (5, 6),
        (5, 7),
        (6, 8),
        (7, 9),
        (8, 10),
        (1, 2),
        (0, 1),
        (0, 2),
        (1, 3),
        (2, 4),
        (3, 5),
        (4, 6),
    ),
    _mirrored_names(_COCO),
    (11, 12),
)
"""COCO's keypoints. It has no pelvis: the root is the mean of the hips. Its graph has rings (face, trunk)."""

_KINECT = (
    "hip_center",
    "spine",
    "shoulder_center",
    "head",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "left_hand",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
    "right_hand",
    "left_hip",
    "left_knee",
    "left_ankle",
    "left_foot",
    "right_hip",
    "right_knee",
    "right_ankle",
    "right_foot",
)
KINECT20 = SkeletonType(
    "kinect20",
    _KINECT,
    (
        (0, 1),
        (1, 2),
        (2, 3),
        (2, 4),
        (4, 5),
        (5, 6),
        (6, 7),
        (2, 8),
        (8, 9),
        (9, 10),
        (10, 11),
        (0, 12),
        (12, 13),
        (13, 14),
        (14, 15),
        (0, 16),
        (16, 17),
        (17, 18),
        (18, 19),
    ),
    _mirrored_names(_KINECT),
    (0,),
)
"""Kinect of the first kind, in the order of Microsoft's SDK 1 (NUI_SKELETON_POSITION_INDEX)."""

SKELETON_TYPES = {kind.name: kind for kind in (H36M17, COCO17, KINECT20)}

Weights = Mapping[int, float]
_HIPS: Weights = {12: 0.5, 16: 0.5}
KINECT20_TO_H36M17: tuple[Weights, ...] = (
    _HIPS,  # Kinect's hip_center lies above the line of the hips, the pelvis of Human3.6M on it
    {16: 1},
    {17: 1},
    {18: 1},  # what Human3.6M calls foot is the ankle
    {12: 1},
    {13: 1},
    {14: 1},
    {12: 0.25, 16: 0.25, 2: 0.5},  # Human3.6M's spine is half way up the trunk; Kinect's is just above the hips
    {2: 0.5, 4: 0.25, 8: 0.25},  # between shoulder_center, which is higher, and the line of the shoulders
    {2: 0.5, 3: 0.5},
    {3: 1},  # Kinect's is the middle of the head, Human3.6M's its top
    {4: 1},
    {5: 1},
    {6: 1},
    {8: 1},
    {9: 1},
    {10: 1},
)
"""What each joint of `H36M17` is made of: Kinect joints and their weights. Hands and feet are left out."""

JOINT_MAPS: Mapping[tuple[str, str], tuple[Weights, ...]] = {
    ("kinect20", "h36m17"): KINECT20_TO_H36M17,
}
"""(kind, other kind) -> what each joint of the other is made of. Pelvis, spine, thorax and neck are interpolated."""


def converted(skeletons: NDArray[np.float32], kind: SkeletonType, other: SkeletonType) -> NDArray[np.float32] | None:
    """Skeletons (..., J, C) of one kind as another, (..., J', C), centred on its root; None if there is no map."""
    if kind == other:
        return skeletons
    rows = JOINT_MAPS.get((kind.name, other.name))
    if rows is None:
        return None
    weights = np.zeros((len(other), len(kind)), np.float32)
    for joint, parts in enumerate(rows):
        for source, weight in parts.items():
            weights[joint, source] = weight
    return other.centred(np.einsum("kj,...jc->...kc", weights, skeletons)).astype(np.float32)
