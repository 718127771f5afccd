"""Embeddings with their labels: read from shards, checked, brought to unit length, split into queries and gallery."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from evaluation.ranking.vectors import VectorFile, Vectors, copies
from storage.errors import DataError
from storage.tables.parquet import read_table, stream_table
from storage.tables.schema import EMBEDDINGS, SAMPLING_KEY
from storage.wording import listed

MOST_BYTES = 1 << 30  # of vectors kept in memory; more are kept in a file
BATCH_ROWS = 4096
NOWHERE = -1  # the position of what is not there
GalleryKind = Literal["with_queries", "without_queries"]
NUMBERS = ("pid", "camid", "clothes", "frames")
LABELS = [name for name in EMBEDDINGS.names if name != "embedding"]


@dataclass(frozen=True)
class Embeddings:
    """Unit-length embeddings of N tracklets and what is known of them."""

    ids: NDArray[np.str_]  # tracklet ids, N
    splits: NDArray[np.str_]  # query or gallery, (N,)
    pids: NDArray[np.int32]  # identities, (N,); 0 is a distractor
    camids: NDArray[np.int32]  # cameras, (N,)
    clothes: NDArray[np.int32]  # which of the identity's own clothes, (N,); 0 where that is not known
    frames: NDArray[np.int32]  # of the tracklet, (N,); 0 where that is not known
    vectors: Vectors  # (N, D) float32, each of length 1, or zeros where a tracklet has none (no readable frame)
    blank: NDArray[np.bool_]  # whether it has none, (N,)
    alike: NDArray[np.intp]  # a number of each embedding, the same for exactly the same ones, (N,)

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: NDArray[np.intp]) -> "Embeddings":
        """The tracklets at `rows`, in that order."""
        vectors = self.vectors.take(rows) if isinstance(self.vectors, VectorFile) else self.vectors[rows]
        labels = (self.splits[rows], self.pids[rows], self.camids[rows], self.clothes[rows], self.frames[rows])
        return Embeddings(self.ids[rows], *labels, vectors, self.blank[rows], self.alike[rows])

    def find(self, ids: NDArray[np.str_]) -> NDArray[np.intp]:
        """Positions of tracklets by their ids, (Q,); `NOWHERE` of those that are not here."""
        by_id = np.argsort(self.ids, kind="stable")
        at = by_id[np.minimum(np.searchsorted(self.ids, ids, sorter=by_id), len(self) - 1)]
        return np.where(self.ids[at] == ids, at, NOWHERE)


def read_embeddings(paths: Sequence[Path], scratch: Path | None = None) -> Embeddings:
    """Read embedding shards and bring every vector to unit length; rows sorted by tracklet id.

    Sorted, so that the answer does not depend on how the data set was cut into shards. A tracklet without a readable
    frame has no embedding: its zeros stay, at right angles to every other vector, and it is ranked like that. Vectors
    that would take more than `MOST_BYTES` of memory are kept in the folder `scratch`, if there is one.

    Raises:
        DataError: vectors of different dimension, not finite or all zero, or a tracklet listed twice.
        StoreError: a file is damaged.
    """
    table = read_table(paths, EMBEDDINGS, LABELS)
    ids = np.array(table["tracklet_id"].to_pylist(), dtype=str)
    twice = sorted(name for name, count in Counter(ids.tolist()).items() if count > 1)
    if twice:
        raise of_tracklets(f"{len(twice)} tracklets are embedded more than once", twice, "list each shard once")
    width = next((len(column[0]) for column in _columns(paths) if len(column)), 0)
    order = np.argsort(ids, kind="stable")
    place = np.argsort(order, kind="stable")  # of each row as it is read
    path = scratch / "vectors.f32" if scratch is not None and len(ids) * width * 4 > MOST_BYTES else None
    norms = np.zeros(len(ids))
    memory = np.zeros((0 if path else len(ids), width), np.float32)
    with path.open("wb") if path else nullcontext() as file:
        for rows, vectors in _batches(paths, width, ids):
            lengths = norms[rows] = np.linalg.norm(vectors.astype(np.float64), axis=1)
            with np.errstate(invalid="ignore"):
                unit = (vectors / np.where(lengths > 0, lengths, 1)[:, None]).astype(np.float32)
            if file:
                unit.tofile(file)
            else:
                memory[place[rows]] = unit
    useless = sorted(ids[~np.isfinite(norms)].tolist())
    if useless:
        fix = "train again, with a lower learning rate"
        raise of_tracklets(f"{len(useless)} embeddings hold values that are not finite", useless, fix)
    if len(ids) and not norms.any():
        fix = "check that the frames can be read, and train again"
        raise of_tracklets("every embedding is zero", ids.tolist(), fix)
    splits = np.array(table["split"].to_pylist(), dtype=str)
    pids, camids, clothes, frames = (table[name].to_numpy().astype(np.int32)[order] for name in NUMBERS)
    kept = VectorFile(path, width, order) if path else memory
    blank, alike = norms[order] == 0, copies(kept)
    return Embeddings(ids[order], splits[order], pids, camids, clothes, frames, kept, blank, alike)


def _batches(paths: Sequence[Path], width: int, ids: NDArray[np.str_]) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Rows in the order of the files, some at a time: where they stand, and their vectors, all of one width."""
    start = 0
    for column in _columns(paths):
        if (np.diff(column.offsets) != width).any():
            raise _of_other_widths(paths, ids)
        flat = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
        yield slice(start, start + len(column)), flat.reshape(len(column), width)
        start += len(column)


