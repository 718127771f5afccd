"""MPJPE, PA-MPJPE and PCK against mmpose's own, and against what they must be by construction."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from extraction.quality.pose_metrics import joint_errors, pck, procrustes_align
from extraction.zoo.mmpose_compat import import_mmpose
from tests.fitting.measure import mpjpe, pa_mpjpe


@pytest.fixture
def skeletons():
    rng = np.random.default_rng(0)
    true = rng.normal(size=(6, 17, 3))
    return true + 0.1 * rng.normal(size=true.shape), true


def test_mpjpe_equals_that_of_mmpose_in_millimetres(skeletons):
    import_mmpose()
    from mmpose.evaluation.functional import keypoint_mpjpe

    pred, true = skeletons
    everything = np.ones(true.shape[:2], bool)
    assert mpjpe(pred, true).mean() == pytest.approx(1000 * keypoint_mpjpe(pred, true, everything), rel=1e-6)


def test_pa_mpjpe_equals_that_of_mmpose_in_millimetres(skeletons):
    import_mmpose()
    from mmpose.evaluation.functional import keypoint_mpjpe

    pred, true = skeletons
    everything = np.ones(true.shape[:2], bool)
    expected = 1000 * keypoint_mpjpe(pred, true, everything, alignment="procrustes")
    assert pa_mpjpe(pred, true).mean() == pytest.approx(expected, rel=1e-6)


def test_pa_mpjpe_forgives_rotation_scale_and_translation_but_no_reflection(skeletons):
    _, true = skeletons
    moved = 0.3 * true @ Rotation.from_euler("xyz", [1.0, -2.0, 0.5]).as_matrix().T + [1.0, 2.0, 3.0]
    assert pa_mpjpe(moved, true).max() < 1e-6
    assert pa_mpjpe(moved * [-1, 1, 1], true).min() > 100


def test_alignment_works_frame_by_frame_over_any_leading_axes(skeletons):
    pred, true = skeletons
    together = procrustes_align(pred.reshape(2, 3, 17, 3), true.reshape(2, 3, 17, 3))
    for frame in range(6):
        assert np.allclose(together.reshape(6, 17, 3)[frame], procrustes_align(pred[frame], true[frame]))


def test_a_collapsed_skeleton_is_moved_and_gives_finite_errors(skeletons):
    _, true = skeletons
    aligned = procrustes_align(np.zeros_like(true), true)
    assert np.allclose(aligned, true.mean(1, keepdims=True))


def test_errors_are_in_millimetres_and_per_joint():
    true = np.zeros((2, 17, 3))
    pred = true.copy()
    pred[1, 5] = [0.003, 0.0, 0.004]
    errors = joint_errors(pred, true)
    assert errors[1, 5] == pytest.approx(5.0)
    assert errors.sum() == pytest.approx(5.0)


def test_pck_equals_that_of_mmpose():
    import_mmpose()
    from mmpose.evaluation.functional import keypoint_pck_accuracy

    rng = np.random.default_rng(1)
    true = rng.uniform(0, 100, size=(8, 17, 2))
    pred = true + rng.normal(0, 8, size=true.shape)
    visible = rng.random((8, 17)) < 0.7
    side = (true.max(1) - true.min(1)).max(-1)
    per_joint, _, _ = keypoint_pck_accuracy(pred, true, visible, 0.1, np.stack([side, side], -1))
    assert np.allclose(np.nanmean(pck(pred, true, visible, 0.1), axis=0), per_joint)


def test_pck_does_not_count_hidden_joints_and_counts_all_without_a_mask():
    true = np.stack([np.linspace(0, 160, 17), np.zeros(17)], -1)
    pred = true.copy()
    pred[3] += 50
    visible = np.ones(17, bool)
    visible[3] = False
    assert np.nanmean(pck(pred, true, visible)) == 1
    assert np.nanmean(pck(pred, true)) == pytest.approx(16 / 17)
