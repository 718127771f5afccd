"""Where the right answers of each query stand in the ranked gallery, by counting, and the nearest answers themselves.

The rank of a right answer is one more than the items before it. So no item has to be followed through a sort: the bare
distances of each camera are sorted, and each right answer looks up how many wrong ones are as near or nearer. The
gallery goes by in blocks, and may be larger than the memory.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.ranking.distances import BLOCK_VALUES, Distances, nearest_columns
from evaluation.ranking.embeddings import NOWHERE, Embeddings
from evaluation.ranking.gallery_blocks import Block, gallery_blocks
from evaluation.ranking.judgement import LEFT_OUT, MATCH, WRONG, Judge, Protocol
from evaluation.ranking.vectors import row_blocks
from storage.progress import Progress, silent

MANY_CAMERAS = 64  # in a block


@dataclass(frozen=True)
class Ranking:
    """What the gallery answered to Q queries; their M right answers one after another, each query's by rank."""

    starts: NDArray[np.int64]  # where each query's right answers start, and M at the end, (Q + 1,)
    # of the right answers among the items that count, from 1, (M,); of equally near ones the wrong are first
    ranks: NDArray[np.int64]
    ranks_right_first: NDArray[np.int64]  # the same if the right ones came first, (M,)
    camids: NDArray[np.int32]  # cameras of the right answers, (M,)
    camera_ranks: NDArray[np.int64]  # their ranks if the gallery held nothing but that camera's items, (M,)
    # items of the gallery that count for each query: all but those that the protocol leaves out, (Q,)
    candidates: NDArray[np.int64]
    # positions in the gallery of the nearest items, nearest first, the query's own tracklet left out, (Q, K);
    # `NOWHERE` where there are fewer than K
    nearest: NDArray[np.int64]
    distances: NDArray[np.float32]  # theirs, (Q, K) float32; infinite where there are fewer
    status: NDArray[np.int64]  # theirs, positions in `STATUS`, (Q, K)

    @property
    def matches(self) -> NDArray[np.int64]:
        """How many right answers each query has, (Q,)."""
        return np.diff(self.starts)

    @property
    def queries(self) -> NDArray[np.int64]:
        """Whose right answer each is, positions of queries, (M,)."""
        return np.repeat(np.arange(len(self.matches)), self.matches)


def rank_gallery(
    queries: Embeddings,
    gallery: Embeddings,
    distances: Distances,
    top: int,
    protocol: Protocol = "standard",
    progress: Progress = silent,
) -> Ranking:
    """Rank the gallery, which may hold the queries themselves, for each query.

    Gallery items of the query's identity and camera do not count; in the clothes-changing protocol, those of the
    query's identity in the query's clothes do not count either. Distractors count and match nobody. Of items at the
    same distance the wrong ones come first.

    Args:
        queries: Q tracklets.
        gallery: G tracklets.
        distances: where the gallery is large, asked twice for items of the queries' identities.
        top: how many nearest items to keep of each query.
        protocol: which items of the query's identity are left out.
        progress: counts queries.
    """
    search = _Search(Judge(queries, gallery, protocol), top)
    known = search.known
    blocks, concerned = gallery_blocks(gallery, known)
    # the distances of all right answers must be known before the wrong ones are counted; one block knows its own
    passes = [(True, blocks)] if len(blocks) == 1 else [(False, blocks[:concerned]), (True, blocks)]
    parts = [
        (counting, block, np.arange(rows.start, rows.stop))
        for counting, some in passes
        for block in some
        for rows in row_blocks(len(queries), max(len(block.columns), known.shape[1]), BLOCK_VALUES)
    ]
    for number, (counting, block, rows) in enumerate(parts, start=1):
        values = block.spread(distances(rows, block.models))
        columns = block.find(known[rows])
        search.meet(rows, values, columns)
        if counting:
            search.keep_nearest(rows, values, block)
            search.count(rows, values, columns, block)
        progress(round(number * len(queries) / len(parts)), len(queries), "queries")
    return search.ranking()


