"""The nearest tracklets of a gallery: exact, in float32, a block of the gallery at a time.

Nothing is ranked but what is asked for, and a gallery need not fit in memory: a million tracklets are searched as ten
are. Ranking whole galleries, by a protocol and with identities, is `evaluation.ranking.ranks`.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evaluation.ranking.distances import minus_cosines, nearest_columns
from evaluation.results.external import vectors_of
from storage.errors import DataError
from storage.tables.parquet import read_table, stream_table
from storage.tables.schema import EMBEDDINGS

ROWS = 8192  # of a block: at 2,048 dimensions 64 MB
ROUNDING = 5e-6  # more than float32 gets wrong in a cosine: 6e-7 at most, of 128 to 4,096 dimensions
LABELS = ["tracklet_id", "pid", "camid"]

ANSWERS = pa.schema(
    [
        ("query_id", pa.string()),
        ("rank", pa.int32()),
        *((name, EMBEDDINGS.field(name).type) for name in LABELS),
        ("distance", pa.float32()),
    ],
    metadata={
        "csip.schema": "answers",
        "csip.version": "1",
        "csip.units": "rank: from 1; distance: Euclidean between unit vectors, 0 to 2",
    },
)

Block = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Positions in the gallery, ascending, (n,), and their unit vectors, (n, D)."""


def nearest(
    queries: NDArray[np.float32], gallery: Iterable[Block], top: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The nearest items of a gallery for each query, nearest first; of equally near ones, the first in the gallery.

    Of unit vectors, (Q, D), and blocks in the order of their positions; `top` answers, or all where there are fewer.

    Returns:
        Positions in the gallery and Euclidean distances, (Q, K) each.
    """
    found = [(np.zeros(0, np.int64), np.zeros(0, np.float32)) for _ in queries]
    for rows, vectors in gallery:
        for query, distances in enumerate(minus_cosines(queries, vectors)):
            # all that may be among the nearest: a matrix product rounds copies of a vector differently
            kept = nearest_columns(distances, top, ROUNDING)
            positions = np.concatenate([found[query][0], rows[kept]])
            both = np.concatenate([found[query][1], _exact(queries[query], vectors[kept])])
            order = np.lexsort((positions, both))[:top]
            found[query] = positions[order], both[order]
    positions = np.array([positions for positions, _ in found], np.int64).reshape(len(queries), -1)
    return positions, np.array([distances for _, distances in found], np.float32).reshape(positions.shape)


def _exact(query: NDArray[np.float32], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Distances, (n,), each of its row alone: the same for copies wherever they stand, 0 of the query itself."""
    distances: NDArray[np.float64] = np.linalg.norm(vectors.astype(np.float64) - query, axis=1)
    return distances.astype(np.float32)


def search_files(
    names: Sequence[str],
    queries: NDArray[np.float32],
    paths: Sequence[Path],
    top: int,
    without_camid: int | None = None,
) -> pa.Table:
    """Search galleries in files for each query: an `ANSWERS` table, query by query, nearest first.

    Args:
        names: of the queries, Q.
        queries: embeddings, (Q, D).
        paths: of `EMBEDDINGS`; tracklets without an embedding (zeros) are no answers.
        top: answers to a query.
        without_camid: tracklets by this camera are no answers.

    Raises:
        DataError: the gallery is of another dimension than the queries, holds values that are not finite, or nothing.
        StoreError: a file is damaged.
    """
    labels = read_table(paths, EMBEDDINGS, LABELS)
    camids = labels["camid"].to_numpy()
    kept = np.ones(len(camids), bool) if without_camid is None else camids != without_camid
    # as the gallery is read: a last bit of a unit vector may change too
    queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    positions, distances = nearest(queries, _blocks(paths, queries.shape[1], kept), top)
    if not positions.size:
        raise DataError(
            f"none of the {len(camids):,} tracklets of the gallery can be an answer",
            where=", ".join(map(str, paths)),
            fix="give a gallery that holds embeddings (by other cameras, if only those are searched)",
        )
    answers = labels.take(pa.array(positions.ravel()))
    columns = {name: answers[name] for name in LABELS} | {
        "query_id": pa.array(np.repeat(np.array(names, object), positions.shape[1]), pa.string()),
        "rank": pa.array(np.tile(np.arange(1, positions.shape[1] + 1, dtype=np.int32), len(names))),
        "distance": pa.array(distances.ravel()),
    }
    return pa.table([columns[field.name] for field in ANSWERS], schema=ANSWERS)


def _blocks(paths: Sequence[Path], width: int, kept: NDArray[np.bool_]) -> Iterator[Block]:
    start = 0
    for path in paths:
        for table in stream_table(path, EMBEDDINGS, ROWS):
            vectors = vectors_of(table, path)
            if vectors.shape[1] != width:
                raise DataError(
                    f"the gallery has embeddings of {vectors.shape[1]} dimensions, and the model makes {width}",
                    where=path,
                    fix="search with the model that the gallery was embedded with, or embed the gallery anew",
                )
            lengths = np.linalg.norm(vectors, axis=1)
            if not np.isfinite(lengths).all():
                raise DataError("the gallery holds embeddings that are not finite", where=path, fix="embed it anew")
            rows = np.flatnonzero((lengths > 0) & kept[start : start + len(vectors)])
            yield start + rows, vectors[rows] / lengths[rows, None]
            start += len(vectors)
