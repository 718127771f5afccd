"""Skeletons as bones: the tree that joints hang in, and bodies whose bones all have one length.

With equal bones a ruler has nothing to measure: what is left of a body is how it stands and moves.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from storage.skeleton import Floating, SkeletonType

SHORTEST = 1e-6
"""Metres: what is shorter points nowhere."""


def tree(kind: SkeletonType) -> tuple[tuple[int, int], ...]:
    """(parent, child) of the bones on the shortest ways from the root, from there outwards.

    All of a skeleton's bones where they form no ring; where the root lies between joints, the first of them is taken.
    """
    near: dict[int, list[int]] = {joint: [] for joint in range(len(kind))}
    for a, b in kind.edges:
        near[a].append(b)
        near[b].append(a)
    reached, waiting, bones = {kind.root[0]}, deque([kind.root[0]]), []
    while waiting:
        parent = waiting.popleft()
        for child in near[parent]:
            if child not in reached:
                reached.add(child)
                waiting.append(child)
                bones.append((parent, child))
    return tuple(bones)


def paths(kind: SkeletonType) -> NDArray[np.float32]:
    """Which bones of `tree` lead to each joint, (J, E) of 0 and 1: joints are `paths @ bones` from the root joint."""
    bones = tree(kind)
    found = np.zeros((len(kind), len(bones)), np.float32)
    for number, (parent, child) in enumerate(bones):
        found[child] = found[parent]
        found[child, number] = 1
    return found


def has_rings(kind: SkeletonType) -> bool:
    """Whether bones form a ring, so that their lengths depend on each other and cannot all be chosen."""
    return len(tree(kind)) < len(kind.edges)


def equal_bones(skeletons: NDArray[Floating], kind: SkeletonType, length: float) -> NDArray[Floating]:
    """Skeletons with the directions of their bones as they are, and one length for all of them.

    Args:
        skeletons: (..., J, 3), metres, wherever their root is.
        kind: of the skeletons; without rings, or only the bones of `tree` have that length.
        length: of every bone, metres.

    Returns:
        (..., J, 3), centred on the root, same dtype. Where two joints of a bone are at one place there is no direction,
        and they stay at one place.
    """
    ends = np.array(tree(kind)).reshape(-1, 2)
    bones = skeletons[..., ends[:, 1], :] - skeletons[..., ends[:, 0], :]
    measured = np.linalg.norm(bones, axis=-1, keepdims=True)
    straight = np.where(measured > SHORTEST, bones / np.maximum(measured, SHORTEST), 0)
    joints: NDArray[Floating] = kind.centred(paths(kind) @ (length * straight)).astype(skeletons.dtype)
    return joints
