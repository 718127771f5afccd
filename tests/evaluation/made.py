"""Embeddings made by hand, without a file."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from evaluation.ranking.embeddings import Embeddings
from evaluation.ranking.vectors import copies


def made(
    ids: Sequence[str],
    vectors: np.ndarray,
    pids: ArrayLike = 1,
    camids: ArrayLike = 1,
    clothes: ArrayLike = 0,
    split: str = "gallery",
) -> Embeddings:
    """Embeddings of tracklets; a label that is not given, or a single one, is that of all."""
    labels = [np.broadcast_to(np.asarray(label, np.int32), len(ids)) for label in (pids, camids, clothes, 0)]
    vectors = vectors.astype(np.float32)
    blank, alike = ~vectors.any(1), copies(vectors)
    return Embeddings(np.array(ids), np.full(len(ids), split), *labels, vectors, blank, alike)
