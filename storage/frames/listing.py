"""What lies at the address of a data set, as the service lists it: names of files and folders, and stamps of files.

A stamp is the size of an object and a digest of all that the service says of it (ETag, time, ...): one that changed
has another. `storage.frames.remote` reads what is listed here.
"""

import sys
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import numpy as np

from storage.addresses import DataAddress, opened, told
from storage.errors import DataError
from storage.frames.archives import ARCHIVES, outside
from storage.frames.stamps import WIDTH

LISTERS = 16
"""Folders listed at once."""

SIZE_BYTES = 8
STAMP_BYTES = WIDTH * SIZE_BYTES


@dataclass(frozen=True)
class Folder:
    """What lies right in a folder; of a million files some 120 MB.

    Attributes:
        files: their names, sorted, N.
        stamps: of each, `WIDTH` int64, size first, one after the other.
        folders: their names.
    """

    files: tuple[str, ...] = ()
    stamps: bytes = b""
    folders: frozenset[str] = frozenset()

    def stamp(self, name: str) -> bytes | None:
        """The stamp of a file; None if there is none of this name."""
        row = bisect_left(self.files, name)
        if row == len(self.files) or self.files[row] != name:
            return None
        return self.stamps[row * STAMP_BYTES : (row + 1) * STAMP_BYTES]


class RemoteListing:
    """The folders of an address, each listed once, when it is first needed.

    One object, and all of one process that share the address's `seen`, see the data as they were then.

    Args:
        root: the address.

    Attributes:
        files: the file system of the address.
        itself: the stamp of the address if it is an archive's, else None.

    Raises:
        SettingsError: there are credentials in the address.
        EnvironmentProblem: the package that speaks its protocol is not installed.
        DataError: the service cannot be asked.
    """

    def __init__(self, root: DataAddress) -> None:
        self.root = root
        self.files, self.base = opened(root.address)
        self._listed = _shared(root) if root.seen else dict[str, Folder]()
        self.itself = self._as_archive()

    def at(self, name: str) -> str:
        """Where a file lies in the file system."""
        return f"{self.base}/{name}" if name else self.base

    def told(self) -> AbstractContextManager[None]:
        """Errors of the service as ours."""
        return told(DataError, "the data set cannot be read", self.root.address)

    def stamp(self, name: str) -> bytes | None:
        """The stamp of a file, or of the root itself (an empty name); None if there is none."""
        return self.folder(parent_of(name)).stamp(name.rpartition("/")[2]) if name else self.itself

    def look(self, folders: Iterable[str]) -> None:
        """List folders that were not listed before, many at once."""
        fresh = sorted(folder for folder in set(folders) if folder not in self._listed)
        if len(fresh) > 1:
            with ThreadPoolExecutor(LISTERS) as pool:
                list(pool.map(self.folder, fresh))

    def folder(self, name: str) -> Folder:
        """What lies right in a folder; nothing where there is none.

        Raises:
            DataError: the service cannot be asked, or does not say how large its files are.
        """
        if name not in self._listed:
            top = name.partition("/")[0]
            known = not name or top in self.folder("").folders  # what has no folder at the top needs no question
            self._listed[name] = self._listing(name) if known else Folder()
        return self._listed[name]

    def _listing(self, name: str) -> Folder:
        if self.itself is not None or outside(name):
            return Folder()
        path = self.at(name)
        try:
            with self.told():
                found = self.files.ls(path, detail=True)
        except (FileNotFoundError, NotADirectoryError):
            found = []
        # some programs leave an object in the place of the folder itself
        inside = {about["name"].rstrip("/"): about for about in found if about["name"].rstrip("/") != path}
        files = {whole.rpartition("/")[2]: about for whole, about in inside.items() if about["type"] == "file"}
        folders = {whole.rpartition("/")[2] for whole, about in inside.items() if about["type"] == "directory"}
        names = sorted(files)
        return Folder(tuple(names), b"".join(self._as_stamp(files[name]) for name in names), frozenset(folders))

    def _as_archive(self) -> bytes | None:
        if not self.base.lower().endswith(ARCHIVES):
            return None
        try:
            with self.told():
                about = self.files.info(self.base)
        except FileNotFoundError:
            return None
        return self._as_stamp(about) if about["type"] == "file" else None

    def _as_stamp(self, about: Mapping[str, Any]) -> bytes:
        if about["size"] is None:
            raise DataError(
                "this service does not say how large its files are",
                where=self.root,
                fix="name an archive at it, or copy the data set to a folder or an object store",
            )
        said = repr(sorted((key, value) for key, value in about.items() if key != "name")).encode()
        mark = blake2b(said, digest_size=STAMP_BYTES - SIZE_BYTES).digest()
        return np.int64(about["size"]).tobytes() + mark


@lru_cache(maxsize=2)
def _shared(_: DataAddress) -> dict[str, Folder]:
    """Folders that were listed, of all readers of one walk: a listing costs a core 60 microseconds a file."""
    return {}


def parent_of(name: str) -> str:
    """The folder of a file."""
    return name.rpartition("/")[0]


def size_of(stamp: bytes) -> int:
    """Bytes of the file with this stamp."""
    return int.from_bytes(stamp[:SIZE_BYTES], sys.byteorder, signed=True)
