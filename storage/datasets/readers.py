"""Readers of raw data sets: one small module a layout, in `READERS`. docs/data-sets.md says how to add one."""

from collections.abc import Callable
from typing import NamedTuple

from storage.datasets import ccvid, folder, ilidsvid, lsvid, manifest, mars, prid2011
from storage.frames.files import DataFiles
from storage.tables.tracklets import Tracklet


class Reader(NamedTuple):
    """How a layout is read.

    Attributes:
        read: the tracklets of a data root in one of its splits (0 where there is one only); checks the files that it
            needs before anything else.
        lists: names of the files that `read` reads, those too that need not be there: while they, the names in
            `folders` and the frames that the tracklets name stay the same, so do the tracklets.
        folders: folders whose files' names `read` lists; an empty name is the whole root.
        splits: how many ways of dividing the identities into training and test the data set's protocol has.
        clothes: whether tracklets may say which clothes people wear.
    """

    read: Callable[[DataFiles, int], list[Tracklet]]
    lists: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    splits: int = 1
    clothes: bool = False


READERS: dict[str, Reader] = {
    "mars": Reader(mars.read, mars.LISTS),
    "lsvid": Reader(lsvid.read, lsvid.LISTS, folders=("",)),
    "ilidsvid": Reader(ilidsvid.read, (ilidsvid.SPLITS,), folders=(ilidsvid.SEQUENCES,), splits=10),
    "prid2011": Reader(prid2011.read, (prid2011.SPLITS,), folders=prid2011.PLACES, splits=10),
    "ccvid": Reader(ccvid.read, ccvid.LISTS, folders=("",), clothes=True),
    "folder": Reader(folder.read, folders=("",)),
    "manifest": Reader(manifest.read, manifest.LISTS, clothes=True),
}
"""Layout name -> reader."""
