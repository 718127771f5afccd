"""The files of a raw data set by their names, whether they lie in folders or in archives, here or elsewhere.

A data root is a folder, or an archive that holds one, on this machine or at an address. In a folder, what has no folder
(or file) of its own at the top is looked for in the archives that lie there: `bbox_train/0001/x.jpg` in bbox_train.zip,
unless there is bbox_train/.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from storage.addresses import DataRoot
from storage.errors import DataError
from storage.frames.archives import SUFFIXES, UNREADABLE, Archive, outside
from storage.frames.local import LocalFiles
from storage.frames.remote import RemoteData
from storage.frames.stamps import MISSING, Stamps
from storage.progress import Progress, silent

ArchiveStamp = tuple[str, int, int, int, int]
"""Name, and stamp: see `storage.frames.stamps`."""

T = TypeVar("T")


class DataFiles:
    """The files of a data root: a folder, an archive, or the address of one.

    What is loose is decided when it is made; archives are opened when they are needed.
    """

    def __init__(self, root: DataRoot) -> None:
        self.root = root
        self.loose = LocalFiles(root) if isinstance(root, Path) else RemoteData(root)
        self._top = frozenset(self.loose.top())

    def there(self) -> bool:
        """Whether there is a data root at all."""
        return self.loose.there()

    def is_loose(self, name: str) -> bool:
        """Whether a file of this name would lie in a folder of the root, not in an archive."""
        return name.partition("/")[0] in self._top

    def read(self, name: str) -> bytes:
        """The bytes of a file.

        Raises:
            DataError: the name points outside the data root; or an archive is damaged.
            FileNotFoundError: there is none.
            OSError: it cannot be read.
        """
        if self.is_loose(name) or not self.archives:
            check_name(name)
            return self.loose.read(name)
        found = self._find(name)
        if found is None:
            check_name(name)
            raise FileNotFoundError(name)
        archive, row = found
        return archive.read(row)

    def path(self, name: str) -> Path | None:
        """Where a loose file can be read on this machine; None if there is none.

        Raises:
            DataError: the name points outside the data root, or the file cannot be fetched.
        """
        check_name(name)
        return self.loose.path(name) if self.is_loose(name) and self.loose.stamp(name) else None

    def exists(self, name: str) -> bool:
        """Whether there is a file or a folder of this name."""
        if self.is_loose(name):
            return self.loose.exists(name)
        return self._find(name) is not None or any(other.startswith(f"{name}/") for other in self._archived())

    def names(self, folder: str = "") -> list[str]:
        """Names of all files below a folder, sorted by their characters, whatever the file system's own order."""
        found = [name for name in self._archived() if not self.is_loose(name)]
        for top in [folder] if folder else sorted(self._top):
            if self.is_loose(top):
                found += self.loose.below(top)
        within = f"{folder}/" if folder else ""
        return sorted(name for name in found if name.startswith(within))

    def rows(self, names: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Which archive (-1: none) each of many names lies in, and the bytes of each there; loose ones lie in none."""
        archive = np.full(len(names), -1)
        sizes = np.zeros(len(names), np.int64)
        loose = np.fromiter((self.is_loose(name) for name in names.to_pylist()), bool, len(names))
        for number, (held, top) in reversed(list(enumerate(self.archives))):
            wanted = pc.binary_join_element_wise(top, names, "") if top else names
            rows = pc.fill_null(pc.index_in(wanted, value_set=held.names), -1).to_numpy().astype(np.int64)
            there = (rows >= 0) & ~loose
            archive[there] = number
            sizes[there] = held.sizes[rows[there]]
        return archive, sizes

    @cached_property
    def archives(self) -> tuple[tuple[Archive, str], ...]:
        """The root's archives, opened, each with the folder in it whose name is left out of all names.

        Raises:
            DataError: one cannot be read.
        """
        stamps = self.archive_stamps()
        paths = [(self.loose.path(self._inside(name)), self.loose.where(self._inside(name))) for name, *_ in stamps]
        return _opened(tuple(paths), stamps, self.loose.is_archive())

    def archive_stamps(self) -> tuple[ArchiveStamp, ...]:
        """The root's archives as they are now, in the order in which they are asked.

        Raises:
            DataError: the root is an archive of a kind that cannot be read in its middle.
        """
        own = str(self.root).rstrip("/").rpartition("/")[2]
        if self.loose.is_archive():
            if own.lower().endswith(UNREADABLE):
                raise DataError(
                    "frames cannot be read from the middle of this kind of archive",
                    where=self.root,
                    fix="unpack it, or pack it as .tar or .zip",
                )
            names = [own]
        else:
            names = [name for name in sorted(self._top) if name.lower().endswith(SUFFIXES)]
        found = ((name, self.loose.stamp(self._inside(name))) for name in names)
        return tuple((name, *stamp) for name, stamp in found if stamp)

    def stamps(self, names: pa.Array, progress: Progress = silent) -> Stamps:
        """Stamps of files, in the order given; of members of archives, their bytes and the archive's own stamp."""
        stamps = self.loose.stamps(names, progress)
        archives = self.archive_stamps()
        absent = np.flatnonzero(stamps[:, 0] == MISSING)
        elsewhere = [not self.is_loose(name) for name in names.take(pa.array(absent)).to_pylist()]
        lost = absent[np.array(elsewhere, bool)]
        if archives and len(lost):
            archive, sizes = self.rows(names.take(pa.array(lost)))
            there = archive >= 0
            times = np.array([times for _, _, *times in archives], np.int64)
            stamps[lost[there]] = np.column_stack([sizes[there], times[archive[there]]])
        return stamps

    def fetch(self, names: Iterable[str], progress: Progress = silent) -> None:
        """Bring files to this machine, many at once, before they are read one by one; see `RemoteData.fetch`."""
        self.loose.fetch(filter(self.is_loose, names), progress)

    def ahead(self, items: Iterable[T], names: Callable[[T], Iterable[str]]) -> Iterator[T]:
        """The items in their order; while one is used, the files of the next are fetched; see `RemoteData.ahead`."""
        return self.loose.ahead(items, lambda item: filter(self.is_loose, names(item)))

    def where(self, name: str) -> str:
        """Where a file lies, for a message."""
        found = None if self.is_loose(name) else self._find(name)
        return self.loose.where(name) if found is None else f"{found[0].where}, {name}"

    def _inside(self, archive: str) -> str:
        """An archive's name within the root: the empty one of the root itself."""
        return "" if self.loose.is_archive() else archive

    def _find(self, name: str) -> tuple[Archive, int] | None:
        for archive, top in self.archives:
            row = archive.find(f"{top}{name}")
            if row is not None:
                return archive, row
        return None

    def _archived(self) -> Iterator[str]:
        for archive, top in self.archives:
            yield from (name.removeprefix(top) for name in archive.names.to_pylist() if name.startswith(top))


def check_name(name: str) -> None:
    """Make sure that a name is of a file below the data root.

    Raises:
        DataError: it is absolute or climbs out.
    """
    if outside(name):
        raise DataError(
            "a frame name points outside the data root",
            where=repr(name),
            fix="frame names must be relative, without '..'",
        )


@lru_cache(maxsize=4)
def _opened(
    paths: tuple[tuple[Path, str], ...], stamps: tuple[ArchiveStamp, ...], is_root: bool
) -> tuple[tuple[Archive, str], ...]:
    """Archives as they are now: every stage of a run shares them, and a changed one is opened anew."""
    archives = [Archive(path, where) for path, where in paths]
    return tuple((archive, _only_folder(archive.names) if is_root else "") for archive in archives)


def _only_folder(names: pa.Array) -> str:
    """`MARS/` if all files are in one folder; empty if there are several, or a file in none."""
    first = f"{names[0].as_py().partition('/')[0]}/" if len(names) else ""
    return first if pc.all(pc.starts_with(names, first)).as_py() else ""
