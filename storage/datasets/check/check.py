"""Checking a raw data set where it lies: lists, then every frame once; nothing is written, and no store is needed."""

from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from storage.addresses import DataRoot
from storage.datasets.check.counts import DataCheck, data_check
from storage.datasets.check.findings import (
    Finding,
    Item,
    finding,
    of_digests,
    of_files,
    of_lists,
    of_missing,
    of_sizes,
    of_unreadable,
)
from storage.datasets.check.headers import Looked, look
from storage.datasets.lists import text_of
from storage.datasets.names import IMAGES
from storage.datasets.published import PUBLISHED
from storage.datasets.readers import READERS, Reader
from storage.errors import DataError
from storage.frames.files import DataFiles
from storage.frames.stamps import MISSING
from storage.progress import Progress, silent
from storage.tables.tracklets import Tracklet
from storage.wording import be, many


def check(
    root: DataRoot,
    layout: str,
    split: int = 0,
    *,
    frames: bool = True,
    decode: bool = False,
    workers: int = 4,
    limit: int | None = None,
    progress: Progress = silent,
) -> DataCheck:
    """Check a data set: its lists, what of it is there, and every frame's header.

    Lists that contradict themselves are a finding with every contradiction; the images that are there are then looked
    at all the same.

    Args:
        root: folder or archive of the data set, or its address.
        layout: a name in `READERS`.
        split: which of the layout's splits.
        frames: whether to look for frames; without, the lists alone are checked, and no frame need be there.
        decode: whether to decode every frame, not only its header.
        workers: reading threads.
        limit: items of a finding; None for all.
        progress: told frames done of all.

    Raises:
        DataError: an archive of the data set cannot be read.
    """
    files, reader = DataFiles(root), READERS[layout]
    tracklets, refused = _tracklets(files, reader, split, frames)
    found = [refused, *of_lists(tracklets, limit)]
    sizes = None
    if frames:
        listed = pa.array(chain.from_iterable(t.frames for t in tracklets), pa.string())
        images = _images(files, {t.frames[0].partition("/")[0] for t in tracklets})
        there = images if refused and not tracklets else listed.filter(_are_there(files, listed, images, progress))
        looked = look(files, there, workers, decode, progress)
        sizes = looked.sizes
        if tracklets:
            found += _of_listed(tracklets, listed, there, looked, limit)
            found += _of_unlisted(files, reader, images.filter(pc.invert(pc.is_in(images, listed))).to_pylist(), limit)
        else:
            found.append(of_files(there, looked.digests, limit))
        faults = [(there[position].as_py(), why) for position, why in looked.faults.items()]
        found += [of_unreadable(faults, limit), of_sizes(there, sizes, limit)]
    return data_check(layout, tracklets, found, PUBLISHED.get(layout), sizes)


class _ListsOf(DataFiles):
    """The files of a data root of which only some must be there: whatever else is asked for is said to exist."""

    def __init__(self, root: DataRoot, needed: Sequence[str]) -> None:
        super().__init__(root)
        self._needed = needed

    def exists(self, name: str) -> bool:
        return name not in self._needed or super().exists(name)


def _tracklets(files: DataFiles, reader: Reader, split: int, frames: bool) -> tuple[list[Tracklet], Finding | None]:
    """What the reader reads, and what it refuses; where only the frames' folders are missing, both."""
    lists = _ListsOf(files.root, reader.lists)
    try:
        return reader.read(files if frames else lists, split), None
    except DataError as error:
        places = error.problems or (f"{error.what} ({error.where})" if error.where else error.what,)
        says = f"the lists cannot be used: {many(len(places), 'problem')}"
        refused = finding("refused", says, len(places), (Item((place,)) for place in places), problem=True)
    try:
        return (reader.read(lists, split) if frames else []), refused
    except DataError:
        return [], refused


def _images(files: DataFiles, folders: set[str]) -> pa.Array:
    """Names of the image files in some folders, sorted; in all of the root if none is named."""
    names = pa.array(chain.from_iterable(files.names(folder) for folder in sorted(folders) or [""]), pa.string())
    endings = pc.utf8_lower(names)
    return names.filter(pc.match_substring_regex(endings, "(" + "|".join(IMAGES).replace(".", r"\.") + ")$"))


def _are_there(files: DataFiles, listed: pa.Array, images: pa.Array, progress: Progress) -> pa.Array:
    """Which listed frames are there, (N,) booleans.

    Those that are not among the images are asked for by name: a listing does not go through links to folders, and a
    frame may have any ending.
    """
    found = pc.is_in(listed, images).to_numpy(zero_copy_only=False).copy()
    rest = np.flatnonzero(~found)
    names = listed.take(pa.array(rest))
    found[rest] = files.stamps(names, progress)[:, 0] != MISSING
    return pa.array(found)


def _of_listed(
    tracklets: Sequence[Tracklet], listed: pa.Array, there: pa.Array, looked: Looked, limit: int | None
) -> Iterator[Finding | None]:
    present = pc.is_in(listed, there).to_numpy(zero_copy_only=False)
    missing = listed.filter(pa.array(~present))
    yield of_missing(missing.slice(0, limit).to_pylist(), len(missing), len(listed))
    digests = np.zeros((len(listed), looked.digests.shape[1]), np.uint8)
    digests[present] = looked.digests
    yield from of_digests(tracklets, digests, limit)


def _of_unlisted(
    files: DataFiles, reader: Reader, images: Sequence[str], limit: int | None
) -> Iterator[Finding | None]:
    """Images beside the frames, apart: those that a list names all the same (MARS's junk), and those that none does."""
    words: set[str] = set()
    for name in reader.lists if images else ():
        try:
            words.update(text_of(files, name).split())
        except DataError:
            continue  # no text: a matrix
    named = [name for name in images if name in words or name.rpartition("/")[2] in words]
    stray = sorted(set(images) - set(named))
    for kind, names, says in (
        ("unused", named, "listed, but of no tracklet that takes part (junk)"),
        ("extra", stray, "in no list"),
    ):
        told = f"{many(len(names), 'image file')} {be(len(names))} {says}"
        yield finding(kind, told, len(names), (Item((name,)) for name in names), limit=limit)
