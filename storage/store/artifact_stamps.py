"""What the file system said of an artifact's files when their bytes were last compared with the manifest.

While size, time of change and inode stay the same the bytes need not be read again; a file that was written to,
replaced or copied is read once, and damage is noticed wherever it leaves such a trace. What leaves none (a disk that
forgets a bit) is found by `csip verify`, and before a step reads a file as its input.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from storage.disk import write_whole

Stamp = tuple[int, int, int]
"""Size in bytes, time of the last change in ns, inode."""

Listing = dict[str, tuple[int, str]]
"""Files by their path below a folder: size in bytes, and what tells a file from one that took its place."""


def stamp(path: Path) -> Stamp:
    """What the file system says of a file now.

    Raises:
        OSError: there is no such file.
    """
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def files_below(folder: Path) -> Listing:
    """All files below a folder; without those that vanish while it is read."""
    found: Listing = {}
    # os.walk passes over folders that vanish, and Path.rglob raises
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            with suppress(OSError):
                stat = path.lstat()
                found[path.relative_to(folder).as_posix()] = (stat.st_size, f"{stat.st_mtime_ns} {stat.st_ino}")
    return found


def read_stamps(path: Path) -> dict[str, Stamp]:
    """Remembered stamps of an artifact's files by name; none where nothing, or nothing whole, is remembered."""
    try:
        return {str(name): (int(a), int(b), int(c)) for name, (a, b, c) in json.loads(path.read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def write_stamps(path: Path, stamps: Mapping[str, Stamp]) -> None:
    """Remember stamps; where that is impossible (a read-only store), bytes are read again the next time."""
    with suppress(OSError):
        write_whole(path, json.dumps(stamps).encode())
