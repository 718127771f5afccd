"""What a gallery item is to a query: right, wrong, or left out, by the protocols of the field."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evaluation.ranking.embeddings import NOWHERE, Embeddings
from evaluation.schema import STATUS
from storage.tables.tracklets import DISTRACTOR_PID

WRONG, SAME_CAMERA, SAME_CLOTHES, MATCH = range(len(STATUS))
LEFT_OUT = (SAME_CAMERA, SAME_CLOTHES)
Protocol = Literal["standard", "clothes_changing"]


@dataclass(frozen=True)
class Judge:
    """What gallery items are to queries, by a protocol."""

    queries: Embeddings
    gallery: Embeddings
    protocol: Protocol

    def status(self, rows: NDArray[np.intp], positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """What items (A, P) of the gallery are to the queries (A,): positions in `STATUS`. Distractors match nobody."""
        queries, gallery, rows = self.queries, self.gallery, rows[:, None]
        status = np.full(positions.shape, MATCH)
        if self.protocol == "clothes_changing":
            status[gallery.clothes[positions] == queries.clothes[rows]] = SAME_CLOTHES
        status[gallery.camids[positions] == queries.camids[rows]] = SAME_CAMERA
        status[(gallery.pids[positions] != queries.pids[rows]) | (queries.pids[rows] == DISTRACTOR_PID)] = WRONG
        status[positions == NOWHERE] = WRONG
        return status

    def known(self) -> NDArray[np.int64]:
        """Positions of the gallery items of each query's identity, (Q, P); `NOWHERE` where there are fewer than P."""
        order = np.argsort(self.gallery.pids, kind="stable")
        pids = self.gallery.pids[order]
        first, last = (np.searchsorted(pids, self.queries.pids, side) for side in ("left", "right"))
        counts = np.where(self.queries.pids == DISTRACTOR_PID, 0, last - first)
        place = np.arange(counts.max(initial=0))
        found = order[np.minimum(first[:, None] + place, len(order) - 1)]
        return np.where(place < counts[:, None], found, NOWHERE)
