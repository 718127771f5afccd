"""A training killed with SIGKILL again and again ends with the same bytes as one that was left alone."""

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest

from storage.progress import silent
from tests.training.conftest import Small
from tests.training.stages import FINETUNE, PRETRAIN, QUIET, VISUAL, Stages, digests
from training.states import sound_states

KILLS = 10
LONGER = {
    "visual": VISUAL.model_copy(update={"epochs": 60}),
    "pretrain": PRETRAIN.model_copy(update={"epochs": 60}),
    "finetune": FINETUNE.model_copy(update={"epochs": 40}),
}


def in_process(small: Small, root: Path, stage: str, workers: int) -> None:
    """Runs a stage in a process of its own, slowly enough to be killed in its midst."""
    settings = LONGER[stage].model_copy(update={"decode_workers": workers})

    def progress(done: int, total: int, message: str = "") -> None:
        silent(done, total, message)
        time.sleep(0.005)

    Stages(small, root).run(stage, "killed", settings, QUIET, progress)


@pytest.mark.slow
@pytest.mark.parametrize("stage", LONGER)
def test_ten_kills_at_random_moments_change_no_byte(stages: Stages, stage: str) -> None:
    whole = stages.run(stage, "whole", LONGER[stage])
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.training.stages"])
    chance = random.Random(stage)
    work = stages.root / stage / "killed" / "work"
    kills, at = 0, []
    for attempt in range(200):
        process = context.Process(target=in_process, args=(stages.small, stages.root, stage, 1 + attempt % 4))
        process.start()
        process.join(chance.uniform(0.2, 1.2) if kills < KILLS else None)
        if process.exitcode is None:
            os.kill(process.pid or 0, signal.SIGKILL)
            process.join()
            kills += 1
            at.append(next(sound_states(work), (0, None))[0])
        elif kills >= KILLS:
            break
        else:
            pytest.fail(f"the training ended after {kills} kills, at epochs {at}")
    assert kills >= KILLS
    assert process.exitcode == 0
    assert digests(stages.root / stage / "killed") == digests(whole), f"killed at epochs {at}"
    assert len(set(at)) > 3, "kills hit different moments"
