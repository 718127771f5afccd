"""A tracklet's frames with the skeletons that were extracted from them, as a picture."""

from pathlib import Path

import cv2
import numpy as np

from evaluation.pictures import PosedFrames, pose_sheet
from flows.config import Config
from storage.artifacts import Artifact, Store
from storage.errors import DataError
from storage.frames import read_frame
from storage.schema import SKELETON_SHAPES, SKELETONS
from storage.tables import read_ragged
from storage.tracklets import Tracklet, read_index

SHOWN = 8


def draw_tracklet(config: Config, tracklet_id: str, target: Path) -> None:
    """Draw evenly spread frames of a tracklet with the newest skeletons of it in the store.

    Raises:
        DataError: the tracklet is unknown, has no skeletons yet, or the picture cannot be written.
    """
    store = Store(config.store)
    tracklet = _find(store.all("index"), tracklet_id)
    if tracklet is None:
        raise DataError(
            f"there is no tracklet {tracklet_id}", where=config.store, fix="run `csip run CONFIG --to index` first"
        )
    for artifact in reversed(store.all("skeletons")):
        ragged = read_ragged([artifact.path / "skeletons.parquet"], SKELETONS, SKELETON_SHAPES)
        row = ragged.position().get(tracklet_id)
        if row is None:
            continue
        chosen = np.unique(np.linspace(0, len(tracklet.frames) - 1, SHOWN).round().astype(int))
        frames = [read_frame(config.data.root, tracklet.frames[i]) for i in chosen]
        posed = PosedFrames(frames, **{c: ragged.of(row, c)[chosen] for c in SKELETON_SHAPES})
        if not cv2.imwrite(str(target), pose_sheet(posed)):
            raise DataError("the picture cannot be written", where=target, fix="name a folder that exists, and .png")
        return
    raise DataError(
        "no skeletons have been extracted yet", where=f"tracklet {tracklet_id}", fix="csip run CONFIG --to skeletons"
    )


def _find(indexes: list[Artifact], tracklet_id: str) -> Tracklet | None:
    for index in reversed(indexes):
        for path in sorted(index.path.glob("*.parquet")):
            for tracklet in read_index(path):
                if tracklet.tracklet_id == tracklet_id:
                    return tracklet
    return None
