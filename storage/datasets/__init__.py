"""Readers of raw data sets: one small module a layout, each `read(root)` yielding tracklets, in `READERS`."""

from collections.abc import Callable
from pathlib import Path

from storage.datasets import mars
from storage.tracklets import Tracklet

READERS: dict[str, Callable[[Path], list[Tracklet]]] = {"mars": mars.read}
"""Layout name -> reader. A reader checks the files it needs before anything else."""
