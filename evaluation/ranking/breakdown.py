"""Metrics of parts: of each pair of cameras, and of queries by the length of their tracklets."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.ranking.metrics import PerQuery, per_query
from evaluation.ranking.ranks import Ranking


def camera_pairs(ranking: Ranking, camids: NDArray[np.int32]) -> list[dict[str, Any]]:
    """Metrics as if the gallery held the items of one camera alone, for the queries of each camera.

    Args:
        ranking: of Q queries.
        camids: of the queries, (Q,).

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
    """Metrics of the counted queries by the frames of their tracklets, in steps of powers of two.

    Args:
        found: scores of Q queries.
        frames: of their tracklets, (Q,); 0 where that is not known.

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
