"""Kinds of skeletons: which joints there are, how they hang together, and what they become in another kind.

The skeleton used everywhere is that of Human3.6M, (..., 17, 3) float32 in metres, pelvis-centred, camera axes: x right,
y down, z away. The others are of data sets that come with skeletons.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Floating = TypeVar("Floating", bound=np.floating)
Recordings = Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]
"""Of each of some recordings, its skeletons (T, J, C), and which of them were tracked, (T,)."""


def other_side(joint: str) -> str:
    """A joint's name with left and right swapped, as a word before or after the rest: `foot_left` to `foot_right`."""
    swapped = {"left": "right", "right": "left"}
    return "_".join(swapped.get(word, word) for word in joint.split("_"))


@dataclass(frozen=True)
class SkeletonType:
    """A kind of skeleton of J joints.

    Attributes:
        name: of the kind.
        joints: names of the joints, in the order of the arrays.
        edges: of the joint graph, each once.
        root: the joint that a skeleton is centred on; several where it is the mean of them.
    """

    name: str
    joints: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    root: tuple[int, ...] = (0,)

    def __len__(self) -> int:
        return len(self.joints)

    @property
    def mirror_order(self) -> tuple[int, ...]:
        """`skeleton[..., mirror_order, :]` swaps left and right."""
        return tuple(self.joints.index(other_side(name)) for name in self.joints)

    @property
    def described(self) -> str | dict[str, Any]:
        """What `described_kind` makes this kind of again: its name, or all of it where csip does not know the name."""
        if SKELETON_TYPES.get(self.name) == self:
            return self.name
        edges = [list(edge) for edge in self.edges]
        return {"name": self.name, "joints": list(self.joints), "edges": edges, "root": list(self.root)}

    def centred(self, skeletons: NDArray[Floating]) -> NDArray[Floating]:
        """Skeletons (..., J, C) without the place of their root, each frame by itself; same dtype."""
        root: NDArray[Floating] = skeletons[..., list(self.root), :].mean(axis=-2, keepdims=True)
        return skeletons - root


def _tree(parents: Sequence[int]) -> tuple[tuple[int, int], ...]:
    return tuple((parent, joint) for joint, parent in enumerate(parents) if parent >= 0)


PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)
H36M17 = SkeletonType(
    "h36m17",
    (
        "pelvis", "right_hip", "right_knee", "right_foot", "left_hip", "left_knee", "left_foot",
        "spine", "thorax", "neck_base", "head",
        "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist",
    ),
    _tree(PARENTS),
)  # fmt: skip
"""Human3.6M: what extraction makes."""

JOINTS, EDGES, MIRROR_ORDER, NUM_JOINTS = H36M17.joints, H36M17.edges, H36M17.mirror_order, len(H36M17)
MIRROR_PAIRS = tuple((joint, other) for joint, other in enumerate(MIRROR_ORDER) if joint < other)
centre_on_pelvis = H36M17.centred

COCO17 = SkeletonType(
    "coco17",
    (
        "nose", "left_eye", "right_eye", "left_ear", "right_ear",
        "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
        "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    ),
    (
        (15, 13), (13, 11), (16, 14), (14, 12), (11, 12),
        (5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9), (8, 10),
        (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
    ),
    root=(11, 12),
)  # fmt: skip
"""COCO's keypoints. It has no pelvis: the root is the mean of the hips. Its graph has rings (face, trunk)."""

KINECT20 = SkeletonType(
    "kinect20",
    (
        "hip_center", "spine", "shoulder_center", "head",
        "left_shoulder", "left_elbow", "left_wrist", "left_hand",
        "right_shoulder", "right_elbow", "right_wrist", "right_hand",
        "left_hip", "left_knee", "left_ankle", "left_foot",
        "right_hip", "right_knee", "right_ankle", "right_foot",
    ),
    _tree((-1, 0, 1, 2, 2, 4, 5, 6, 2, 8, 9, 10, 0, 12, 13, 14, 0, 16, 17, 18)),
)  # fmt: skip
"""Kinect of the first kind, in the order of Microsoft's SDK 1 (NUI_SKELETON_POSITION_INDEX)."""

SKELETON_TYPES = {kind.name: kind for kind in (H36M17, COCO17, KINECT20)}


def described_kind(described: object) -> SkeletonType | None:
    """The kind of `SkeletonType.described`, also as read back from YAML or JSON; None if it describes none."""
    match described:
        case str():
            return SKELETON_TYPES.get(described)
        case {"name": str(name), "joints": list(joints), "edges": list(edges), "root": list(root)}:
            return SkeletonType(name, tuple(joints), tuple((int(a), int(b)) for a, b in edges), tuple(root))
        case _:
            return None


def skeleton_text(kind: SkeletonType) -> str:
    """A kind in a table's metadata: its name, or JSON."""
    return kind.described if isinstance(kind.described, str) else json.dumps(kind.described)


def skeleton_of(text: str) -> SkeletonType | None:
    """The kind of `skeleton_text`; None if it says none."""
    try:
        return described_kind(json.loads(text) if text.startswith("{") else text)
    except ValueError:
        return None


KINECT20_TO_H36M17: Mapping[str, Mapping[str, float]] = {
    # Kinect's hip_center lies above the line of the hips, the pelvis of Human3.6M on it
    "pelvis": {"left_hip": 0.5, "right_hip": 0.5},
    "right_foot": {"right_ankle": 1},  # what Human3.6M calls foot is the ankle
    "left_foot": {"left_ankle": 1},
    # Human3.6M's spine is half way up the trunk; Kinect's is just above the hips
    "spine": {"left_hip": 0.25, "right_hip": 0.25, "shoulder_center": 0.5},
    # between shoulder_center, which is higher, and the line of the shoulders
    "thorax": {"shoulder_center": 0.5, "left_shoulder": 0.25, "right_shoulder": 0.25},
    "neck_base": {"shoulder_center": 0.5, "head": 0.5},
    "head": {"head": 1},  # Kinect's is the middle of the head, Human3.6M's its top
}
"""What joints of `H36M17` are made of: Kinect joints and their weights; the others are of the same name."""

JOINT_MAPS = {("kinect20", "h36m17"): KINECT20_TO_H36M17}
"""(kind, other kind) -> what the other's joints are made of."""


def converted(skeletons: NDArray[np.float32], kind: SkeletonType, other: SkeletonType) -> NDArray[np.float32] | None:
    """Skeletons (..., J, C) of one kind as another, (..., J', C), centred on its root; None if there is no map."""
    if kind == other:
        return skeletons
    parts = JOINT_MAPS.get((kind.name, other.name))
    if parts is None:
        return None
    weights = np.zeros((len(other), len(kind)), np.float32)
    for row, joint in enumerate(other.joints):
        for source, weight in parts.get(joint, {joint: 1}).items():
            weights[row, kind.joints.index(source)] = weight
    return other.centred(np.einsum("kj,...jc->...kc", weights, skeletons)).astype(np.float32)