class _Search:
    """What is known of each query while the blocks go by."""

    def __init__(self, judge: Judge, top: int) -> None:
        queries = len(judge.queries)
        self.judge = judge
        self.known = judge.known()  # gallery items of the query's identity, (Q, P); all below are of these, or (Q, top)
        self.known_status = judge.status(np.arange(queries), self.known)
        self.known_camids = judge.gallery.camids[self.known]
        self.own = judge.gallery.find(judge.queries.ids)  # the query's own tracklet in the gallery, (Q,)
        self.right = np.full(self.known.shape, np.inf, np.float32)  # distances; infinite for what is no right answer
        self.as_near = np.zeros(self.known.shape, np.int64)  # wrong items as near as the right answer, or nearer
        self.nearer = np.zeros(self.known.shape, np.int64)  # wrong items nearer than it
        self.camera_as_near = np.zeros(self.known.shape, np.int64)  # `as_near`, of the right answer's camera alone
        self.nearest = np.full((queries, top), NOWHERE)  # see `Ranking`, as the next two
        self.distances = np.full((queries, top), np.inf, np.float32)
        self.status = np.full((queries, top), WRONG)

    def meet(self, rows: NDArray[np.intp], values: NDArray[np.float32], columns: NDArray[np.int64]) -> None:
        """Learn the distances of the right answers among a block's.

        Of some queries (A,), their distances to the block's items (A, B), and where in the block their identity's items
        are (A, P); `NOWHERE` of those elsewhere.
        """
        met = (columns != NOWHERE) & (self.known_status[rows] == MATCH)
        at, place = np.nonzero(met)
        self.right[rows[at], place] = values[at, columns[at, place]]

    def count(
        self, rows: NDArray[np.intp], values: NDArray[np.float32], columns: NDArray[np.int64], block: Block
    ) -> None:
        """Count a block's wrong items before each right answer."""
        right, camids = self.right[rows], self.known_camids[rows]
        answers = self.known_status[rows] == MATCH
        few = len(block.parts) <= MANY_CAMERAS
        wrong = sorted_wrong(values, columns, block.parts)
        for camid, part in zip(block.camids, block.parts, strict=True):
            own = answers & (camids == camid)
            if few or own.any():
                as_near, nearer = looked_up(wrong[:, part], right, answers if few else own)
                self.camera_as_near[rows] += np.where(own, as_near, 0)
                if few:
                    self.as_near[rows] += as_near
                    self.nearer[rows] += nearer
        if not few:
            # to look all up in each camera would cost more than another sort
            as_near, nearer = looked_up(sorted_wrong(values, columns, [slice(None)]), right, answers)
            self.as_near[rows] += as_near
            self.nearer[rows] += nearer

    def keep_nearest(self, rows: NDArray[np.intp], values: NDArray[np.float32], block: Block) -> None:
        """Keep the nearest of a block's items if they are nearer than those that were kept."""
        top = min(self.nearest.shape[1], len(block.columns))
        if not top:
            return
        chosen = np.empty((len(rows), top), np.int64)
        distances = np.empty((len(rows), top), np.float32)
        for row, (line, mine) in enumerate(zip(values, block.find(self.own[rows]).tolist(), strict=True)):
            if mine != NOWHERE:
                line = line.copy()
                line[mine] = np.inf
            near = nearest_columns(line, top)
            if len(near) > top:
                # of several at the same distance those are kept that are ranked first
                status = self.judge.status(rows[row : row + 1], block.columns[None, near])[0]
                near = near[np.lexsort((block.columns[near], status, line[near]))]
            chosen[row], distances[row] = near[:top], line[near[:top]]
        positions = np.where(np.isinf(distances), NOWHERE, block.columns[chosen])
        found = (positions, distances, self.judge.status(rows, positions))
        kept = (self.nearest, self.distances, self.status)
        both = [np.concatenate([old[rows], new], 1) for old, new in zip(kept, found, strict=True)]
        order = np.lexsort((both[0], both[2], both[1]), axis=1)[:, : self.nearest.shape[1]]
        for old, values in zip(kept, both, strict=True):
            old[rows] = np.take_along_axis(values, order, 1)

    def ranking(self) -> Ranking:
        """What was found, when every block has gone by."""
        queries, place = np.nonzero(self.known_status == MATCH)
        camids = self.known_camids[queries, place]
        order = np.lexsort((self.known[queries, place], self.right[queries, place], queries))
        queries, place, camids = queries[order], place[order], camids[order]
        starts = np.searchsorted(queries, np.arange(len(self.known) + 1))
        by_camera = np.lexsort((np.arange(len(queries)), camids, queries))
        before_by_camera = np.empty(len(queries), np.int64)
        before_by_camera[by_camera] = _place_in_group(queries[by_camera], camids[by_camera])
        before = _place_in_group(queries)
        left_out = np.isin(self.known_status, LEFT_OUT).sum(1)
        return Ranking(
            starts=starts,
            ranks=self.as_near[queries, place] + before + 1,
            ranks_right_first=self.nearer[queries, place] + before + 1,
            camids=camids,
            camera_ranks=self.camera_as_near[queries, place] + before_by_camera + 1,
            candidates=len(self.judge.gallery) - left_out,
            nearest=self.nearest,
            distances=self.distances,
            status=self.status,
        )


def looked_up(
    wrong: NDArray[np.float32], right: NDArray[np.float32], asked: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many wrong items are as near as right answers or nearer, and how many are nearer.

    Args:
        wrong: distances, ascending in each row, (A, B).
        right: distances, (A, P).
        asked: which of them, (A, P).

    Returns:
        Two arrays of (A, P); of no meaning where it was not asked.
    """
    as_near = np.zeros(right.shape, np.int64)
    for row in np.flatnonzero(asked.any(1)).tolist():
        as_near[row] = wrong[row].searchsorted(right[row], "right")
    nearer = as_near.copy()
    at, place = np.nonzero(asked)
    counts = as_near[at, place]
    ties = (counts > 0) & (wrong[at, counts - 1] == right[at, place])
    for row in np.unique(at[ties]).tolist():
        nearer[row] = np.minimum(as_near[row], wrong[row].searchsorted(right[row]))
    return as_near, nearer


def sorted_wrong(
    values: NDArray[np.float32], columns: NDArray[np.int64], parts: Sequence[slice]
) -> NDArray[np.float32]:
    """Distances of wrong items, ascending within each part; on all cores.

    Args:
        values: distances, (A, B).
        columns: which of each row are not of wrong items, (A, P); `NOWHERE` is none. They become infinite.
        parts: columns that are sorted among themselves.
    """
    wrong = np.empty_like(values)

    def sort(rows: slice) -> None:
        some = wrong[rows]
        some[:] = values[rows]
        at, place = np.nonzero(columns[rows] != NOWHERE)
        some[at, columns[rows][at, place]] = np.inf
        for part in parts:
            some[:, part].sort(axis=1)

    cores = len(os.sched_getaffinity(0))
    share = -(-len(values) // cores)
    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(sort, [slice(start, start + share) for start in range(0, len(values), share)]))
    return wrong


def _place_in_group(*labels: NDArray[np.generic]) -> NDArray[np.int64]:
    """How many of its group stand before each, groups being runs of equal labels; (M,) each -> (M,)."""
    place = np.arange(len(labels[0]))
    new = np.ones(len(place), bool)
    new[1:] = np.any([part[1:] != part[:-1] for part in labels], axis=0)
    return place - np.maximum.accumulate(np.where(new, place, 0))
