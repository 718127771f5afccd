"""The skeleton used everywhere: 17 Human3.6M joints, their edges, and their mirror image.

Skeletons are (..., 17, 3) float32 in metres, pelvis-centred, camera axes: x right, y down, z away.
"""

import numpy as np
from numpy.typing import NDArray

JOINTS = (
    "pelvis",
    "right_hip",
    "right_knee",
    "right_foot",
    "left_hip",
    "left_knee",
    "left_foot",
    "spine",
    "thorax",
    "neck_base",
    "head",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
)
NUM_JOINTS = len(JOINTS)
PELVIS = 0

PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)
EDGES = tuple((parent, joint) for joint, parent in enumerate(PARENTS) if parent >= 0)
MIRROR_PAIRS = ((1, 4), (2, 5), (3, 6), (11, 14), (12, 15), (13, 16))


def _mirror_order() -> tuple[int, ...]:
    order = list(range(NUM_JOINTS))
    for a, b in MIRROR_PAIRS:
        order[a], order[b] = b, a
    return tuple(order)


MIRROR_ORDER = _mirror_order()
"""`skeleton[..., MIRROR_ORDER, :]` swaps left and right."""


def centre_on_pelvis(skeleton: NDArray[np.floating]) -> NDArray[np.floating]:
    """Subtract the pelvis from every joint of (..., 17, C); same dtype."""
    return skeleton - skeleton[..., PELVIS : PELVIS + 1, :]


def mirror(skeleton: NDArray[np.floating]) -> NDArray[np.floating]:
    """The skeleton of the flipped image: x negated, left and right swapped. (..., 17, 3), pelvis-centred."""
    flipped = skeleton[..., MIRROR_ORDER, :].copy()
    flipped[..., 0] *= -1
    return flipped
