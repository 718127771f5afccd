"""Runs that are killed, processes and all, at any moment: what is visible is whole, and the end is the same."""

import multiprocessing
import os
import random
import shutil
import signal
import time
from collections import Counter
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from flows.config import Config, make_config
from flows.rebuild import rebuild
from flows.stages import STAGES
from storage.disk import is_locked
from storage.store.artifacts import Store
from tests.small_run import small_settings

KILLS = 108
LONGEST = 20.0  # seconds until an untargeted kill
PATIENCE = 120.0  # seconds for a whole run

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["flows.rebuild", "flows.pipeline", "training.finetune", "extraction.extract"])


def _work(config: Config) -> None:
    os.setsid()  # a group of its own, that is killed with all its processes
    rebuild(config)


def working_on(store: Path) -> set[str]:
    """Stages of which some process is making an artifact."""
    locks = [path for path in (store / "locks").glob("*.lock") if not path.name.startswith("run.")]
    return {path.name.split(".")[0] for path in locks if is_locked(path)}


def kill(process: BaseProcess) -> None:
    try:
        os.killpg(process.pid or 0, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()  # it has not made its group yet
    process.join()


def interrupted(config: Config, target: str | None, rng: random.Random) -> tuple[bool, set[str]]:
    """Start a run and kill it at random, or soon after a stage began; whether it was killed, and at what."""
    store = Path(config.store)
    process = FORKS.Process(target=_work, args=(config,))
    process.start()
    begun = time.monotonic()
    # most moments early: a run that goes on has little left to do
    until = begun + (rng.random() ** 2 * LONGEST if target is None else PATIENCE)
    while process.is_alive() and time.monotonic() < until:
        if target in working_on(store):
            until = min(until, time.monotonic() + rng.random() ** 3 * 0.3)
            target = None
        time.sleep(0.001)
    at = working_on(store)
    if process.is_alive():
        kill(process)
        return True, at
    assert process.exitcode == 0
    return False, set()


def digests(config: Config) -> dict[tuple[str, str, str], str]:
    """Digest of every artifact but the report, which names times, by stage, part and key."""
    made = Store(Path(config.store)).all()
    return {(a.stage, a.manifest["part"], a.key): a.digest for a in made if a.stage != "report"}


@pytest.fixture
def undisturbed(tmp_path: Path, api: str) -> dict[tuple[str, str, str], str]:
    config = make_config(small_settings(tmp_path / "undisturbed"))
    rebuild(config)
    return digests(config)


@pytest.mark.slow(minutes=30)
@pytest.mark.timeout(1800)
def test_a_hundred_kills_leave_nothing_half_made_and_change_no_byte(
    tmp_path: Path, undisturbed: dict[tuple[str, str, str], str], api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", api)
    config = make_config(small_settings(tmp_path / "disturbed"))
    rng = random.Random(0)
    # the others, such as the mean over splits, have nothing to do here
    stages = [stage for stage in STAGES if stage == "report" or any(made[0] == stage for made in undisturbed)]
    hit: Counter[str] = Counter()
    kills = completed = 0
    while kills < KILLS or not completed:
        # every second kill is at random; of the others, those at what was hit least so far
        target = None if kills % 2 else min(stages, key=lambda stage: (hit[stage], stages.index(stage)))
        killed, at = interrupted(config, target, rng)
        store = Store(Path(config.store))
        for stage, key in store.names():
            assert store.examine(stage, key)[1] == [], f"after kill {kills} at {at}"
        if killed:
            kills += 1
            hit.update(at or {"between stages"})
            continue
        completed += 1
        assert digests(config) == undisturbed
        shutil.rmtree(tmp_path / "disturbed")
    if Path(config.store).exists():
        rebuild(config)
        assert digests(config) == undisturbed
    print(f"{kills} kills, {completed} whole runs between them; at work: {dict(hit)}")
    assert set(stages) <= hit.keys()
