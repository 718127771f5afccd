"""A stage that only waits, in place of those that compute: for `make bench-scaling`."""

import math
import time
from pathlib import Path
from typing import Any

from storage.progress import Progress
from storage.settings import Settings

TOLD = 1.0
"""Seconds between two calls of a worker's progress."""


class WaitSettings(Settings):
    """How long, and which files it leaves."""

    seconds: float
    files: tuple[str, ...]


class Inputs:
    """Takes what any stage takes."""

    def __init__(self, **given: Any) -> None:
        self.given = given


def run(inputs: Inputs, settings: WaitSettings, out_dir: Path, progress: Progress) -> None:
    """Take the time, tell of it, and write small files."""
    parts = max(1, math.ceil(settings.seconds / TOLD))
    for part in range(parts):
        time.sleep(settings.seconds / parts)
        progress(part + 1, parts, "waiting")
    for name in settings.files:
        (out_dir / name).write_text(f"{out_dir.name}\n")
