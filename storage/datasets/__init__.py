"""Readers of raw data sets: one small module a layout, with `read(root)` and `lists(root)`, in `READERS`."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from storage.datasets import mars
from storage.tracklets import Tracklet


class Reader(NamedTuple):
    """How a layout is read.

    Attributes:
        read: the tracklets of a data root; checks the files it needs before anything else.
        lists: the files that `read` reads: while they, and the frames they name, stay the same, so do the tracklets.
    """

    read: Callable[[Path], list[Tracklet]]
    lists: Callable[[Path], list[Path]]


READERS: dict[str, Reader] = {"mars": Reader(mars.read, mars.lists)}
"""Layout name -> reader."""
