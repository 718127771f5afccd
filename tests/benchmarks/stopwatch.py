"""How the seconds of an extraction divide into its steps."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock


class Stopwatch:
    """Processor seconds by step, over all threads.

    Waiting does not count: with more threads than cores, wall time would charge one step for another's work.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.lock = Lock()

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        """Count what this thread computes within as `step`."""
        start = time.thread_time()
        try:
            yield
        finally:
            passed = time.thread_time() - start
            with self.lock:
                self.seconds[step] = self.seconds.get(step, 0.0) + passed
