import itertools
import runpy
from pathlib import Path

import mmpose
import numpy as np
import pytest

from storage.skeleton import (
    COCO17,
    EDGES,
    H36M17,
    JOINT_MAPS,
    JOINTS,
    KINECT20,
    MIRROR_ORDER,
    MIRROR_PAIRS,
    NUM_JOINTS,
    PARENTS,
    SKELETON_TYPES,
    SkeletonType,
    centre_on_pelvis,
    converted,
)
from tests.storage.mirrors import mirror

KINDS = list(SKELETON_TYPES.values())


def connected(kind: SkeletonType) -> set[int]:
    reached, front = {0}, [0]
    while front:
        joint = front.pop()
        beside = {b for edge in kind.edges if joint in edge for b in edge} - reached
        reached |= beside
        front += beside
    return reached


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_joint_is_named_once_and_hangs_together_with_the_others(kind: SkeletonType) -> None:
    assert len(set(kind.joints)) == len(kind) == int(kind.name[-2:])
    assert connected(kind) == set(range(len(kind)))
    assert len({frozenset(edge) for edge in kind.edges}) == len(kind.edges)
    assert kind.root
    assert set(kind.root) <= set(range(len(kind)))


@pytest.mark.parametrize("kind", [H36M17, KINECT20], ids=lambda kind: kind.name)
def test_a_body_with_a_pelvis_is_a_tree(kind: SkeletonType) -> None:
    assert len(kind.edges) == len(kind) - 1


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_mirroring_swaps_left_and_right_and_leaves_the_graph_as_it_is(kind: SkeletonType) -> None:
    order = kind.mirror_order
    assert [order[joint] for joint in order] == list(range(len(kind)))
    swapped = {"left": "right", "right": "left"}
    for joint, name in enumerate(kind.joints):
        side, _, rest = name.partition("_")
        assert kind.joints[order[joint]] == (f"{swapped[side]}_{rest}" if side in swapped else name)
    edges = {frozenset(edge) for edge in kind.edges}
    assert {frozenset(order[joint] for joint in edge) for edge in edges} == edges
    assert {order[joint] for joint in kind.root} == set(kind.root)


@pytest.mark.parametrize(("kind", "config"), [(H36M17, "h36m"), (COCO17, "coco")])
def test_joints_mirrors_and_edges_are_mmposes(kind: SkeletonType, config: str) -> None:
    folder = Path(mmpose.__file__).parent / ".mim/configs/_base_/datasets"
    info = runpy.run_path(str(folder / f"{config}.py"))["dataset_info"]
    theirs = [info["keypoint_info"][joint] for joint in range(len(kind))]
    names = [joint["name"].replace("root", "pelvis") for joint in theirs]
    assert tuple(names) == kind.joints
    swaps = {joint["name"]: joint["swap"] for joint in theirs if joint["swap"]}
    assert swaps == {names[a]: names[b] for a, b in enumerate(kind.mirror_order) if a != b}
    links = {frozenset(link["link"]) for link in info["skeleton_info"].values()}
    links = {frozenset("pelvis" if name == "root" else name for name in link) for link in links}
    assert {frozenset(names[joint] for joint in edge) for edge in kind.edges} == links


def test_human36m_is_the_skeleton_used_elsewhere() -> None:
    frames = np.random.default_rng(0).normal(size=(3, 17, 3)).astype(np.float32)
    assert np.array_equal(H36M17.centred(frames), frames - frames[:, :1])
    assert np.array_equal(H36M17.centred(frames), centre_on_pelvis(frames))
    assert H36M17.mirror_order == MIRROR_ORDER


def test_a_root_of_several_joints_is_their_mean() -> None:
    frames = np.random.default_rng(0).normal(size=(2, 17, 3))
    centred = COCO17.centred(frames)
    assert np.allclose(centred[:, 11] + centred[:, 12], 0)
    assert np.allclose(np.diff(centred, axis=1), np.diff(frames, axis=1))


@pytest.mark.parametrize("names", JOINT_MAPS, ids="->".join)
def test_a_map_makes_every_joint_from_whole_shares_of_others_alike_on_both_sides(names: tuple[str, str]) -> None:
    kind, other = (SKELETON_TYPES[name] for name in names)
    parts = JOINT_MAPS[names]
    assert parts.keys() <= set(other.joints)
    rows = [
        {kind.joints.index(source): weight for source, weight in parts.get(joint, {joint: 1}).items()}
        for joint in other.joints
    ]
    for joint, weights in enumerate(rows):
        assert sum(weights.values()) == pytest.approx(1)
        mirrored = {kind.mirror_order[source]: weight for source, weight in weights.items()}
        assert rows[other.mirror_order[joint]] == mirrored
        source = kind.joints[next(iter(weights))]
        if len(weights) == 1:
            assert source == other.joints[joint].replace("foot", "ankle"), "what Human3.6M calls foot is the ankle"


def test_a_converted_skeleton_is_centred_and_keeps_its_limbs() -> None:
    kinect = np.random.default_rng(0).normal(size=(2, 20, 3)).astype(np.float32)
    found = converted(kinect, KINECT20, H36M17)
    assert found is not None
    assert np.allclose(found[:, 0], 0)
    knee, ankle = H36M17.joints.index("left_knee"), H36M17.joints.index("left_foot")
    assert np.allclose(found[:, knee] - found[:, ankle], kinect[:, 13] - kinect[:, 14], atol=1e-6)
    spine = H36M17.joints.index("spine")
    hips = kinect[:, [12, 16]].mean(1)
    assert np.allclose(found[:, spine], (kinect[:, 2] - hips) / 2, atol=1e-6)
    assert converted(kinect, KINECT20, KINECT20) is kinect
    assert converted(kinect, KINECT20, COCO17) is None


def test_edges_are_the_human36m_tree() -> None:
    chains = [(10, 9, 8), (8, 11, 12, 13), (8, 14, 15, 16), (8, 7, 0), (0, 1, 2, 3), (0, 4, 5, 6)]
    expected = {frozenset(pair) for chain in chains for pair in itertools.pairwise(chain)}
    assert {frozenset(edge) for edge in EDGES} == expected
    assert len(EDGES) == NUM_JOINTS - 1 == len(PARENTS) - 1


def test_mirror_pairs_join_left_and_right() -> None:
    for a, b in MIRROR_PAIRS:
        assert JOINTS[a].replace("right", "left").replace("left", "") == JOINTS[b].replace("right", "left").replace(
            "left", ""
        )
        assert JOINTS[a] != JOINTS[b]


def test_mirroring_swaps_sides_negates_x_and_undoes_itself() -> None:
    skeleton = np.random.default_rng(0).normal(size=(5, 17, 3)).astype(np.float32)
    flipped = mirror(skeleton)
    np.testing.assert_array_equal(flipped[:, 1], skeleton[:, 4] * [-1, 1, 1])
    np.testing.assert_array_equal(flipped[:, 10], skeleton[:, 10] * [-1, 1, 1])
    np.testing.assert_array_equal(mirror(flipped), skeleton)


def test_centring_puts_the_pelvis_at_the_origin() -> None:
    skeleton = np.random.default_rng(0).normal(size=(2, 17, 3))
    centred = centre_on_pelvis(skeleton)
    assert not centred[:, 0].any()
    np.testing.assert_allclose(centred[:, 5] - centred[:, 3], skeleton[:, 5] - skeleton[:, 3])
