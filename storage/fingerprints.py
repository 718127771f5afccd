"""Fingerprints of frames by content, with a stat cache: a scan of unchanged data reads no bytes."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import pyarrow as pa

from storage.errors import StoreError
from storage.frames import frame_path
from storage.progress import Progress, silent
from storage.tables import read_table, write_table
from storage.tracklets import Tracklet

MISSING = "missing"
FRAMES_AT_ONCE = 512

CACHE = pa.schema(
    [
        pa.field("frame", pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("mtime_ns", pa.int64(), nullable=False),
        pa.field("inode", pa.int64(), nullable=False),
        pa.field("digest", pa.string(), nullable=False),
    ],
    metadata={"csip.schema": "fingerprints", "csip.version": "1", "csip.units": "mtime: ns"},
)


@dataclass(frozen=True)
class Stamp:
    """What the file system says of a frame, and the digest of its bytes when it said so."""

    size: int
    mtime_ns: int
    inode: int
    digest: str


def _digest(root: Path, frame: str, known: Stamp | None) -> Stamp:
    path = frame_path(root, frame)
    try:
        stat = os.stat(path)
        if known and (known.size, known.mtime_ns, known.inode) == (stat.st_size, stat.st_mtime_ns, stat.st_ino):
            return known
        content = path.read_bytes()
    except OSError:
        return Stamp(-1, -1, -1, MISSING)
    digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    return Stamp(stat.st_size, stat.st_mtime_ns, stat.st_ino, digest)


def fingerprint(
    root: Path, tracklets: Sequence[Tracklet], cache: Path, workers: int = 4, progress: Progress = silent
) -> tuple[list[Tracklet], list[str]]:
    """Tracklets with the digest of their frames' bytes, and the frames that are missing.

    Args:
        root: data root.
        tracklets: from a reader; all their frame names must stay inside `root`.
        cache: Parquet file of what was seen at the last scan; made and rewritten here.
        workers: reading threads.
        progress: told frames done of all frames.

    Raises:
        DataError: a frame name points outside the data root.
    """
    known = _read_cache(cache)
    frames = list(chain.from_iterable(t.frames for t in tracklets))
    stamps: dict[str, Stamp] = {}
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(frames), FRAMES_AT_ONCE):
            group = frames[start : start + FRAMES_AT_ONCE]
            found = pool.map(lambda frame: _digest(root, frame, known.get(frame)), group)
            stamps.update(zip(group, found, strict=True))
            progress(len(stamps), len(frames), "frames")
    if stamps != known:
        _write_cache(cache, stamps)
    stamped = []
    for tracklet in tracklets:
        whole = hashlib.blake2b(digest_size=16)
        for frame in tracklet.frames:
            whole.update(stamps[frame].digest.encode() + b"\n")
        stamped.append(replace(tracklet, fingerprint=whole.hexdigest()))
    return stamped, [frame for frame in frames if stamps[frame].digest == MISSING]


def _read_cache(cache: Path) -> dict[str, Stamp]:
    try:
        table = read_table(cache, CACHE)
    except (StoreError, FileNotFoundError):
        return {}  # a lost or damaged cache only costs reading the frames again
    columns = [table[name].to_pylist() for name in CACHE.names]
    return {frame: Stamp(*rest) for frame, *rest in zip(*columns, strict=True)}


def _write_cache(cache: Path, stamps: dict[str, Stamp]) -> None:
    cache.parent.mkdir(parents=True, exist_ok=True)
    fields = list(stamps.values())
    table = pa.table(
        {
            "frame": list(stamps),
            "size": [s.size for s in fields],
            "mtime_ns": [s.mtime_ns for s in fields],
            "inode": [s.inode for s in fields],
            "digest": [s.digest for s in fields],
        },
        schema=CACHE,
    )
    fresh = cache.with_suffix(f".{os.getpid()}.new")
    write_table(table, fresh)
    fresh.replace(cache)
