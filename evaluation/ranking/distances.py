"""Distances of unit vectors, in blocks: nothing Q x G or N x N is in memory, whoever ranks, searches or re-ranks.

Minus the cosine orders as the Euclidean distance does, and a square and a root less make no ties that the vectors do
not have (docs/decisions/0019). A zero vector, of a tracklet without an embedding, is as far from everything as a vector
at right angles to it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evaluation.ranking.vectors import Vectors

if TYPE_CHECKING:
    from torch import Tensor

BLOCK_VALUES = 1 << 22  # distances in memory at once: 16 MB, few enough that their memory is used again and again
Floats = NDArray[np.float32]
Distances = Callable[[NDArray[np.intp], NDArray[np.intp]], Floats]
"""Positions of queries, in order, (A,) and of gallery items (B,) -> distances (A, B) float32, smaller is nearer."""


def minus_cosines(a: Floats, b: Floats) -> Floats:
    """Minus the cosines of unit vectors, (M, D) and (N, D) -> (M, N)."""
    products: Floats = a @ b.T
    return np.negative(products, out=products)


def squared_distances(a: Floats, b: Floats) -> Floats:
    """Squared Euclidean distances of unit vectors, (M, D) and (N, D) -> (M, N)."""
    distances = minus_cosines(a, b)
    distances *= 2
    distances += 2
    return np.maximum(distances, 0, out=distances)


def euclidean(minus_cosines: Floats) -> Floats:
    """Euclidean distances of unit vectors from minus their cosines; infinite stays so."""
    return np.sqrt(np.maximum(2 + 2 * minus_cosines, 0))


def nearest_columns(distances: NDArray[np.floating[Any]], count: int, slack: float = 0.0) -> NDArray[np.intp]:
    """Positions, ascending, of what is no farther than the item at place `count` and `slack`; (N,) -> at least count.

    All of them if there are fewer.
    """
    if len(distances) <= count:
        return np.arange(len(distances))
    return np.flatnonzero(distances <= np.partition(distances, count - 1)[count - 1] + slack)


def between(queries: Vectors, gallery: Vectors, device: str = "cpu") -> Distances:
    """Minus the cosines of vectors in memory or in a file, (Q, D) and (G, D), computed on a device."""
    held: tuple[NDArray[np.intp], Floats | Tensor] | None = None  # asked for again, with other queries

    def distances(rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Floats:
        nonlocal held
        if held is None or not np.array_equal(columns, held[0]):
            some = gallery[_all_or(columns, len(gallery))]
            held = columns, some if device == "cpu" else _on(device, some)
        items = held[1]
        if isinstance(items, np.ndarray):
            return minus_cosines(queries[rows], items)
        return (-(_on(device, queries[rows]) @ items.T)).cpu().numpy()

    return distances


def blended(first: Distances, second: Distances, weight: float) -> Distances:
    """`(1 - weight) first + weight second`."""

    def distances(rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Floats:
        found: Floats = np.float32(1 - weight) * first(rows, columns) + np.float32(weight) * second(rows, columns)
        return found

    return distances


def given(matrix: Floats) -> Distances:
    """Distances that were computed before, (Q, G)."""
    return lambda rows, columns: matrix[rows[0] : rows[-1] + 1][:, _all_or(columns, matrix.shape[1])]


def _all_or(columns: NDArray[np.intp], count: int) -> NDArray[np.intp] | slice:
    """The columns, as a slice where they are all that there are: a view and no copy."""
    return slice(None) if np.array_equal(columns, np.arange(count)) else columns


def _on(device: str, values: Floats) -> "Tensor":
    import torch

    return torch.from_numpy(values).to(device)
