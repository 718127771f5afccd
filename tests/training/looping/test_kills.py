"""A training killed with SIGKILL again and again ends with the same bytes as one that was left alone."""

import multiprocessing
import os
import random
import signal
import time
from ctypes import c_int
from multiprocessing.sharedctypes import RawValue
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.training.conftest import Small
from tests.training.stages import FINETUNE, PRETRAIN, QUIET, VISUAL, Stages, digests
from training.looping.states import sound_states
from training.settings import HISTORY

KILLS = 10
LONGER = {
    "visual": VISUAL.model_copy(update={"epochs": 60}),
    "pretrain": PRETRAIN.model_copy(update={"epochs": 60}),
    "finetune": FINETUNE.model_copy(update={"epochs": 40}),
}


def in_process(small: Small, root: Path, stage: str, workers: int, steps: "c_int") -> None:
    """Runs a stage in a process of its own, which counts its steps."""

    def progress(done: int, total: int, message: str = "") -> None:
        steps.value += 1

    settings = LONGER[stage].model_copy(update={"decode_workers": workers})
    Stages(small, root).run(stage, "killed", settings, QUIET, progress)


@pytest.mark.slow(minutes=2)
@pytest.mark.parametrize("stage", LONGER)
def test_ten_kills_at_random_moments_change_no_byte(stages: Stages, stage: str) -> None:
    whole = stages.run(stage, "whole", LONGER[stage])
    total = len(pq.read_table(whole / HISTORY))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.training.stages"])
    chance = random.Random(stage)
    work = stages.root / stage / "killed" / "work"
    at = []
    while True:
        steps = RawValue(c_int, 0)
        process = context.Process(target=in_process, args=(stages.small, stages.root, stage, 1 + len(at) % 4, steps))
        process.start()
        until = chance.randint(0, total // 8)
        while len(at) < KILLS and process.is_alive() and steps.value < until:
            time.sleep(0.001)
        process.join(chance.uniform(0, 0.05) if len(at) < KILLS else None)
        if process.exitcode is not None:
            break
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        at.append(next(sound_states(work), ((0, 0), None))[0])
    assert process.exitcode == 0
    assert len(at) == KILLS, f"it ended after kills at epochs {at}"
    assert digests(stages.root / stage / "killed") == digests(whole), f"killed at epochs {at}"
    assert len(set(at)) > 3, f"kills hit different moments: {at}"
