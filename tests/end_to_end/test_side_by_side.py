"""Several runs on one store at once: each piece of work is done once, and all end with the same."""

import multiprocessing
import os
import queue
import signal
import time
from collections import Counter
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from pathlib import Path
from typing import TypeAlias

import pytest

from flows.config import Config, make_config
from flows.rebuild import rebuild
from storage.disk import is_locked
from storage.store.artifacts import Store
from storage.store.runs import COMPLETED, DIED, records
from tests.small_run import small_settings

Answers: TypeAlias = "Queue[tuple[tuple[str, ...], dict[str, str]]]"
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["flows.rebuild", "flows.pipeline", "training.finetune", "extraction.extract"])


def _work(config: Config, answers: "Answers") -> None:
    result = rebuild(config)
    answers.put((result.built, {label: artifact.digest for label, artifact in result.artifacts.items()}))


def answer(process: BaseProcess, answers: "Answers") -> tuple[tuple[str, ...], dict[str, str]]:
    """What a run ended with; one that failed is not waited for."""
    while True:
        try:
            return answers.get(timeout=1)
        except queue.Empty:
            assert process.is_alive(), f"a run ended with status {process.exitcode}"


def start(config: Config) -> tuple[BaseProcess, "Answers"]:
    answers: Answers = FORKS.Queue()
    process = FORKS.Process(target=_work, args=(config, answers))
    process.start()
    return process, answers


@pytest.mark.slow(minutes=2)
@pytest.mark.timeout(600)
@pytest.mark.parametrize("runs", [2, 4])
def test_runs_at_once_compute_each_key_once_and_agree(
    tmp_path: Path, api: str, monkeypatch: pytest.MonkeyPatch, runs: int
) -> None:
    config = make_config(small_settings(tmp_path))
    started = [start(config) for _ in range(runs)]
    ended = [answer(*one) for one in started]
    for process, _ in started:
        process.join()

    # a report tells of its own run's lineage: the same for all, since it says who made what, and when
    built = Counter(label for labels, _ in ended for label in labels)
    assert set(built) == set(ended[0][1])
    assert set(built.values()) == {1}
    assert all(digests == ended[0][1] for _, digests in ended)
    assert [record["status"] for record in records(Store(Path(config.store)))] == [COMPLETED] * runs


@pytest.mark.slow(minutes=2)
@pytest.mark.timeout(600)
def test_the_work_of_a_run_that_was_killed_is_taken_over_by_the_one_that_waits(
    tmp_path: Path, api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(small_settings(tmp_path), ["visual.epochs=40"])
    first, _ = start(config)
    while not any(is_locked(path) for path in (tmp_path / "store" / "locks").glob("visual.*.lock")):
        assert first.is_alive()
        time.sleep(0.01)
    second, answers = start(config)
    while len(list((tmp_path / "store" / "runs").glob("*.json"))) < 2:
        assert second.is_alive()
        time.sleep(0.01)
    time.sleep(1)  # until it waits, too
    os.kill(first.pid or 0, signal.SIGKILL)

    built, digests = answer(second, answers)
    second.join()
    assert "visual" in built
    assert "skeletons train-000" not in built, "what the first had finished is kept"
    assert {"finetuned", "report"} <= set(digests)
    assert [record["status"] for record in records(Store(Path(config.store)))] == [DIED, COMPLETED]
