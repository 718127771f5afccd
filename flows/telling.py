"""How far a step is: in the log now and then, in the Prefect UI, and as often as anything can follow for a bar."""

import logging
import time
from collections.abc import Callable
from typing import Any

from prefect.artifacts import create_progress_artifact, update_progress_artifact

log = logging.getLogger("csip")
bars = logging.getLogger("csip-bars")
bars.propagate = False  # for whoever draws bars: no child of csip, whose settings Prefect would give it
bars.setLevel(logging.INFO)

LOG_SECONDS, BAR_SECONDS = 5.0, 0.2


class Told:
    """A `Progress` that logs now and then, and fills a progress bar in the Prefect UI for what takes long.

    Lines of the log carry `progress` set to True; records of `csip-bars` hold (label, done, total, message), and done
    is None at the end.
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self.start = self.logged = time.monotonic()
        self.drawn = 0.0
        self.artifact: Any = None
        self.attempted = False

    def __enter__(self) -> Callable[..., None]:
        return self

    def __exit__(self, *_: object) -> None:
        self._draw(None, 0, "")
        self._show(100.0)

    def __call__(self, done: int, total: int, message: str = "") -> None:
        now = time.monotonic()
        if total <= 0:
            return
        if now - self.drawn >= BAR_SECONDS:
            self.drawn = now
            self._draw(done, total, message)
        if now - self.logged < LOG_SECONDS:
            return
        self.logged = now
        left = (now - self.start) / max(done, 1) * (total - done)
        told = (self.label, 100 * done / total, message, left)
        log.info("%s %.0f %%  %s  %.0f s left", *told, extra={"progress": True})
        if not self.attempted:
            self.attempted = True
            self.artifact = _quietly(lambda: create_progress_artifact(0.0, description=self.label))
        self._show(100 * done / total)

    def _draw(self, done: int | None, total: int, message: str) -> None:
        bars.info("%s", self.label, extra={"progress": (self.label, done, total, message)})

    def _show(self, percent: float) -> None:
        if self.artifact is not None:
            _quietly(lambda: update_progress_artifact(self.artifact, percent))


def _quietly(call: Callable[[], Any]) -> Any:
    """A progress bar that the server cannot take must not stop the work it tells of."""
    try:
        return call()
    except Exception as error:
        log.debug("no progress bar: %s", error)
        return None
