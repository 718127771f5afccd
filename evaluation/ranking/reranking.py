"""k-reciprocal re-ranking of queries and gallery (Zhong et al., CVPR 2017), exact, with nothing N x N in memory.

Queries and gallery are stacked to N items. Each item is encoded by those of its nearest items that have it among their
own nearest ones (its k-reciprocal neighbours), and two items are near where their encodings overlap. Only the nearest
k1 + 1 items of each are kept (`neighbours`), and encodings are sparse.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from evaluation.ranking.distances import Floats, squared_distances
from evaluation.ranking.neighbours import Neighbours, find_neighbours
from storage.settings import Settings

if TYPE_CHECKING:
    from scipy.sparse import csr_array

QUERIES_AT_ONCE = 16


class RerankSettings(Settings):
    """Neighbours and weight of k-reciprocal re-ranking; the defaults are those of the paper."""

    k1: int = Field(20, ge=2, description="Nearest tracklets of which reciprocal ones encode a tracklet.")
    k2: int = Field(
        6, ge=1, description="Nearest tracklets, itself among them, of which the encodings are averaged; 1: none."
    )
    weight: float = Field(
        0.3, ge=0, le=1, description="Part of the original distance in the new one (lambda), 0 to 1; 1: as it was."
    )

    @model_validator(mode="after")
    def _averaged_over_fewer_than_encode(self) -> Self:
        if self.k2 > self.k1:
            raise ValueError(f"evaluation.rerank.k2={self.k2} must not be larger than evaluation.rerank.k1={self.k1}")
        return self


def rerank(queries: Floats, gallery: Floats, settings: RerankSettings | None = None) -> Floats:
    """New distances of gallery items (G, D) to queries (Q, D), unit vectors or zeros; (Q, G) float32, 0 to 1.

    `(1 - weight) * Jaccard distance of the encodings + weight * squared distance / that of the query's farthest item`.
    The definition is applied to the queries and the gallery as they are given, like everyone does who reports it: a
    tracklet that is among both (MARS's official gallery) counts as two items, each the other's nearest. Among equal
    distances, the item that comes first is the nearer one, queries before the gallery. Where there are fewer items than
    neighbours are asked for, all are neighbours. Zeros, of a tracklet without an embedding, are at right angles to all
    others. Settings are those of the paper if not given.
    """
    settings, count = settings or RerankSettings(), len(queries)
    neighbours, distances = find_neighbours(queries, gallery, settings.k1 + 1)
    encodings = averaged(encode(queries, gallery, neighbours, settings.k1), neighbours, settings.k2)
    distances *= settings.weight / _divisors(neighbours.farthest[:count, None])
    distances += 1 - settings.weight
    for start, shared in overlaps(encodings[:count], encodings[count:]):
        some = np.flatnonzero(shared > 0)  # few: much faster than all of them
        overlap = shared.ravel()[some]
        distances[start : start + len(shared)].ravel()[some] -= (1 - settings.weight) * overlap / (2 - overlap)
    return distances


def encode(queries: Floats, gallery: Floats, neighbours: Neighbours, k1: int) -> "csr_array":
    """Weights of each item's k-reciprocal neighbours and of theirs, (N, N) sparse float32, rows of sum 1.

    The neighbours of a neighbour, reciprocal among the nearest k1 / 2 (rounded, halves to the even number), join where
    more than two thirds of them are the item's own. A weight is exp(-squared distance / that of the item's farthest).
    An item that more than k1 others equal may have no neighbour that returns it: its row is empty.
    """
    own, theirs = (_reciprocal(neighbours.positions[:, : 1 + count]) for count in (k1, round(k1 / 2)))
    shared = (own @ theirs.T).multiply(own).tocoo()
    sizes, count = np.diff(theirs.indptr), len(neighbours.positions)
    joining = 3 * shared.data > 2 * sizes[shared.col]
    joined = _ones(shared.row[joining], shared.col[joining], count)
    members = (own + joined @ theirs).tocsr()
    members.sort_indices()
    rows = np.repeat(np.arange(count), np.diff(members.indptr))
    distances = _distances_of(queries, gallery, neighbours, rows, members.indices)
    weights = np.exp(-distances / _divisors(neighbours.farthest)[rows])
    sums = np.bincount(rows, weights, minlength=count)
    encodings = members.astype(np.float32)
    encodings.data[:] = weights / sums[rows]
    return encodings


def averaged(encodings: "csr_array", neighbours: Neighbours, k2: int) -> "csr_array":
    """The mean encoding of each item's nearest `k2` items, or of all if there are fewer; (N, N) sparse."""
    if k2 == 1:
        return encodings
    nearest = neighbours.positions[:, :k2]
    return (_marks(nearest).astype(np.float32) / np.float32(nearest.shape[1]) @ encodings).tocsr()


