"""The files of a raw data set by their names, whether they lie in folders or in archives.

A data root is a folder, or an archive that holds one. In a folder, what has no folder (or file) of its own at the top
is looked for in the archives that lie there: `bbox_train/0001/x.jpg` in bbox_train.zip, unless there is bbox_train/.
"""

import os
from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from storage.archives import Archive, outside
from storage.errors import DataError

SUFFIXES = (".zip", ".tar")
UNREADABLE = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".7z", ".rar")
"""Archives that must be read from their beginning, or that only other programs read."""

READ_BYTES = 1 << 20
ArchiveStamp = tuple[str, int, int, int, int]
"""Name, bytes, time of the last change of its content and of anything, ns, inode."""


class DataFiles:
    """The files of a data root. What is loose is decided when it is made; archives are opened when they are needed.

    Args:
        root: a folder, or an archive.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._loose = frozenset() if root.is_file() else frozenset(_listed(root))

    def is_loose(self, name: str) -> bool:
        """Whether a file of this name would lie in a folder of the root, not in an archive."""
        return name.partition("/")[0] in self._loose

    def read(self, name: str) -> bytes:
        """The bytes of a file.

        Raises:
            DataError: the name points outside the data root; or an archive is damaged.
            FileNotFoundError: there is none.
            OSError: it cannot be read.
        """
        if self.is_loose(name) or not self.archives:
            check_name(name)
            return _read_loose(f"{self.root}/{name}")
        found = self._find(name)
        if found is None:
            check_name(name)
            raise FileNotFoundError(name)
        archive, row = found
        return archive.read(row)

    def exists(self, name: str) -> bool:
        """Whether there is a file or a folder of this name."""
        if self.is_loose(name):
            return (self.root / name).exists()
        return self._find(name) is not None or any(other.startswith(f"{name}/") for other in self._archived())

    def names(self, folder: str = "") -> list[str]:
        """Names of all files below a folder, sorted by their characters, whatever the file system's own order."""
        found = [name for name in self._archived() if not self.is_loose(name)]
        for top in [folder] if folder else sorted(self._loose):
            if self.is_loose(top):
                found += _files_below(self.root, top)
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
        return _opened(self.root, archive_stamps(self.root))

    def where(self, name: str) -> str:
        """Where a file lies, for a message."""
        found = None if self.is_loose(name) else self._find(name)
        return str(self.root / name) if found is None else f"{found[0].path}, {name}"

    def _find(self, name: str) -> tuple[Archive, int] | None:
        for archive, top in self.archives:
            row = archive.find(f"{top}{name}")
            if row is not None:
                return archive, row
        return None

    def _archived(self) -> Iterator[str]:
        for archive, top in self.archives:
            yield from (name.removeprefix(top) for name in archive.names.to_pylist() if name.startswith(top))


def archive_stamps(root: Path) -> tuple[ArchiveStamp, ...]:
    """The archives of a data root, in the order in which they are asked.

    Raises:
        DataError: the root is an archive of a kind that cannot be read in its middle.
    """
    if root.is_file():
        if root.name.lower().endswith(UNREADABLE):
            raise DataError(
                "frames cannot be read from the middle of this kind of archive",
                where=root,
                fix="unpack it, or pack it as .tar or .zip",
            )
        paths = [root]
    else:
        paths = [root / name for name in sorted(_listed(root)) if name.lower().endswith(SUFFIXES)]
    stats = [(path.name, path.stat()) for path in paths if path.is_file()]
    return tuple((name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino) for name, stat in stats)


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
def _opened(root: Path, stamps: tuple[ArchiveStamp, ...]) -> tuple[tuple[Archive, str], ...]:
    """Archives as they are now: every stage of a run shares them, and a changed one is opened anew."""
    if root.is_file():
        archive = Archive(root)
        return ((archive, _only_folder(archive.names)),)
    return tuple((Archive(root / name), "") for name, *_ in stamps)


def _only_folder(names: pa.Array) -> str:
    """`MARS/` if all files are in one folder; empty if there are several, or a file in none."""
    first = f"{names[0].as_py().partition('/')[0]}/" if len(names) else ""
    return first if pc.all(pc.starts_with(names, first)).as_py() else ""


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _files_below(root: Path, name: str) -> Iterator[str]:
    if (root / name).is_file():
        yield name
    for parent, _, files in os.walk(root / name):
        place = Path(parent).relative_to(root).as_posix()
        yield from (f"{place}/{file}" for file in files)


def _read_loose(path: str) -> bytes:
    # bare system calls: for small files, Python's own file objects cost more than reading
    descriptor = os.open(path, os.O_RDONLY)
    try:
        parts = []
        while part := os.read(descriptor, READ_BYTES):
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)
    finally:
        os.close(descriptor)
