"""Bones: the tree that joints hang in, and bodies whose bones have one length."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.bones import equal_bones, has_rings, paths, tree
from storage.skeleton import COCO17, H36M17, KINECT20, SkeletonType

LEAN = SkeletonType("lean", ("hip_right", "hip", "hip_left", "knee_left"), ((0, 1), (2, 3), (2, 1)), root=(1,))
"""Bones in any order and direction, the root not first."""


def skeletons(kind: SkeletonType, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(2, 5, len(kind), 3))


def by_walking(skeleton: np.ndarray, kind: SkeletonType, length: float) -> np.ndarray:
    """From the root outwards, a bone at a time."""
    placed = {kind.root[0]: np.zeros(3)}
    while len(placed) < len(kind):
        for a, b in [*kind.edges, *((b, a) for a, b in kind.edges)]:
            if a in placed and b not in placed:
                bone = skeleton[b] - skeleton[a]
                placed[b] = placed[a] + length * bone / np.linalg.norm(bone)
    return np.array([placed[joint] for joint in range(len(kind))])


def test_the_tree_goes_from_the_root_outwards() -> None:
    assert tree(LEAN) == ((1, 0), (1, 2), (2, 3))
    assert paths(LEAN).tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0], [0, 1, 1]]
    assert set(tree(KINECT20)) == set(KINECT20.edges)


def test_only_coco_has_rings() -> None:
    assert [has_rings(kind) for kind in (H36M17, KINECT20, LEAN, COCO17)] == [False, False, False, True]
    assert len(tree(COCO17)) == len(COCO17) - 1


@pytest.mark.parametrize("kind", [H36M17, KINECT20, LEAN], ids=lambda kind: kind.name)
@given(seed=st.integers(0, 999))
def test_bones_get_one_length_and_keep_their_directions(kind: SkeletonType, seed: int) -> None:
    given_ones = skeletons(kind, seed)
    found = equal_bones(given_ones, kind, 0.25)
    assert np.allclose(found[1, 3], by_walking(given_ones[1, 3], kind, 0.25))
    for a, b in kind.edges:
        assert np.allclose(np.linalg.norm(found[..., a, :] - found[..., b, :], axis=-1), 0.25)
    assert np.allclose(found[..., kind.root[0], :], 0)


def test_size_and_place_leave_no_trace() -> None:
    body = skeletons(KINECT20, 3)
    assert np.allclose(equal_bones(body, KINECT20, 0.2), equal_bones(1.3 * body + [4, 5, 6], KINECT20, 0.2))


def test_a_bone_without_length_stays_without_and_the_rest_hangs_on() -> None:
    body = skeletons(LEAN, 0).astype(np.float32)
    body[..., 2, :] = body[..., 1, :]
    found = equal_bones(body, LEAN, 0.5)
    assert found.dtype == np.float32
    assert np.array_equal(found[..., 2, :], found[..., 1, :])
    assert np.allclose(np.linalg.norm(found[..., 3, :] - found[..., 2, :], axis=-1), 0.5)
