"""The loose files of a data root in a folder of this machine: names, stamps and bytes."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from storage.frames.stamps import Stamps, read_stamps, settled
from storage.progress import Progress, silent

READ_BYTES = 1 << 20
T = TypeVar("T")


class LocalFiles:
    """What lies in a folder, or an archive itself; the same methods as `storage.frames.remote.RemoteData`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def there(self) -> bool:
        """Whether there is such a folder or archive."""
        return self.root.exists()

    def is_archive(self) -> bool:
        """Whether the root is a file itself."""
        return self.root.is_file()

    def top(self) -> list[str]:
        """Names of the files and folders right in the root, in any order; none where it is an archive, or not there."""
        try:
            return [] if self.is_archive() else os.listdir(self.root)
        except OSError:
            return []

    def read(self, name: str) -> bytes:
        """The bytes of a file.

        Raises:
            FileNotFoundError: there is none.
            OSError: it cannot be read.
        """
        return read_whole(f"{self.root}/{name}")

    def exists(self, name: str) -> bool:
        """Whether there is a file or a folder of this name."""
        return (self.root / name).exists()

    def below(self, name: str) -> Iterator[str]:
        """Names of all files below a folder, in any order; of a file, its own."""
        if (self.root / name).is_file():
            yield name
        for parent, _, files in os.walk(self.root / name):
            place = Path(parent).relative_to(self.root).as_posix()
            yield from (f"{place}/{file}" for file in files)

    def stamps(self, names: pa.Array, progress: Progress = silent) -> Stamps:
        """Stamps of files, in the order given."""
        return read_stamps(self.root, names, progress)

    def settled(self, stamps: Stamps, since_ns: int) -> Stamps:
        """Stamps as they may be compared later, see `storage.frames.stamps.settled`."""
        return settled(stamps, since_ns)

    def stamp(self, name: str) -> tuple[int, int, int, int] | None:
        """The stamp of a file, such as an archive, or of the root itself (an empty name); None if there is none."""
        path = self.root / name
        if not path.is_file():
            return None
        stat = path.stat()
        return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino

    def path(self, name: str) -> Path:
        """Where a file, or the root itself (an empty name), can be read on this machine."""
        return self.root / name

    def where(self, name: str) -> str:
        """Where a file lies, for a message."""
        return str(self.root / name)

    def fetch(self, names: Iterable[str], progress: Progress = silent) -> None:
        """Nothing to bring: it is here."""

    def ahead(self, items: Iterable[T], names: Callable[[T], Iterable[str]]) -> Iterator[T]:
        """The items as they are: their files are here."""
        yield from items


def read_whole(path: str) -> bytes:
    """The bytes of a small file.

    Raises:
        OSError: it cannot be read.
    """
    # bare system calls: for small files, Python's own file objects cost more than reading
    descriptor = os.open(path, os.O_RDONLY)
    try:
        parts = []
        while part := os.read(descriptor, READ_BYTES):
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)
    finally:
        os.close(descriptor)
