import itertools

import numpy as np

from storage.skeleton import EDGES, JOINTS, MIRROR_PAIRS, NUM_JOINTS, PARENTS, centre_on_pelvis, mirror


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