def _of_other_widths(paths: Sequence[Path], ids: NDArray[np.str_]) -> DataError:
    widths = np.concatenate([np.diff(column.offsets) for column in _columns(paths)])
    usual = Counter(widths.tolist()).most_common(1)[0][0]
    others = sorted(ids[widths != usual].tolist())
    return of_tracklets(
        f"{len(others)} embeddings are not of {usual} values like the others", others, "embed them again"
    )


def _columns(paths: Sequence[Path]) -> Iterator[pa.ListArray]:
    for path in paths:
        for table in stream_table(path, EMBEDDINGS, BATCH_ROWS, ["embedding"]):
            yield table["embedding"].combine_chunks()


def aligned(embeddings: Embeddings, others: Embeddings) -> Embeddings:
    """Embeddings of the tracklets of others, in their order.

    Raises:
        DataError: they are not of the same tracklets.
    """
    rows = embeddings.find(others.ids)
    missing = others.ids[rows == NOWHERE].tolist()
    if missing or len(embeddings) != len(others):
        what = f"{len(missing)} tracklets have no skeletons to be fused with, of {len(others)} and {len(embeddings)}"
        raise of_tracklets(what, missing, "embed the skeletons of the same shards")
    return embeddings.take(rows)


def alike_in_both(first: NDArray[np.intp], second: NDArray[np.intp]) -> NDArray[np.intp]:
    """Of each row, the position of the first that is the same in both respects, (N,)."""
    _, at, which = np.unique(np.stack([first, second]), axis=1, return_index=True, return_inverse=True)
    found: NDArray[np.intp] = at[which.reshape(-1)]
    return found


def of_tracklets(what: str, names: Sequence[str], fix: str) -> DataError:
    """An error that names the first tracklets concerned."""
    return DataError(what, where=listed(names), fix=fix)


def queries_and_gallery(embeddings: Embeddings, kind: GalleryKind) -> tuple[Embeddings, Embeddings]:
    """Queries, and the gallery with or without the query tracklets kept in it.

    Raises:
        DataError: there are no queries or no gallery tracklets.
    """
    is_query = embeddings.splits == "query"
    in_gallery = embeddings.splits == "gallery"
    for name, rows in (("query", is_query), ("gallery", in_gallery)):
        if not rows.any():
            what = f"there is no {name} tracklet among the embeddings"
            raise DataError(what, fix="give the shards of the test split")
    if kind == "with_queries":
        in_gallery = in_gallery | is_query
    queries = embeddings.take(np.flatnonzero(is_query))
    # they are needed with each block of the gallery
    return replace(queries, vectors=queries.vectors[:]), embeddings.take(np.flatnonzero(in_gallery))


def sampling_of(paths: Sequence[Path]) -> str | None:
    """How frames were sampled for these embeddings (rrs, dense), where their files say so in their metadata."""
    found = {(pq.read_schema(path).metadata or {}).get(SAMPLING_KEY.encode(), b"").decode() for path in paths}
    return " and ".join(sorted(found - {""})) or None
