"""SIGTERM, as schedulers send it before they take a machine away: work stops at its next safe point, and is kept.

Prefect raises its TerminationSignal in the main thread of a flow run, where tasks are waited for. From there the steps
are asked: each raises `Stopped` when it next reports its progress, a training after it has saved its state. A second
SIGTERM ends the process at once, and so does the time that a scheduler leaves.
"""

import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

from storage.stop import REQUEST
from storage.store.runs import PREEMPTED, RUNNING, RunRecord

log = logging.getLogger("csip")
STATUS = 143  # 128 + SIGTERM, as shells say it
GRACE = 20.0
"""Seconds to the next safe point: SIGKILL usually follows SIGTERM after 30."""


@contextmanager
def stoppable(record: RunRecord, stop: Callable[[float], None] = lambda _: None) -> Iterator[None]:
    """Within a flow run and its task runner: on SIGTERM, ask all steps of this process and its children to stop.

    `stop` asks those elsewhere, and waits for them for at most so many seconds.
    """
    from prefect.exceptions import TerminationSignal

    try:
        yield
    except TerminationSignal:
        REQUEST.ask()
        signal.signal(signal.SIGTERM, lambda *_: os._exit(STATUS))
        log.warning("SIGTERM: steps stop where nothing is lost, within %g s; a second one ends them at once", GRACE)
        ending = threading.Timer(GRACE, _end)
        ending.daemon = True
        ending.start()
        for child in multiprocessing.active_children():
            child.terminate()
        stop(GRACE / 2)
        if record.content["status"] == RUNNING:
            record.finish(PREEMPTED, error="SIGTERM")
        raise


@contextmanager
def ended_by_sigterm(console: Console) -> Iterator[None]:
    """Meanwhile, SIGTERM ends this process with status 143 and a line that says what is kept."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(STATUS))
    try:
        yield
    except SystemExit as error:
        if error.code == STATUS:
            console.print(
                "[yellow]stopped by SIGTERM;[/] finished artifacts and the states of trainings are kept, "
                "and the next run goes on from there",
                soft_wrap=True,
            )
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def _end() -> None:
    log.warning("not all steps came to a safe point within %g s; the next run goes on from what was saved", GRACE)
    os._exit(STATUS)
