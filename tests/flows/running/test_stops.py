import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from prefect import flow, task
from prefect.exceptions import TerminationSignal
from prefect.task_runners import ThreadPoolTaskRunner
from rich.console import Console

from flows.running import stops as stopping
from flows.running.stops import ended_by_sigterm, stoppable
from flows.watching import progress as reporting
from flows.watching.progress import StepProgress
from storage.stop import REQUEST, Request, Stopped
from storage.store.artifacts import Store
from storage.store.runs import COMPLETED, PREEMPTED, RunRecord, records


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(reporting, "create_progress_artifact", lambda *_, **__: None)
    monkeypatch.setattr(stopping, "GRACE", 3600.0)
    before = signal.getsignal(signal.SIGTERM)
    yield
    REQUEST.asked = False
    signal.signal(signal.SIGTERM, before)


def test_progress_is_where_a_step_stops() -> None:
    with StepProgress("visual") as progress:
        progress(1, 10)
        REQUEST.ask()
        with pytest.raises(Stopped, match="SIGTERM"):
            progress(2, 10)
    with pytest.raises(Stopped), StepProgress("features"):
        pytest.fail("no step begins after that")


def test_the_record_of_a_run_says_that_it_was_preempted(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    record = RunRecord(store, "one", {"name": "demo"})
    with pytest.raises(TerminationSignal), record.alive(), stoppable(record):
        raise TerminationSignal(signal.SIGTERM)
    assert [found["status"] for found in records(store)] == [PREEMPTED]
    assert REQUEST.asked


def test_a_run_that_was_done_stays_completed(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    record = RunRecord(store, "one", {"name": "demo"})
    ending = ExitStack()
    ending.enter_context(record.alive())
    ending.enter_context(stoppable(record))
    record.finish(COMPLETED)
    error = TerminationSignal(signal.SIGTERM)
    assert not ending.__exit__(TerminationSignal, error, None)
    assert [found["status"] for found in records(store)] == [COMPLETED]


def test_sigterm_stops_the_steps_of_a_flow_in_all_its_threads(tmp_path: Path, api: str) -> None:
    record = RunRecord(Store(tmp_path / "store"), "one", {"name": "demo"})
    meet = threading.Barrier(3)
    ended: list[str] = []

    @task
    def work(name: str) -> None:
        with StepProgress(name) as progress:
            meet.wait()
            try:
                while True:
                    progress(1, 10)
                    time.sleep(0.01)
            except Stopped:
                ended.append(name)
                raise

    def send() -> None:
        meet.wait()
        os.kill(os.getpid(), signal.SIGTERM)

    @flow
    def run() -> None:
        with record.alive(), ThreadPoolTaskRunner(max_workers=2) as runner, stoppable(record):
            threading.Thread(target=send).start()
            for future in [runner.submit(work, {"name": name}) for name in ("a", "b", "queued")]:
                future.wait()

    console = Console(record=True, quiet=True)
    with pytest.raises(SystemExit) as caught, ended_by_sigterm(console):
        run()
    assert caught.value.code == 143
    assert sorted(ended) == ["a", "b"]
    assert record.content["status"] == PREEMPTED


STUCK = """
import signal, sys, time
from pathlib import Path
from prefect.exceptions import TerminationSignal
from flows.running import stops
from storage.store.artifacts import Store
from storage.store.runs import RunRecord
stops.GRACE = float(sys.argv[2])
def raised(*_): raise TerminationSignal(signal.SIGTERM)
signal.signal(signal.SIGTERM, raised)
try:
    with stops.stoppable(RunRecord(Store(Path(sys.argv[1])), "one", {"name": "demo"})):
        print("waiting", flush=True)
        time.sleep(600)
except TerminationSignal:
    print("stopping", flush=True)
    time.sleep(600)  # a step that comes to no safe point
"""


@pytest.mark.parametrize("again", [True, False])
def test_a_second_sigterm_or_the_end_of_patience_ends_the_process_at_once(tmp_path: Path, again: bool) -> None:
    command = [sys.executable, "-c", STUCK, str(tmp_path), "600" if again else "0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "stopping\n"
        if again:
            process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 143


def test_a_process_without_a_handler_of_its_own_is_asked_by_sigterm_while_it_works() -> None:
    request = Request()
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with request.on_sigterm():
            os.kill(os.getpid(), signal.SIGTERM)
            assert request.asked
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with request.on_sigterm():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN, "whoever set it knows better"
    finally:
        signal.signal(signal.SIGTERM, before)
