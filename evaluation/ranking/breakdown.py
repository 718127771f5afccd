"""Where a ranking is good and where it is not: by pair of cameras, by length of tracklet, and what is odd about it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.ranking.embeddings import Embeddings
from evaluation.ranking.metrics import PerQuery, per_query
from evaluation.ranking.ranks import Ranking
from storage.tables.tracklets import DISTRACTOR_PID

NAMED = 50  # of the tracklets and identities that are odd


def camera_pairs(ranking: Ranking, camids: NDArray[np.int32]) -> list[dict[str, Any]]:
    """Metrics as if the gallery held the items of one camera alone, for the queries of each camera, (Q,).

    Returns:
        `query_camid`, `gallery_camid`, `queries` (with a right answer there), `mAP`, `rank_1`; pairs without such a
        query are left out.
    """
    order = np.lexsort((ranking.camera_ranks, ranking.camids, ranking.queries))
    queries, cameras = ranking.queries[order], ranking.camids[order]
    new = np.ones(len(order), bool)
    new[1:] = (queries[1:] != queries[:-1]) | (cameras[1:] != cameras[:-1])
    starts = np.flatnonzero(new)
    found = per_query(ranking.camera_ranks[order], np.append(starts, len(order)))
    pairs = np.stack([camids[queries[starts]], cameras[starts]], 1)
    return [
        {"query_camid": int(pair[0]), "gallery_camid": int(pair[1]), **_means(found, (pairs == pair).all(1))}
        for pair in np.unique(pairs, axis=0)
    ]


def by_length(found: PerQuery, frames: NDArray[np.int32]) -> list[dict[str, Any]]:
    """Metrics of the counted queries by the frames of their tracklets, (Q,), 0 where not known; by powers of two.

    Returns:
        `from`, `to`, `queries`, `mAP`, `rank_1`; steps without a counted query are left out.
    """
    step = np.frexp(frames)[1]  # 1, 2 to 3, 4 to 7, ...
    known = (found.matches > 0) & (frames > 0)
    return [
        {"from": 2 ** (k - 1), "to": 2**k - 1, **_means(found, known & (step == k))}
        for k in np.unique(step[known]).tolist()
    ]


def _means(found: PerQuery, rows: NDArray[np.bool_]) -> dict[str, Any]:
    return {
        "queries": int(np.count_nonzero(rows)),
        "mAP": float(found.average_precision[rows].mean()),
        "rank_1": float((found.first_match[rows] == 1).mean()),
    }


def oddities(embeddings: Embeddings, queries: Embeddings, gallery: Embeddings) -> dict[str, Any]:
    """What may be a mistake, but can be ranked: of each its `count` and the `first` ones.

    Returns:
        `without_embedding`: ids. `missing_identities`: identities of queries that no gallery tracklet shows, but for
        queries that are kept in it. `duplicates`: ids of two tracklets with exactly the same embedding, each with the
        first such one.
    """
    shown = gallery.pids[gallery.splits != "query"]
    missing = np.setdiff1d(queries.pids[queries.pids != DISTRACTOR_PID], shown)
    _, first, number = np.unique(embeddings.alike, return_index=True, return_inverse=True)
    first = first[number]
    again = np.flatnonzero((first != np.arange(len(first))) & ~embeddings.blank)
    return {
        "without_embedding": _named(embeddings.ids[embeddings.blank].tolist()),
        "missing_identities": _named(missing.tolist()),
        "duplicates": _named([[str(embeddings.ids[first[row]]), str(embeddings.ids[row])] for row in again]),
    }


def _named(what: Sequence[Any]) -> dict[str, Any]:
    return {"count": len(what), "first": list(what[:NAMED])}
