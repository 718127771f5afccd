"""Distances that a ranking is by: of embeddings, on CPU or GPU, or given ones."""

import numpy as np
from numpy.typing import NDArray

from evaluation.ranking.ranks import Distances
from evaluation.ranking.vectors import Vectors


def between(queries: Vectors, gallery: Vectors, device: str = "cpu") -> Distances:
    """Distances of unit vectors, (Q, D) and (G, D): minus their cosine, float32.

    It orders as the Euclidean distance does, and a square and a root less make no ties that the vectors do not have.
    A zero vector, of a tracklet without an embedding, is as far from everything as a vector at right angles to it.
    """
    held = _Held(gallery, device)

    def distances(rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.float32]:
        return held.minus_products(queries[rows], columns)

    return distances


def given(matrix: NDArray[np.float32]) -> Distances:
    """Distances that were worked out before, (Q, G)."""

    def distances(rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.float32]:
        some = matrix[rows[0] : rows[-1] + 1]
        return some if _is_whole(columns, some.shape[1]) else some[:, columns]

    return distances


def euclidean(minus_cosine: NDArray[np.float32]) -> NDArray[np.float32]:
    """Euclidean distances of unit vectors from what `between` gives; infinite stays so."""
    return np.sqrt(np.maximum(2 + 2 * minus_cosine, 0))


def _is_whole(columns: NDArray[np.intp], count: int) -> bool:
    return np.array_equal(columns, np.arange(count))


class _Held:
    """The gallery items asked for last: they are asked for again with other queries."""

    def __init__(self, vectors: Vectors, device: str) -> None:
        self.vectors, self.device = vectors, device
        self.columns: NDArray[np.intp] = np.zeros(0, np.intp)

    def minus_products(self, queries: NDArray[np.float32], columns: NDArray[np.intp]) -> NDArray[np.float32]:
        if not np.array_equal(columns, self.columns):
            rows = slice(None) if _is_whole(columns, len(self.vectors)) else columns
            self.columns, self.items = columns, self._there(self.vectors[rows])
        products = self._there(queries) @ self.items.T
        products = products if self.device == "cpu" else products.cpu().numpy()
        return np.negative(products, out=products)

    def _there(self, values):
        if self.device == "cpu":
            return values
        import torch

        return torch.from_numpy(values).to(self.device)
