"""Readers of raw data sets: one small module a layout, in `READERS`. docs/data-sets.md says how to add one."""

from collections.abc import Callable
from typing import NamedTuple

from storage.data_files import DataFiles
from storage.datasets import mars
from storage.tracklets import Tracklet


class Reader(NamedTuple):
    """How a layout is read.

    Attributes:
        read: the tracklets of a data root in one of its splits (0 where there is one only); checks the files that it
            needs before anything else.
        lists: names of the files that `read` reads: while they, the names in `folders` and the frames that the
            tracklets name stay the same, so do the tracklets.
        folders: folders whose files' names `read` lists; an empty name is the whole root.
        splits: how many ways of dividing the identities into training and test the data set's protocol has.
    """

    read: Callable[[DataFiles, int], list[Tracklet]]
    lists: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    splits: int = 1


READERS: dict[str, Reader] = {"mars": Reader(mars.read, mars.LISTS)}
"""Layout name -> reader."""
