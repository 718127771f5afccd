"""Both learning-rate schedules, at every epoch."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.looping.schedules import warmup_cosine, warmup_steps
from training.settings import FinetuneSettings, PretrainSettings


def test_stage_1_warms_up_and_follows_a_cosine_at_every_epoch() -> None:
    chosen = PretrainSettings()
    for epoch in range(120):
        if epoch < 4:
            expected = 1e-5 + (3.5e-4 - 1e-5) * (epoch + 1) / 5
        else:
            expected = 1e-6 + (3.5e-4 - 1e-6) * (1 + math.cos(math.pi * (epoch + 1) / 120)) / 2
        share = warmup_cosine(epoch, 120, 5, chosen.warmup_lr / chosen.lr, chosen.final_lr / chosen.lr)
        assert chosen.lr * share == pytest.approx(expected), epoch
        if epoch == 0:
            assert chosen.lr * share == pytest.approx(7.8e-5)


def test_stage_2_warms_up_and_drops_at_its_milestones_at_every_epoch() -> None:
    chosen = FinetuneSettings()
    expected = [0.19, 0.28, 0.37, 0.46, 0.55, 0.64, 0.73, 0.82, 0.91]  # epochs 1 to 9
    expected += [1.0] * 20 + [0.1] * 20 + [0.01] * 20 + [0.001] * 11  # drops during epochs 30, 50 and 70
    found = [
        warmup_steps(epoch, chosen.warmup_epochs, chosen.warmup_factor, chosen.milestones, chosen.gamma)
        for epoch in range(chosen.epochs)
    ]
    assert found == pytest.approx(expected)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 10))
def test_steps_take_the_same_course_however_long_the_training_and_a_cosine_does_not(
    short: int, more: int, warmup: int
) -> None:
    """Why a training with steps can be made longer, and one with a cosine cannot."""
    milestones = (10, 30)
    course = [[warmup_steps(e, warmup, 0.1, milestones, 0.1) for e in range(n)] for n in (short, short + more)]
    assert course[1][:short] == course[0]
    if short > warmup + 1:
        course = [[warmup_cosine(e, n, warmup, 0.1, 0.0) for e in range(n)] for n in (short, short + more)]
        assert course[1][:short] != course[0]


def test_a_training_that_is_all_warm_up_has_a_rate() -> None:
    assert [warmup_cosine(e, 2, 5, 0.0, 0.1) for e in range(2)] == pytest.approx([0.2, 0.4])
