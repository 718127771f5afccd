"""Fingerprints of frames by content, with a cache of stamps: a scan of unchanged data reads no bytes.

A million frames are a few columns, compared at once, and never an object a frame.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from storage.disk import write_whole
from storage.frames.archives import OUTSIDE
from storage.frames.files import DataFiles, check_name
from storage.frames.stamps import MISSING, WIDTH, Stamps
from storage.progress import Progress, silent
from storage.tables.tracklets import Tracklet
from storage.threads import of_each

DIGEST_BYTES = 16

Digests = NDArray[np.uint8]
"""(N, DIGEST_BYTES) blake2b of the frames' bytes; zeros for a frame that is missing."""

CACHE = pa.schema(
    [
        pa.field("frame", pa.string(), nullable=False),
        pa.field("stamp", pa.list_(pa.int64(), WIDTH), nullable=False),
        pa.field("digest", pa.binary(DIGEST_BYTES), nullable=False),
    ],
    metadata={"csip.schema": "fingerprints", "csip.version": "2", "csip.units": "stamp: see storage.frames.stamps"},
)


@dataclass(frozen=True)
class Fingerprinted:
    """What a scan of frames found.

    Attributes:
        tracklets: as given, with the digest of their frames' bytes.
        missing: frames that are listed but not there.
        digests: of all frames, in the tracklets' order.
        cache_digest: names what the cache now holds, see `unchanged`.
    """

    tracklets: tuple[Tracklet, ...]
    missing: tuple[str, ...]
    digests: Digests
    cache_digest: str


@dataclass(frozen=True)
class Seen:
    """The cache: frames as the last scan saw them, N of them."""

    frames: pa.Array
    stamps: Stamps
    digests: Digests


def fingerprint(
    files: DataFiles, tracklets: Sequence[Tracklet], cache: Path, workers: int = 4, progress: Progress = silent
) -> Fingerprinted:
    """Fingerprint tracklets by their frames' bytes, of which only those with a new stamp are read.

    Args:
        files: of the data set, as they are now.
        tracklets: from a reader; all their frame names must stay inside the data root.
        cache: file of what was seen at the last scan; made and rewritten here. Names in it are relative: it serves a
            data root that was moved.
        workers: reading threads.
        progress: told frames done of all frames.

    Raises:
        DataError: a frame name points outside the data root.
    """
    start = time.time_ns()
    frames = pa.array(chain.from_iterable(t.frames for t in tracklets), pa.string())
    for name in frames.filter(pc.match_substring_regex(frames, OUTSIDE)).to_pylist():
        check_name(name)
    known, cache_digest = _read_cache(cache)
    stamps = files.stamps(frames, progress)
    before = _positions(frames, known.frames)
    kept = np.flatnonzero(before >= 0)
    kept = kept[(known.stamps[before[kept]] == stamps[kept]).all(axis=1)]
    digests = np.zeros((len(frames), DIGEST_BYTES), np.uint8)
    digests[kept] = known.digests[before[kept]]
    fresh = np.setdiff1d(np.flatnonzero(stamps[:, 0] != MISSING), kept, assume_unique=True)
    changed = frames.take(pa.array(fresh))
    files.fetch((name.as_py() for name in changed), progress)
    read = of_each(partial(_digest, files), changed, workers, progress, "changed frames")
    for position, digest in zip(fresh.tolist(), read, strict=True):
        if digest:
            digests[position] = np.frombuffer(digest, np.uint8)
        else:
            stamps[position] = MISSING
    if len(kept) < len(frames) or not frames.equals(known.frames):
        cache_digest = _write_cache(cache, Seen(frames, files.loose.settled(stamps, start), digests))
    missing = frames.take(pa.array(np.flatnonzero(stamps[:, 0] == MISSING))).to_pylist()
    return Fingerprinted(tuple(_stamped(tracklets, digests)), tuple(missing), digests, cache_digest)


