"""Embeddings that need not fit in memory: a file of float32 rows, read a block at a time."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

BLOCK_BYTES = 128 << 20  # of vectors in memory at once
GLANCE = 16  # values of a row that are compared first
Rows = NDArray[np.intp] | slice


@dataclass(frozen=True)
class VectorFile:
    """Rows of a file of float32 values, row after row; some of them, in any order.

    Rows are read, not mapped: a mapping of a file counts as memory of the process once it was touched.
    """

    path: Path  # the file
    width: int  # values of a row, D
    rows: NDArray[np.intp]  # positions in the file, (N,)

    @property
    def shape(self) -> tuple[int, int]:
        """(N, D)."""
        return len(self.rows), self.width

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Rows) -> NDArray[np.float32]:
        """Rows at these positions, (M, D); neighbours in the file are read together."""
        wanted = self.rows[rows]
        order = np.argsort(wanted, kind="stable")
        values = np.empty((len(wanted), self.width), np.float32)
        runs = np.split(order, np.flatnonzero(np.diff(wanted[order]) != 1) + 1)
        with self.path.open("rb", buffering=0) as file:
            for run in runs:
                if len(run):
                    file.seek(int(wanted[run[0]]) * self.width * 4)
                    read = np.fromfile(file, np.float32, len(run) * self.width)
                    values[run] = read.reshape(len(run), self.width)
        return values

    def take(self, rows: NDArray[np.intp]) -> "VectorFile":
        """Some of these rows, without reading them."""
        return VectorFile(self.path, self.width, self.rows[rows])


Vectors = NDArray[np.float32] | VectorFile
"""(N, D) float32, in memory or on disk: rows are had by their positions."""


def row_blocks(count: int, width: int, most: int) -> list[slice]:
    """Positions of rows that are worked on together, in order: at most `most` values of `width` a row, or one row."""
    rows = max(1, most // max(1, width))
    return [slice(start, min(start + rows, count)) for start in range(0, count, rows)]


def copies(vectors: Vectors) -> NDArray[np.intp]:
    """Of each row, the position of the first row that holds exactly the same values, (N,); its own if none does."""
    first = np.arange(len(vectors))
    width = vectors.shape[1]
    glance = np.linspace(0, width - 1, min(GLANCE, width)).astype(int)
    hashes = [_hashes(vectors[rows][:, glance]) for rows in row_blocks(len(vectors), width, BLOCK_BYTES // 4)]
    for alike in _groups(first, np.concatenate([*hashes, np.zeros(0, np.uint64)])):
        parts = [alike[rows] for rows in row_blocks(len(alike), width, BLOCK_BYTES // 4)]
        for rows in _groups(alike, np.concatenate([_hashes(vectors[part]) for part in parts])):
            _mark_copies(vectors, rows, first)
    return first


def _groups(rows: NDArray[np.intp], hashes: NDArray[np.uint64]) -> list[NDArray[np.intp]]:
    """Those of the rows that share a hash with another, in groups."""
    order = np.argsort(hashes, kind="stable")
    edges = np.concatenate([[0], np.flatnonzero(np.diff(hashes[order])) + 1, [len(rows)]])
    shared = np.flatnonzero(np.diff(edges) > 1)
    return [rows[order[edges[k] : edges[k + 1]]] for k in shared]


def _mark_copies(vectors: Vectors, rows: NDArray[np.intp], first: NDArray[np.intp]) -> None:
    """Rows of one hash: those like the first one of them are its copies; the others are looked at in turn."""
    while len(rows) > 1:
        model = vectors[rows[:1]]
        parts = row_blocks(len(rows), vectors.shape[1], BLOCK_BYTES // 4)
        same = np.concatenate([(vectors[rows[part]] == model).all(1) for part in parts])
        first[rows[same]] = rows[0]
        rows = rows[~same]


def _hashes(values: NDArray[np.float32]) -> NDArray[np.uint64]:
    """A number of each row, (M, D) -> (M,): the same for the same values."""
    # 0 and -0 are the same value in other bits
    bits = np.ascontiguousarray(values + np.float32(0)).view(np.uint32).astype(np.uint64)
    factors = np.random.default_rng(0).integers(1, 1 << 62, bits.shape[1], np.uint64) * 2 + 1
    hashes: NDArray[np.uint64] = bits @ factors
    return hashes