def overlaps(queries: "csr_array", gallery: "csr_array") -> Iterator[tuple[int, NDArray[Any]]]:
    """Sums of the smaller weights of queries and gallery items: position of a query, and those of it and some after it.

    By an inverted index of the encodings, (Q, N) and (G, N): what has no neighbour in common with a query is never
    looked at.

    Yields:
        (position, (up to `QUERIES_AT_ONCE`, G), 0 to 1).
    """
    holders, items = gallery.tocsc(), gallery.shape[0]
    begins, sizes = holders.indptr[:-1].astype(np.int64), np.diff(holders.indptr)
    for start in range(0, queries.shape[0], QUERIES_AT_ONCE):
        some = queries[start : start + QUERIES_AT_ONCE]
        rows = np.repeat(np.arange(some.shape[0]), np.diff(some.indptr))
        counts = sizes[some.indices]
        shifts = begins[some.indices] - np.cumsum(counts) + counts
        at = np.arange(counts.sum()) + np.repeat(shifts, counts)
        cells = np.repeat(rows * items, counts) + holders.indices[at]
        smaller: NDArray[np.float32] = np.minimum(holders.data[at], np.repeat(some.data, counts))
        yield start, np.bincount(cells, smaller, some.shape[0] * items).reshape(-1, items)


def _ones(rows: NDArray[np.integer], columns: NDArray[np.integer], count: int) -> "csr_array":
    from scipy.sparse import csr_array  # takes a second to import, and few evaluations need it

    return csr_array((np.ones(len(rows), np.int32), (rows, columns)), shape=(count, count))


def _marks(nearest: NDArray[np.int64]) -> "csr_array":
    """1 at the nearest items of each, (N, K) positions -> (N, N) sparse int32."""
    return _ones(np.repeat(np.arange(len(nearest)), nearest.shape[1]), nearest.ravel(), len(nearest))


def _reciprocal(nearest: NDArray[np.int64]) -> "csr_array":
    """1 where each of two items is among the other's nearest, (N, K) positions -> (N, N) sparse int32."""
    marks = _marks(nearest)
    return marks.multiply(marks.T).tocsr()


def _distances_of(
    queries: Floats, gallery: Floats, neighbours: Neighbours, rows: NDArray[np.int64], columns: NDArray[np.integer]
) -> Floats:
    """Squared distances of pairs of items, in order of rows and then columns: those known, and the others computed."""
    count, width = neighbours.positions.shape
    known = np.repeat(np.arange(count), width) * count + neighbours.positions.ravel()
    order = np.argsort(known)
    wanted = rows * count + columns
    at = order[np.minimum(np.searchsorted(known, wanted, sorter=order), len(order) - 1)]
    distances: Floats = neighbours.distances.ravel()[at]
    missing = np.flatnonzero(known[at] != wanted)
    bounds = np.flatnonzero(np.diff(rows[missing])) + 1
    for part in np.split(missing, bounds) if len(missing) else ():
        row = rows[part[0]]
        vector = queries[row] if row < len(queries) else gallery[row - len(queries)]
        distances[part] = squared_distances(vector[None], _at(queries, gallery, columns[part]))[0]
    return distances


def _at(queries: Floats, gallery: Floats, positions: NDArray[np.integer]) -> Floats:
    """Floats at ascending positions among the queries and then the gallery, which are never copied into one array."""
    split = np.searchsorted(positions, len(queries))
    return np.concatenate([queries[positions[:split]], gallery[positions[split:] - len(queries)]])


def _divisors(farthest: NDArray[np.float32]) -> NDArray[np.float32]:
    """What distances are divided by; where all items are one point they are 0 and stay 0."""
    return np.where(farthest > 0, farthest, np.float32(1))
