import logging
import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from storage.disk import holder, is_locked, locked

SPAWN = multiprocessing.get_context("spawn")


def _hold(path: Path, ready: Path) -> None:
    with locked(path, "skeletons train-003"):
        ready.touch()
        time.sleep(60)


@pytest.fixture
def other(tmp_path: Path) -> BaseProcess:
    """Another process, which holds the lock of `tmp_path / lock`."""
    ready = tmp_path / "ready"
    process = SPAWN.Process(target=_hold, args=(tmp_path / "lock", ready))
    process.start()
    while not ready.exists():
        assert process.is_alive()
        time.sleep(0.01)
    yield process
    process.kill()
    process.join()


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path, other: BaseProcess) -> None:
    assert is_locked(tmp_path / "lock")
    os.kill(other.pid or 0, signal.SIGKILL)
    other.join()
    assert not is_locked(tmp_path / "lock")
    with locked(tmp_path / "lock", "mine"):
        pass


def test_who_waits_says_for_whom_and_gets_the_lock_when_the_holder_dies(
    tmp_path: Path, other: BaseProcess, caplog: pytest.LogCaptureFixture
) -> None:
    got = threading.Event()

    def wait() -> None:
        with locked(tmp_path / "lock", "mine"):
            got.set()

    with caplog.at_level(logging.INFO, logger="csip"):
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert not got.wait(0.3)
        assert f"waiting for process {other.pid} on " in caplog.text
        assert "does: skeletons train-003" in caplog.text
        other.kill()
        assert got.wait(10)
        waiting.join()


def test_threads_of_one_process_exclude_each_other_too(tmp_path: Path) -> None:
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        with locked(tmp_path / "lock", "work"):
            inside += 1
            most = max(most, inside)
            time.sleep(0.02)
            inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_a_holder_that_has_not_said_who_it_is_is_another_process(text: str) -> None:
    assert holder(text) == "another process"
