"""Where the right answers of each query stand in the ranked gallery, by counting, and the nearest answers themselves.

The rank of a right answer is one more than the items before it, so nothing needs sorting: for each right answer, count
the wrong ones that are as near or nearer. Distances stay float32: rounding them to half precision makes ties, and ties
move mAP by points.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evaluation.embeddings import Embeddings
from evaluation.schema import STATUS
from storage.tracklets import DISTRACTOR_PID

BLOCK_VALUES = 1 << 24  # distances in memory at once: 64 MB
WRONG, SAME_CAMERA, SAME_CLOTHES, MATCH = range(len(STATUS))
LEFT_OUT = (SAME_CAMERA, SAME_CLOTHES)
Protocol = Literal["standard", "clothes_changing"]


@dataclass(frozen=True)
class Answers:
    """What the gallery answered to one query.

    Attributes:
        candidates: gallery items that count: all but those that the protocol leaves out.
        match_ranks: ranks of its right answers among them, from 1, ascending, (R,) int64; empty if there are none.
        nearest: positions in the gallery of the nearest items, nearest first, the query's own tracklet left out, (K,).
        distances: their Euclidean distances, (K,) float32.
        status: positions in `STATUS`, (K,) int64.
    """

    candidates: int
    match_ranks: NDArray[np.int64]
    nearest: NDArray[np.int64]
    distances: NDArray[np.float32]
    status: NDArray[np.int64]


def squared_distances(queries: NDArray[np.float32], gallery: NDArray[np.float32]) -> NDArray[np.float32]:
    """Squared Euclidean distances of unit vectors, (Q, D) and (G, D) float32 -> (Q, G) float32.

    A zero vector, of a tracklet without an embedding, is as far from everything as a vector at right angles to it.
    Squared, since a square root in float32 can make two distances equal that are not.
    """
    distances = queries @ gallery.T
    distances *= -2
    distances += 2
    return np.maximum(distances, 0, out=distances)


def rank_gallery(
    queries: Embeddings, gallery: Embeddings, top: int, protocol: Protocol = "standard"
) -> Iterator[Answers]:
    """Rank the gallery for each query, in order of the queries.

    Gallery items of the query's identity and camera do not count; in the clothes-changing protocol, those of the
    query's identity in the query's clothes do not count either. Distractors count and match nobody. Of items at the
    same distance the wrong ones come first.

    Args:
        queries: Q tracklets.
        gallery: G tracklets; may hold the queries themselves.
        top: how many nearest items to keep of each query.
        protocol: which items of the query's identity are left out.
    """
    members = {int(pid): np.flatnonzero(gallery.pids == pid) for pid in np.unique(queries.pids)}
    own = {name: position for position, name in enumerate(gallery.ids)}
    block = max(1, BLOCK_VALUES // len(gallery))
    for start in range(0, len(queries), block):
        rows = slice(start, start + block)
        distances = squared_distances(queries.vectors[rows], gallery.vectors)
        for offset, row in enumerate(distances):
            query = start + offset
            same = members[int(queries.pids[query])]
            status = np.full(len(gallery), WRONG)
            status[same] = WRONG if queries.pids[query] == DISTRACTOR_PID else MATCH
            if protocol == "clothes_changing":
                status[same[gallery.clothes[same] == queries.clothes[query]]] = SAME_CLOTHES
            status[same[gallery.camids[same] == queries.camids[query]]] = SAME_CAMERA
            yield _answers(row, status, own.get(queries.ids[query]), top)


def _answers(distances: NDArray[np.float32], status: NDArray[np.int64], own: int | None, top: int) -> Answers:
    right = np.sort(distances[status == MATCH])
    wrong = distances[status == WRONG]
    before = np.array([np.count_nonzero(wrong <= distance) for distance in right], np.int64)
    match_ranks = before + np.arange(1, len(right) + 1)
    nearest = _nearest(distances, status, own, top)
    shown = np.sqrt(distances[nearest])
    return Answers(len(right) + len(wrong), match_ranks, nearest, shown, status[nearest])


def _nearest(distances: NDArray[np.float32], status: NDArray[np.int64], own: int | None, top: int) -> NDArray[np.int64]:
    """Positions of the `top` nearest but `own`, by distance, then status, then position."""
    if own is not None:
        distances = distances.copy()
        distances[own] = np.inf
    top = min(top, len(distances) - (own is not None))
    if top <= 0:
        return np.zeros(0, np.int64)
    farthest = np.partition(distances, top - 1)[top - 1]
    near = np.flatnonzero(distances <= farthest)
    return near[np.lexsort((near, status[near], distances[near]))][:top]
