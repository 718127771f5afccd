"""How much each frame of a tracklet shows of a person, by the scores of its skeleton: weights in an embedding.

A score says how sure the 2D estimator is of a joint, so that a frame with nobody in it, or of which little can be seen,
counts less. It does not say who is seen. A frame weighs the root of its mean score: on held-out people that did better
than the score itself, which leaves a dim frame of the right person too little.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from storage.tables.parquet import read_ragged
from storage.tables.schema import FRAME_STATUS, SKELETON_SHAPES, SKELETONS
from storage.tables.tracklets import Tracklet
from training.batches.clips import PerFrame, frame_rows

UNREADABLE = FRAME_STATUS.index("unreadable")
LEAST = 0.01
"""Where no joint was believed in at all: a tracklet of such frames alone has weights, too."""


def visibility(paths: Sequence[Path], tracklets: Sequence[Tracklet]) -> list[NDArray[np.float32]]:
    """Weights of the frames (T,) of tracklets, in their order, above 0: roots of the mean score of a frame's joints.

    A frame whose skeleton could not be read is unknown, not bad: it has the mean score of its tracklet's others.

    Raises:
        DataError: a tracklet has no skeletons, or another number of them than of frames.
    """
    ragged = read_ragged(paths, SKELETONS, SKELETON_SHAPES, ["scores", "status"])
    starts, lengths = frame_rows(ragged, tracklets, "skeletons")
    scores = PerFrame(ragged.values["scores"].mean(axis=1), starts, lengths)
    unknown = PerFrame(ragged.values["status"] == UNREADABLE, starts, lengths)
    weights = []
    for own, lost in zip(scores, unknown, strict=True):
        usual = own[~lost].mean() if not lost.all() else 1.0
        weights.append(np.sqrt(np.maximum(np.where(lost, usual, own), LEAST)).astype(np.float32))
    return weights
