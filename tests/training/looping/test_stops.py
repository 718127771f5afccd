"""A training that is asked to stop loses nothing: it goes on after its last step and ends with the same bytes."""

from pathlib import Path

import pytest

from storage.progress import Progress
from storage.stop import Request, Stopped
from storage.store.trainings import Done
from tests.training.stages import FINETUNE, PRETRAIN, VISUAL, Stages, digests
from training.looping.states import sound_states
from training.settings import LoopSettings, TrainerSettings

LONGER = {
    "visual": VISUAL.model_copy(update={"epochs": 3}),
    "pretrain": PRETRAIN.model_copy(update={"epochs": 4}),
    "finetune": FINETUNE.model_copy(update={"epochs": 3}),
}


def stop_after(step: int, seen: list[int]) -> Progress:
    request = Request()

    def progress(done: int, total: int, message: str = "") -> None:
        seen.append(done)
        if len(seen) == step:
            request.ask()
        request.check()

    return progress


def stopped_every(
    stages: Stages, stage: str, settings: LoopSettings, steps: int, trainer: TrainerSettings
) -> tuple[Path, list[int], list[Done]]:
    """Stop a training after so many steps again and again until it ends; the steps it told, and where it stopped."""
    told: list[int] = []
    stops: list[Done] = []
    while True:
        seen: list[int] = []
        try:
            out = stages.run(stage, "stopped", settings, trainer, stop_after(steps, seen))
        except Stopped:
            at, _ = next(sound_states(stages.root / stage / "stopped" / "work"))
            stops.append(at)
            told += seen
            continue
        return out, told + seen, stops


@pytest.mark.parametrize("stage", LONGER)
def test_stops_in_the_middle_of_epochs_lose_no_step_and_change_no_byte(stages: Stages, stage: str) -> None:
    every: list[int] = []
    quiet = TrainerSettings(loggers=())
    whole = stages.run(stage, "whole", LONGER[stage], quiet, lambda done, total, message="": every.append(done))
    stopped, told, stops = stopped_every(stages, stage, LONGER[stage], 1, quiet)
    assert digests(stopped) == digests(whole)
    assert told == every
    assert len(stops) == len(every)
    assert any(steps for _, steps in stops), "some are in the middle of an epoch"
    assert len(list(sound_states(stopped / "work"))) == quiet.keep_states


@pytest.mark.slow(minutes=3)
def test_processes_of_one_training_stop_together_and_go_on_with_what_each_would_have_drawn(stages: Stages) -> None:
    two = TrainerSettings(loggers=(), devices=2)
    settings = LONGER["pretrain"].model_copy(update={"epochs": 2, "batch": 2, "sampler": "uniform"})
    whole = stages.run("pretrain", "whole", settings, two)
    stopped, _, stops = stopped_every(stages, "pretrain", settings, 2, two)
    assert any(steps for _, steps in stops), stops
    assert digests(stopped) == digests(whole)
