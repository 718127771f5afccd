"""How far steps and runs are: in the log now and then, in the Prefect UI, and as often as a bar can follow."""

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Self, TypeVar

from prefect.artifacts import create_progress_artifact
from prefect.client.orchestration import get_client

from storage.stop import REQUEST
from storage.threads import repeating

T = TypeVar("T")
log = logging.getLogger("csip")
bars = logging.getLogger("csip-bars")
bars.propagate = False  # for whoever draws bars: no child of csip, whose settings Prefect would give it
bars.setLevel(logging.INFO)

LOG_SECONDS, BAR_SECONDS, RUN_SECONDS = 5.0, 0.2, 1.0
UPDATES = 5
"""A second, of all tasks together: for a new bar, a server on SQLite takes some 45 ms (docs/scaling.md)."""


def pace(tasks: int) -> float:
    """Seconds between two lines of a task, where so many are done at once."""
    return max(LOG_SECONDS, tasks / UPDATES)


class UiBar:
    """A progress bar in the Prefect UI, of the task or flow run that makes it.

    Prefect's own function makes a client, which takes 50 ms and more, and an event for every update. With a key it
    appears among the artifacts of all runs.
    """

    def __init__(self, description: str, key: str | None = None) -> None:
        self.artifact = quietly(lambda: create_progress_artifact(0.0, key=key, description=description))
        self.client = quietly(lambda: get_client(sync_client=True)) if self.artifact else None

    def show(self, percent: float, description: str | None = None) -> None:
        """Move it."""
        if (client := self.client) is None:
            return
        fields = {"data": round(percent, 1)} | ({} if description is None else {"description": description})
        where = {"id": self.artifact}
        quietly(lambda: client.request("PATCH", "/artifacts/{id}", json=fields, path_params=where))


class RunProgress:
    """The bar of a whole run: `12 of 25 steps`. Moved by a thread of its own, so that no step waits for the server."""

    def __init__(self) -> None:
        self.total = 0  # steps that the run will look at, as far as is known
        self.done: set[str] = set()  # labels of those that are built or kept
        self.shown = 0
        self.open = ExitStack()

    def __enter__(self) -> Self:
        self.bar = UiBar(self._description(), key="progress")
        self.open.callback(self._move)
        self.open.enter_context(repeating(self._move, RUN_SECONDS))
        return self

    def __exit__(self, *_: object) -> None:
        self.open.close()

    def _move(self) -> None:
        if len(self.done) != self.shown:
            self.shown = len(self.done)
            self.bar.show(100 * self.shown / max(self.total, self.shown), self._description())

    def _description(self) -> str:
        return f"{len(self.done)} of {max(self.total, len(self.done))} steps" if self.total else "looking at the data"


class StepProgress:
    """A `Progress` that logs now and then, and fills a progress bar in the Prefect UI for what takes long.

    Lines of the log carry `progress` set to True; records of `csip-bars` hold (label, done, total, message), and done
    is None at the end. Lines, and movements of the bar in the UI, come `every` so many seconds.
    """

    def __init__(self, label: str, every: float = LOG_SECONDS) -> None:
        self.label, self.every = label, every
        self.start = self.logged = time.monotonic()
        self.drawn = 0.0
        self.bar: UiBar | None = None

    def __enter__(self) -> Self:
        REQUEST.check()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._draw(None, 0, "")
        if self.bar and kind is None:  # of a step that failed, it stays where it was
            self.bar.show(100.0, self.label)

    def __call__(self, done: int, total: int, message: str = "") -> None:
        REQUEST.check()  # each stage reports its progress where it may be stopped
        now = time.monotonic()
        if total <= 0:
            return
        if now - self.drawn >= BAR_SECONDS:
            self.drawn = now
            self._draw(done, total, message)
        if now - self.logged < self.every:
            return
        self.logged = now
        percent, left = 100 * done / total, (now - self.start) / max(done, 1) * (total - done)
        log.info("%s %.0f %%  %s  %.0f s left", self.label, percent, message, left, extra={"progress": True})
        if not self.bar:
            self.bar = UiBar(self.label)
        self.bar.show(percent, f"{self.label}: {message}" if message else None)

    def _draw(self, done: int | None, total: int, message: str) -> None:
        bars.info("%s", self.label, extra={"progress": (self.label, done, total, message)})


def quietly(call: Callable[[], T], what: str = "no progress bar") -> T | None:
    """The answer of a call that only reports the work to the server; None where the server cannot take it."""
    try:
        return call()
    except Exception as error:
        log.debug("%s: %s", what, error)
        return None
