"""The committed models and the commands that make them: they learn, they load, they are good enough."""

from pathlib import Path

import numpy as np
import pytest
import torch

from extraction.lifting.lifter import Lifter
from extraction.pose2d.estimator import Estimator
from storage.demo.dataset import DemoSettings
from storage.errors import WeightsError
from tests.fitting import estimator as estimator_fit
from tests.fitting import lifter as lifter_fit
from tests.fitting.measure import ESTIMATOR, LIFTER, held_out, lift, on_demo, on_pose3d, pa_mpjpe, trained
from tests.fitting.people import render
from tests.fitting.weights import MODELS, RunningMean, save_half, untrained

POSE3D = Path(__file__).parents[2].parent / "shared" / "data" / "pose3d"


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def losses_of(fit, plan, *people):
    losses = []
    fit(plan, *people, lambda step, loss, *rest: losses.append(loss))
    return losses


def test_a_few_steps_lower_the_lifters_loss(monkeypatch):
    monkeypatch.setattr(lifter_fit, "REPORT_EVERY", 15)
    losses = losses_of(lifter_fit.fit, lifter_fit.Plan(steps=45, batch=64))
    assert losses[-1] < 0.8 * losses[0]


def test_a_few_steps_lower_the_estimators_loss(monkeypatch):
    monkeypatch.setattr(estimator_fit, "REPORT_EVERY", 5)
    losses = losses_of(estimator_fit.fit, estimator_fit.Plan(steps=20, batch=8), render(1, 16, (64, 128)))
    assert losses[-1] < 0.8 * losses[0]


def test_the_same_plan_gives_the_same_weights():
    plan = lifter_fit.Plan(steps=4, batch=16)
    one, other = (lifter_fit.fit(plan, lambda *_: None).state for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("name", [ESTIMATOR, LIFTER])
def test_committed_weights_fit_their_config_and_take_little_room(name):
    trained(name)
    assert (MODELS / f"{name}.safetensors").stat().st_size < 8e6


def test_weights_of_one_model_are_refused_by_the_other():
    with pytest.raises(WeightsError):
        trained(LIFTER, MODELS / f"{ESTIMATOR}.safetensors")


def test_saved_weights_are_the_models_in_half_precision(tmp_path):
    model = untrained("demo_lifter.py", seed=3)
    save_half(model.state_dict(), tmp_path / "weights.safetensors")
    loaded = trained(LIFTER, tmp_path / "weights.safetensors").state_dict()
    assert all(torch.equal(loaded[name], value.half().to(value.dtype)) for name, value in model.state_dict().items())


def test_the_running_mean_of_weights_that_stand_still_is_the_weights():
    model = untrained("demo_lifter.py", seed=3)
    mean = RunningMean(model)
    for _ in range(3):
        mean.update(model)
    assert all(torch.equal(mean.state[name], value) for name, value in model.state_dict().items())


def test_on_held_out_people_the_models_reach_what_the_demo_needs():
    lifter, estimator = Lifter(trained(LIFTER), normalise="canonical"), Estimator(trained(ESTIMATOR))
    results = on_demo(estimator, lifter, list(held_out(DemoSettings(), tracklets=8)))
    assert results["PCK@0.1 visible joints"] >= 0.95
    assert results["PA-MPJPE mm, estimated 2D"] <= 50
    assert results["PA-MPJPE mm, true 2D"] <= 35


def test_the_lifter_knows_depth_better_than_a_flat_body():
    lifter = Lifter(trained(LIFTER), normalise="canonical")
    results, flat = [], []
    for walker in held_out(DemoSettings(), tracklets=4):
        lifted = lift(lifter, walker.keypoints)
        results.append(pa_mpjpe(lifted, walker.skeletons))
        flat.append(pa_mpjpe(lifted * [1, 1, 0], walker.skeletons))
    assert np.concatenate(results).mean() < 0.6 * np.concatenate(flat).mean()


@pytest.mark.skipif(not POSE3D.is_dir(), reason="the real poses of ../shared/data/pose3d are not on this machine")
def test_on_real_poses_the_lifter_is_useful():
    results = on_pose3d(Lifter(trained(LIFTER), normalise="canonical"), POSE3D)
    assert results["h36m PA-MPJPE mm, true 2D"] < 80
    assert results["videopose3d PA-MPJPE mm"] < 80
