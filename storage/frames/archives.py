"""Files inside zip and tar archives, read where they lie: an archive is opened once, and then asked by name.

An archive is remembered as columns (where each member lies and how it is packed): a million members cost some tens of
megabytes. Members are read with `os.pread`, by any number of threads at once.
"""

import os
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from storage.errors import DataError
from storage.wording import below

SUFFIXES = (".zip", ".tar")
UNREADABLE = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".7z", ".rar")
"""Archives that must be read from their beginning, or that only other programs read."""

ARCHIVES = SUFFIXES + UNREADABLE
LOCAL_HEADER, LOCAL_MAGIC = struct.Struct("<4s22xHH"), b"PK\3\4"
ENCRYPTED = 0x1
OUTSIDE = r"^/|(^|/)\.\.(/|$)|\\|\x00"
"""Part of a name that leads out of a folder, or that does so on some system; for Python's and for Arrow's engine."""


class Archive:
    """A zip or tar file at `path`.

    Attributes:
        where: it lies, for messages; the path if nothing else is given.
        names: of its files, sorted, (N,) strings.
        sizes: bytes of each, (N,).

    Raises:
        DataError: it is no such archive, or is damaged; or members lie outside of it, share a name, or are packed in a
            way that cannot be read (all such members are listed).
    """

    def __init__(self, path: Path, where: str = "") -> None:
        self.where = where or str(path)
        rows = sorted(_rows(path, self.where))
        self._check([name for name, *_ in rows])
        self.names = pa.array([row[0] for row in rows], pa.string())
        columns = np.array([row[1:] for row in rows], np.int64).reshape(-1, 5)
        self._starts, self.sizes, self._packed, self._methods, self._sums = columns.T
        hashes = np.fromiter((hash(row[0]) for row in rows), np.int64, len(rows))
        self._order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._order]
        self._file = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            os.close(self._file)

    def find(self, name: str) -> int | None:
        """Row of a member; None if there is none of this name."""
        first, end = (int(self._hashes.searchsorted(hash(name), side)) for side in ("left", "right"))
        rows = self._order[first:end].tolist()
        return next((row for row in rows if self.names[row].as_py() == name), None)

    def read(self, row: int) -> bytes:
        """The bytes of a member.

        Raises:
            OSError: the archive does not hold what its directory says.
        """
        start, packed = int(self._starts[row]), int(self._packed[row])
        if self._methods[row] < 0:  # tar
            return self._whole(start, packed)
        # in one call with the header before it, whose length only it knows: names there are rarely longer
        guess = LOCAL_HEADER.size + len(self.names[row].as_py().encode()) + 64
        content = os.pread(self._file, guess + packed, start)
        magic, name_length, extra_length = LOCAL_HEADER.unpack_from(content.ljust(LOCAL_HEADER.size))
        written = content[LOCAL_HEADER.size : LOCAL_HEADER.size + name_length]
        if magic != LOCAL_MAGIC or self.names[row].as_py() not in (
            written.decode("utf-8", "replace"),
            written.decode("cp437"),
        ):
            raise OSError(f"{self.where}: {self.names[row]} does not begin where the directory says")
        first = LOCAL_HEADER.size + name_length + extra_length
        body = content[first : first + packed] if first <= guess else self._whole(start + first, packed)
        try:
            data = zlib.decompress(body, -zlib.MAX_WBITS, int(self.sizes[row])) if self._methods[row] else body
        except zlib.error as error:
            raise OSError(f"{self.where}: {self.names[row]} is damaged: {error}") from error
        if len(data) != self.sizes[row] or zlib.crc32(data) != self._sums[row]:
            raise OSError(f"{self.where}: {self.names[row]} is damaged")
        return data

    def _whole(self, start: int, length: int) -> bytes:
        content = os.pread(self._file, length, start)
        if len(content) != length:
            raise OSError(f"{self.where}: ends too early")
        return content

    def _check(self, names: list[str]) -> None:
        problems = [f"{name!r} lies outside of it" for name in names if outside(name)]
        problems += [f"{name!r} is there twice" for name, other in pairwise(names) if name == other]
        if problems:
            raise DataError(
                "this archive cannot be read as files of a data set:" + below(problems),
                where=self.where,
                fix="take another copy of it",
            )


def outside(name: str) -> bool:
    """Whether a name is none of a file below a folder: absolute, climbing out, or with a backslash or zero byte."""
    return re.search(OUTSIDE, name) is not None


Row = tuple[str, int, int, int, int, int]
"""Name, first byte, bytes, bytes as packed, method (-1 in a tar), checksum."""


def _rows(path: Path, where: str) -> Iterator[Row]:
    try:
        yield from _zip_rows(path) if zipfile.is_zipfile(path) else _tar_rows(path)
    except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, NotImplementedError, UnicodeError) as error:
        raise DataError(
            f"this archive cannot be read: {error}", where=where, fix="take another copy of it, or unpack it"
        ) from error


def _zip_rows(path: Path) -> Iterator[Row]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & ENCRYPTED:
                raise zipfile.BadZipFile(f"{info.filename} is encrypted, or packed in an unusual way")
            size, packed = info.file_size, info.compress_size
            yield info.filename, info.header_offset, size, packed, info.compress_type, info.CRC


def _tar_rows(path: Path) -> Iterator[Row]:
    with tarfile.open(path, "r:") as archive:
        for info in archive:
            archive.members = []  # type: ignore[attr-defined]  # it would keep every one of them
            if info.isfile() and not info.issparse():
                yield info.name.removeprefix("./"), info.offset_data, info.size, info.size, -1, 0
