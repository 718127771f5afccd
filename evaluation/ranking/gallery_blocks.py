"""The gallery in blocks that fit in memory, so arranged that ranking them is exact: what is the same ties, always."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.ranking.embeddings import NOWHERE, Embeddings
from evaluation.ranking.vectors import BLOCK_BYTES


@dataclass(frozen=True)
class Block:
    """Some items of the gallery, those of one camera side by side."""

    columns: NDArray[np.intp]  # their positions in the gallery, (B,)
    order: NDArray[np.intp]  # of the columns by position, (B,)
    camids: NDArray[np.int32]  # cameras of the items, each once, ascending, (C,)
    parts: tuple[slice, ...]  # the columns of each of them
    models: NDArray[np.intp]  # positions of the items whose distances are computed, (U,)
    model_of: NDArray[np.intp] | None  # which of `models` each column is equal to, (B,); None where each is its own

    def spread(self, distances: NDArray[np.float32]) -> NDArray[np.float32]:
        """Distances to the models, (A, U), as distances to the columns, (A, B)."""
        return distances if self.model_of is None else distances[:, self.model_of]

    def find(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Columns of gallery positions, of any shape; `NOWHERE` of those that are not in this block."""
        at = np.searchsorted(self.columns, positions, sorter=self.order)
        at = self.order[np.minimum(at, len(self.order) - 1)]
        return np.where(self.columns[at] == positions, at, NOWHERE)


def gallery_blocks(gallery: Embeddings, known: NDArray[np.int64]) -> tuple[list[Block], int]:
    """The gallery in blocks; and how many of these, the first ones, hold an item of a query's identity.

    Items with the same embedding are in one block, and their distances are computed once: computed in different places
    of a matrix product they may differ in the last bit, and a tie would be broken by where they stand.

    Args:
        gallery: G items.
        known: positions of items of the queries' identities, of any shape; `NOWHERE` is none.
    """
    concerned = np.zeros(len(gallery), bool)
    concerned[known[known != NOWHERE]] = True
    concerned = np.isin(gallery.alike, gallery.alike[concerned])
    order = np.lexsort((np.arange(len(gallery)), gallery.alike, ~concerned))
    most = max(1, BLOCK_BYTES // (4 * max(1, gallery.vectors.shape[1])))
    starts = _starts(gallery.alike[order], most)
    parts = np.split(order, starts[1:])
    return [_block(gallery, part) for part in parts], int(np.count_nonzero(starts < concerned.sum()))


def _starts(labels: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    """Where blocks of at most `most` items start that divide no run of equal labels; a longer run is a block."""
    edges = np.append(np.flatnonzero(np.diff(labels, prepend=labels[0] - 1)), len(labels))
    starts = [0]
    while starts[-1] + most < len(labels):
        last = edges[np.searchsorted(edges, starts[-1] + most, "right") - 1]
        starts.append(int(last if last > starts[-1] else edges[np.searchsorted(edges, starts[-1], "right")]))
    return np.array([start for start in starts if start < len(labels)])


def _block(gallery: Embeddings, members: NDArray[np.intp]) -> Block:
    columns = members[np.lexsort((members, gallery.camids[members]))]
    camids, starts = np.unique(gallery.camids[columns], return_index=True)
    parts = tuple(slice(a, b) for a, b in zip(starts, [*starts[1:], len(columns)], strict=True))
    _, chosen, model_of = np.unique(gallery.alike[columns], return_index=True, return_inverse=True)
    if len(chosen) == len(columns):
        return Block(columns, np.argsort(columns), camids, parts, columns, None)
    return Block(columns, np.argsort(columns), camids, parts, columns[chosen], model_of)
