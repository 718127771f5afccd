"""Stamps: what the file system says of many files, as one array; a file whose stamp is the same is not read again.

Run as a module, for `storage.frames.many_stamps`: `python -m storage.frames.stamps ROOT < names > stamps`.
"""

import os
import sys
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

WIDTH = 4
"""Size, bytes; time of the last change of the content, and of anything, ns; inode.

The last is the one that nobody can set back: a file that is changed in place and given its old time is seen.
"""

Stamps = NDArray[np.int64]
"""(N, WIDTH); a file that is not there has MISSING everywhere."""

BETWEEN = "\0"
"""Between two names that another process is to read; no name holds it."""

MISSING = -1
UNSETTLED = -2
TICK_NS = 20_000_000
"""Two changes of a file in one tick of the file system's clock (at most 10 ms on Linux) have one time."""


def read_stamps(root: Path, names: Iterable[str]) -> Stamps:
    """Stamps of files, in the order given; quickest where neighbours share a folder.

    By name in an open folder, in one thread: of a million files this took 2.8 s, by path 3.1, by listing the folders
    4.7; two threads, which take turns in Python, took longer than one. `storage.frames.many_stamps` uses processes.

    Args:
        root: data root.
        names: paths relative to it.
    """
    values = array("q")
    for folder, group in groupby(names, key=_folder):
        with _opened(root / folder) as place:
            for name in group:
                values.extend(_stamp(name[len(folder) + 1 if folder else 0 :], place))
    return np.frombuffer(values, np.int64).reshape(-1, WIDTH) if values else np.zeros((0, WIDTH), np.int64)


def settled(stamps: Stamps, since_ns: int) -> Stamps:
    """Stamps as they may be compared later: of a file that changed after `since_ns`, or just before, none.

    It could change once more in the same tick of the clock, and its stamp would not tell.
    """
    young = stamps[:, 2] >= since_ns - TICK_NS
    return np.where(young[:, None], UNSETTLED, stamps)


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


@contextmanager
def _opened(folder: Path) -> Iterator[int | None]:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _stamp(name: str, place: int | None) -> tuple[int, int, int, int]:
    if place is not None:
        try:
            stat = os.stat(name, dir_fd=place)
        except OSError:
            pass
        else:
            return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino
    return (MISSING,) * WIDTH


if __name__ == "__main__":
    asked = sys.stdin.buffer.read().decode()
    sys.stdout.buffer.write(read_stamps(Path(sys.argv[1]), asked.split(BETWEEN) if asked else []).tobytes())
