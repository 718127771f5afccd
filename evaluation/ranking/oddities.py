"""What is odd about embeddings and may be a mistake, but can be ranked: told with the metrics, with names."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from evaluation.ranking.embeddings import Embeddings
from storage.tables.tracklets import DISTRACTOR_PID

SHOWN = 50  # named


def named(what: Sequence[Any]) -> dict[str, Any]:
    """How many, and the first of them."""
    return {"count": len(what), "first": list(what[:SHOWN])}


def oddities(embeddings: Embeddings, queries: Embeddings, gallery: Embeddings) -> dict[str, Any]:
    """Tracklets without an embedding, identities that cannot be found, and tracklets with the same embedding.

    Returns:
        `without_embedding`: ids. `missing_identities`: identities of queries that no gallery tracklet shows, but for
        queries that are kept in it. `duplicates`: ids of two tracklets whose embeddings are exactly the same, each with
        the first such one. Of each `count` and `first`.
    """
    shown = gallery.pids[gallery.splits != "query"]
    missing = np.setdiff1d(queries.pids[queries.pids != DISTRACTOR_PID], shown)
    _, first, number = np.unique(embeddings.alike, return_index=True, return_inverse=True)
    first = first[number]
    again = np.flatnonzero((first != np.arange(len(first))) & ~embeddings.blank)
    return {
        "without_embedding": named(embeddings.ids[embeddings.blank].tolist()),
        "missing_identities": named(missing.tolist()),
        "duplicates": named([[str(embeddings.ids[first[row]]), str(embeddings.ids[row])] for row in again]),
    }
