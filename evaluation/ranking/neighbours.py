"""The nearest of some items among themselves, in blocks of distances, with nothing N x N in memory.

Items are the vectors of queries and then of a gallery, N in all. Equal vectors (a gallery may hold the queries) are met
once: what they are equally far from is then so exactly, whatever float32 makes of it at each place of a matrix.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.ranking.distances import BLOCK_VALUES, Floats, squared_distances
from evaluation.ranking.vectors import copies, row_blocks

HIGH, LOW, FARTHEST = np.uint64(32), np.uint64(2**32 - 1), np.uint64(2**64 - 1)


@dataclass(frozen=True)
class Neighbours:
    """The nearest items of each of N items, itself among them, by distance and then position."""

    positions: NDArray[np.int64]  # (N, K)
    distances: NDArray[np.float32]  # their squared distances, (N, K)
    farthest: NDArray[np.float32]  # squared distance of the farthest item, (N,)


def find_neighbours(queries: Floats, gallery: Floats, count: int) -> tuple[Neighbours, Floats]:
    """The nearest `count` of all items, itself counted, or all if there are fewer.

    Returns:
        The neighbours, and squared distances of the queries to the gallery, (Q, G) float32.
    """
    distinct, group = np.unique(_first_copies(queries, gallery), return_inverse=True)
    asked = int(np.searchsorted(distinct, len(queries)))
    if len(distinct) == len(group):
        return _search(queries, gallery, count, among_queries=False)
    found, kept = _search(
        queries[distinct[:asked]], gallery[distinct[asked:] - len(queries)], count, among_queries=True
    )
    copied = _with_copies(found, group, min(count, len(group)))
    return copied, kept[np.ix_(group[: len(queries)], group[len(queries) :])]


def _first_copies(queries: Floats, gallery: Floats) -> NDArray[np.int64]:
    """Of each item, the position of the first that is equal, (N,); zeros are at right angles, also to each other."""
    items = np.concatenate([queries, gallery])
    return np.where(items.any(1), copies(items), np.arange(len(items)))


def _with_copies(found: Neighbours, group: NDArray[np.int64], count: int) -> Neighbours:
    """The nearest `count` of all items, from those of the distinct ones and each item's place among them, (N,)."""
    members, sizes = np.argsort(group, kind="stable"), np.bincount(group)
    begins = np.cumsum(sizes) - sizes
    near = found.positions.ravel()
    taken = np.minimum(sizes, count)[near]  # of more copies, those behind are never reached
    item = members[np.arange(taken.sum()) + np.repeat(begins[near] - np.cumsum(taken) + taken, taken)]
    row = np.repeat(np.arange(len(found.positions)).repeat(found.positions.shape[1]), taken)
    distance = np.repeat(found.distances.ravel(), taken)
    order = np.lexsort((item, distance, row))
    nearest = order[np.searchsorted(row, np.arange(len(found.positions)))[:, None] + np.arange(count)]
    return Neighbours(item[nearest][group], distance[nearest][group], found.farthest[group])


def _search(queries: Floats, gallery: Floats, count: int, *, among_queries: bool) -> tuple[Neighbours, Floats]:
    """Neighbours of distinct items, and squared distances of queries to the gallery; before it to queries, if asked."""
    asked = len(queries)
    total, first = asked + len(gallery), 0 if among_queries else asked
    keys = np.full((total, min(count, total)), FARTHEST, np.uint64)
    farthest = np.zeros(total, np.float32)
    kept = np.empty((asked, total - first), np.float32)
    for row, column, block in distance_blocks(queries, gallery):
        end, width = row + len(block), block.shape[1]
        # items of a block have met all before it: candidates come in order of their position
        meetings = [(0, slice(row, end), block, column)]
        if end < column + width:
            fresh = max(end, column)
            meetings += [(1, slice(fresh, column + width), block[:, fresh - column :], row)]
        for axis, those, distances, others in meetings:
            np.maximum(farthest[those], distances.max(axis=1 - axis), out=farthest[those])
            _take_nearer(keys[those], distances, axis, others)
        if row < asked <= column:
            kept[row:end, column - first :] = block
        elif row < asked and among_queries:
            kept[row:end, row:asked], kept[row:asked, row:end] = block, block.T
    return Neighbours((keys & LOW).astype(np.int64), (keys >> HIGH).astype(np.uint32).view(np.float32), farthest), kept


def distance_blocks(queries: Floats, gallery: Floats) -> Iterator[tuple[int, int, Floats]]:
    """Squared distances of N items, each pair at least once: positions of the first row and column, and a block.

    Blocks come in order of their rows and then columns. Columns reach from the first row to the last query, or over the
    gallery, or from the first row to the end of it. An item is at distance 0 from itself, whatever float32 says.
    """
    for first, items in ((0, queries), (len(queries), gallery)):
        for rows in row_blocks(len(items), len(queries) + len(gallery), BLOCK_VALUES):
            block = squared_distances(items[rows], items[rows.start :])
            np.fill_diagonal(block, 0)
            yield first + rows.start, first + rows.start, block
            if items is queries and len(gallery):
                yield rows.start, len(queries), squared_distances(items[rows], gallery)


def _take_nearer(keys: NDArray[np.uint64], distances: NDArray[np.float32], axis: int, first: int) -> None:
    """Let items, along `axis` of their distances, meet others, at `first` and after, behind all that they have met.

    `keys` of the nearest that each has met, ascending, (N, K), are changed. A key is the bits of a squared distance,
    which is not negative, and then the position: keys are in order of distance, then position.
    """
    width = keys.shape[1]
    limit = np.expand_dims(keys[:, -1], 1 - axis)
    reach = np.where(limit == FARTHEST, np.inf, (limit >> HIGH).astype(np.uint32).view(np.float32)).astype(np.float32)
    near = distances < reach  # what is as far lies behind
    if width < distances.shape[1 - axis] and np.isinf(reach).any():
        near &= distances <= np.take(np.partition(distances, width - 1, 1 - axis), [width - 1], 1 - axis)
    at = np.unravel_index(np.flatnonzero(near), near.shape)  # faster than nonzero of two dimensions
    order = np.argsort(at[axis], kind="stable")
    item, other = at[axis][order], at[1 - axis][order]
    bits = distances[at][order].view(np.uint32).astype(np.uint64)
    counts = np.bincount(item, minlength=len(keys))
    touched, counts = np.flatnonzero(counts), counts[counts > 0]
    merged = np.full((len(touched), width + counts.max(initial=0)), FARTHEST, np.uint64)
    merged[:, :width] = keys[touched]
    row, begins = np.repeat(np.arange(len(touched)), counts), np.cumsum(counts) - counts
    merged[row, width + np.arange(len(row)) - begins[row]] = bits << HIGH | (other + first).astype(np.uint64)
    merged.sort(axis=1)
    keys[touched] = merged[:, :width]
