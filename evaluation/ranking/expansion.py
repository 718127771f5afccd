"""Query expansion: a query is ranked by itself together with its nearest gallery tracklets.

Alpha-weighted, as Radenović et al. (2018) in "Fine-tuning CNN Image Retrieval with No Human Annotation"; alpha 0 is
average query expansion.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from evaluation.ranking.embeddings import Embeddings
from storage.settings import Settings

BLOCK_VALUES = 1 << 23  # similarities in memory at once: 32 MB


class ExpansionSettings(Settings):
    """How many gallery tracklets join a query, and how much the nearer ones count."""

    neighbours: int = Field(5, ge=1, description="Nearest gallery tracklets that join a query.")
    alpha: float = Field(
        3.0, ge=0, description="Power of the similarity that a tracklet is weighted by; 0: all the same (average)."
    )


def expand(queries: Embeddings, gallery: Embeddings, settings: ExpansionSettings | None = None) -> Embeddings:
    """The queries with new vectors: query + sum of similarity ** alpha * neighbour, brought to unit length.

    A query's own tracklet is none of its neighbours. Of equally similar tracklets the first are taken; where there are
    fewer than asked for, all. What is not similar (0 or less, as tracklets without an embedding are) has no weight,
    whatever alpha; so a query without an embedding keeps its zeros.

    Args:
        queries: Q tracklets.
        gallery: G tracklets; may hold the queries.
        settings: the defaults if not given.

    Returns:
        Q tracklets, in the same order.
    """
    settings = settings or ExpansionSettings()
    own = {name: position for position, name in enumerate(gallery.ids)}
    asked, answers = queries.vectors[:], gallery.vectors[:]
    vectors = np.zeros_like(asked)
    rows = max(1, BLOCK_VALUES // len(gallery))
    for start in range(0, len(queries), rows):
        similarities = asked[start : start + rows] @ answers.T
        for query, row in enumerate(similarities, start):
            if queries.ids[query] in own:
                row[own[queries.ids[query]]] = 0
            near = _most_similar(row, settings.neighbours)
            weights = np.where(row[near] > 0, np.maximum(row[near], 0) ** settings.alpha, 0)
            vectors[query] = _unit(asked[query] + weights @ answers[near])
    return replace(queries, vectors=vectors)


def _most_similar(similarities: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    count = min(count, len(similarities))
    least = np.partition(similarities, -count)[-count]
    near = np.flatnonzero(similarities >= least)
    return near[np.argsort(-similarities[near], kind="stable")][:count]


def _unit(vector: NDArray[np.floating]) -> NDArray[np.floating]:
    return vector / (np.linalg.norm(vector) or 1)
