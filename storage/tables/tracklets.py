"""The index: which frames make which tracklet, of whom, by which camera, in which split."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from storage.tables.parquet import read_table, stream_table
from storage.tables.schema import INDEX

SPLITS = ("train", "query", "gallery")
DISTRACTOR_PID = 0
JUNK_PID = -1


@dataclass(frozen=True)
class Tracklet:
    """Frames of one person by one camera.

    Attributes:
        tracklet_id: unique name in the data set, e.g. 0001C1T0001.
        split: train, query or gallery.
        pid: identity; 0 is a distractor (in the gallery, matches nobody).
        camid: camera, from 1 (or 0), as the data set numbers them.
        frames: paths relative to the data root, in time order.
        fingerprint: digest of the frames' bytes; empty before fingerprinting.
        clothes: which of the identity's own clothes, from 1; 0 where that is not known.
    """

    tracklet_id: str
    split: str
    pid: int
    camid: int
    frames: tuple[str, ...]
    fingerprint: str = ""
    clothes: int = 0


def index_table(tracklets: Iterable[Tracklet]) -> pa.Table:
    """Tracklets as an `INDEX` table, in the order given."""
    rows = list(tracklets)
    columns = [pa.array([getattr(t, f.name) for t in rows], f.type) for f in INDEX]
    return pa.table(columns, schema=INDEX)


def stream_index(path: Path) -> Iterator[Tracklet]:
    """Tracklets of one index file in file order, read as they are asked for."""
    for table in stream_table(path, INDEX):
        yield from _tracklets(table)


def read_index(paths: Path | Sequence[Path]) -> list[Tracklet]:
    """Tracklets of one or more index files, in file order."""
    return list(_tracklets(read_table(paths, INDEX)))


def _tracklets(table: pa.Table) -> Iterator[Tracklet]:
    for row in table.to_pylist():
        yield Tracklet(**(row | {"frames": tuple(row["frames"])}))


def find_tracklets(paths: Sequence[Path], wanted: Collection[str]) -> dict[str, Tracklet]:
    """The tracklets with these ids in index files, as far as they are there: id -> tracklet."""
    table = read_table(paths, INDEX)
    chosen = table.filter(pc.is_in(table["tracklet_id"], pa.array(sorted(wanted), pa.string())))
    return {tracklet.tracklet_id: tracklet for tracklet in _tracklets(chosen)}
