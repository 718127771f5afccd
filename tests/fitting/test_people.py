"""What the estimator is fed: rendered people whose joints stay on them however they are disturbed."""

import cv2
import numpy as np
import pytest

from extraction.zoo.mmpose_compat import mmpose_scope
from tests.fitting.crops import rendered_crops
from tests.fitting.people import HIDDEN_WEIGHT, People, disturbed, heatmaps, render

CODEC = {"type": "MSRAHeatmap", "input_size": (64, 128), "heatmap_size": (16, 32), "sigma": 1.5, "unbiased": True}


@pytest.fixture(scope="module")
def people():
    return render(seed=5, count=12, size=(64, 128))


def test_rendering_depends_on_the_seed_alone(people):
    again = render(seed=5, count=12, size=(64, 128))
    assert np.array_equal(people.images, again.images)
    assert np.array_equal(people.keypoints, again.keypoints)


def test_weights_tell_visible_hidden_and_outside_apart(people):
    assert set(np.unique(people.weights)) <= {0, HIDDEN_WEIGHT, 1}
    inside = ((people.keypoints >= 0) & (people.keypoints < (64, 128))).all(-1)
    assert np.array_equal(people.weights > 0, inside)


def test_the_same_randomness_disturbs_alike_and_leaves_the_originals_alone(people):
    before = people.images.copy()
    one, other = (disturbed(np.random.default_rng(2), people, np.arange(12)) for _ in range(2))
    assert np.array_equal(one.images, other.images)
    assert np.array_equal(one.keypoints, other.keypoints)
    assert np.array_equal(people.images, before)


def test_joints_move_with_the_picture():
    rng = np.random.default_rng(0)
    place = rng.uniform((24, 48), (40, 80), (40, 17, 2)).astype(np.float32)
    place[:, 1:] = place[:, :1]  # one bright spot, where all joints are
    images = np.zeros((40, 128, 64, 3), np.uint8)
    for image, spot in zip(images, place[:, 0], strict=True):
        cv2.circle(image, tuple(np.round(spot * 16).astype(int).tolist()), 2 * 16, (255,) * 3, -1, cv2.LINE_AA, 4)
    moved = disturbed(np.random.default_rng(1), People(images, place, np.ones((40, 17), np.float32)), np.arange(40))
    for image, spot in zip(moved.images, moved.keypoints[:, 0], strict=True):
        light = image.sum(-1).astype(float)
        light[light < light.max() / 2] = 0
        ys, xs = np.mgrid[:128, :64]
        found = np.array([(xs * light).sum(), (ys * light).sum()]) / light.sum()
        assert np.linalg.norm(found - spot) < 1.5


def test_heatmaps_are_those_of_mmpose(people):
    with mmpose_scope():
        from mmpose.registry import KEYPOINT_CODECS

        codec = KEYPOINT_CODECS.build(CODEC)
    ours = heatmaps(people, CODEC)
    for i in range(len(people)):
        counts = (people.weights[i] > 0).astype(np.float32)
        encoded = codec.encode(people.keypoints[i : i + 1], counts[None])
        assert np.allclose(ours[i], encoded["heatmaps"], atol=1e-5)


def test_crops_for_training_are_seeded_and_labelled_inside() -> None:
    one, two = (list(rendered_crops(3, 12)) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a.image, b.image)
    visible = np.stack([c.visible for c in one])
    points = np.stack([c.keypoints for c in one])
    assert visible.mean() > 0.7
    assert ((points[visible] >= 0) & (points[visible] <= [64, 128])).all()