def unchanged(files: DataFiles, cache: Path, cache_digest: str, progress: Progress = silent) -> bool:
    """Whether every frame has the stamp with which the cache of this digest remembers it."""
    known, found = _read_cache(cache)
    if found != cache_digest:
        return False
    stamps = files.loose.stamps(known.frames, progress)
    # of an archive that is as it was, every member is
    archives = np.array([times for _, _, *times in files.archive_stamps()], np.int64).reshape(-1, WIDTH - 1)
    lost = np.flatnonzero(stamps[:, 0] == MISSING)
    same = (known.stamps[lost, None, 1:] == archives).all(axis=2).any(axis=1)
    stamps[lost[same]] = known.stamps[lost[same]]
    return np.array_equal(stamps, known.stamps)


def offsets_of(tracklets: Sequence[Tracklet]) -> NDArray[np.int64]:
    """(N + 1,): tracklet i owns frames offsets[i]:offsets[i + 1] of all frames."""
    return np.concatenate([[0], np.cumsum([len(t.frames) for t in tracklets], dtype=np.int64)])


def _stamped(tracklets: Sequence[Tracklet], digests: Digests) -> list[Tracklet]:
    whole = memoryview(digests.tobytes())
    bounds = (offsets_of(tracklets) * DIGEST_BYTES).tolist()
    return [
        replace(tracklet, fingerprint=digest_of(whole[first:end]).hex())
        for tracklet, first, end in zip(tracklets, bounds, bounds[1:], strict=False)
    ]


def _positions(frames: pa.Array, known: pa.Array) -> NDArray[np.int64]:
    """Where each frame stands among the known ones, -1 for a new one."""
    if frames.equals(known):
        return np.arange(len(frames))
    return np.asarray(pc.fill_null(pc.index_in(frames, value_set=known), -1), np.int64)


def digest_of(content: bytes | memoryview) -> bytes:
    """The digest of some bytes, such as a frame's."""
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()


def _digest(files: DataFiles, name: str) -> bytes:
    """The digest of a frame; empty if it cannot be read."""
    try:
        return digest_of(files.read(name))
    except OSError:
        return b""


def _read_cache(cache: Path) -> tuple[Seen, str]:
    """What the last scan saw, and the digest of the file; nothing, and an empty digest, if there is no whole one."""
    try:
        content = cache.read_bytes()
        table = pq.read_table(pa.BufferReader(content), page_checksum_verification=True)
    except (OSError, pa.ArrowException):
        table = None  # a lost or damaged cache only costs reading the frames again
    if table is None or not table.schema.equals(CACHE) or table.schema.metadata != CACHE.metadata:
        return _as_seen(CACHE.empty_table()), ""
    return _as_seen(table), digest_of(content).hex()


def _as_seen(table: pa.Table) -> Seen:
    frames, stamps, digests = (table[name].combine_chunks() for name in CACHE.names)
    buffer = digests.buffers()[1]
    whole = np.frombuffer(buffer, np.uint8, len(digests) * DIGEST_BYTES) if len(digests) else np.zeros(0, np.uint8)
    return Seen(frames, stamps.flatten().to_numpy().reshape(-1, WIDTH), whole.reshape(-1, DIGEST_BYTES))


def _write_cache(cache: Path, seen: Seen) -> str:
    """Replace the cache as a whole; the digest of the new one."""
    stamps = pa.FixedSizeListArray.from_arrays(pa.array(seen.stamps.ravel()), WIDTH)
    bytes_of = [None, pa.py_buffer(seen.digests.tobytes())]
    digests = pa.FixedSizeBinaryArray.from_buffers(CACHE.field("digest").type, len(seen.digests), bytes_of)
    stream = pa.BufferOutputStream()
    pq.write_table(
        pa.table([seen.frames, stamps, digests], schema=CACHE),
        stream,
        compression="zstd",
        use_dictionary=False,
        write_page_checksum=True,
    )
    content = stream.getvalue()
    write_whole(cache, content)
    return digest_of(content).hex()
