"""Query expansion: a query is ranked by itself together with its nearest gallery tracklets.

Alpha-weighted, as Radenović et al. (2018) in "Fine-tuning CNN Image Retrieval with No Human Annotation"; alpha 0 is
average query expansion.
"""

from dataclasses import replace

import numpy as np
from pydantic import Field

from evaluation.ranking.distances import minus_cosines, nearest_columns
from evaluation.ranking.embeddings import NOWHERE, Embeddings
from evaluation.ranking.vectors import row_blocks
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
    whatever alpha; so a query without an embedding keeps its zeros. The gallery may hold the queries; settings are the
    defaults if not given.
    """
    settings = settings or ExpansionSettings()
    own, asked, answers = gallery.find(queries.ids), queries.vectors[:], gallery.vectors[:]
    vectors = np.zeros_like(asked)
    for rows in row_blocks(len(queries), len(gallery), BLOCK_VALUES):
        for query, distances in enumerate(minus_cosines(asked[rows], answers), rows.start):
            if own[query] != NOWHERE:
                distances[own[query]] = 0
            near = nearest_columns(distances, settings.neighbours)
            near = near[np.argsort(distances[near], kind="stable")][: settings.neighbours]
            similarities = -distances[near]
            weights = np.where(similarities > 0, np.maximum(similarities, 0) ** settings.alpha, 0)
            vector = asked[query] + weights @ answers[near]
            vectors[query] = vector / (np.linalg.norm(vector) or 1)
    return replace(queries, vectors=vectors)
