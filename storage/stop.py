"""Being asked to stop: work ends at its next safe point, which is where a stage tells its progress."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from storage.errors import CsipError


class Stopped(CsipError):
    """Whoever runs this process asked it to stop; raised by a `Progress`."""


class Request:
    """Whether this process was asked to stop; safe to use from any thread, and from a handler of signals."""

    def __init__(self) -> None:
        self.asked = False

    def ask(self, *_: object) -> None:
        """Ask all that `check`."""
        self.asked = True

    def check(self) -> None:
        """Raise if this process was asked to stop.

        Raises:
            Stopped: it was.
        """
        if self.asked:
            raise Stopped(
                "stopped by SIGTERM",
                fix="run again: finished artifacts are kept, and a training goes on from its last saved state",
            )

    @contextmanager
    def on_sigterm(self) -> Iterator[None]:
        """Meanwhile, SIGTERM asks, in a process that nobody told what else to do with it; from its main thread."""
        with self._on(signal.SIGTERM, signal.SIG_DFL):
            yield

    @contextmanager
    def on_interrupt(self) -> Iterator[None]:
        """As `on_sigterm`, for SIGINT; what comes after it is asked nothing any more."""
        with self._on(signal.SIGINT, signal.default_int_handler):
            try:
                yield
            finally:
                self.asked = False

    @contextmanager
    def _on(self, number: signal.Signals, usual: Any) -> Iterator[None]:
        ours = threading.current_thread() is threading.main_thread() and signal.getsignal(number) == usual
        if ours:
            signal.signal(number, self.ask)
        try:
            yield
        finally:
            if ours:
                signal.signal(number, usual)


REQUEST = Request()
"""Of this process: signals are sent to processes."""
