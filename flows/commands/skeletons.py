"""A tracklet's frames with the skeletons that were extracted from them, as a picture."""

import re
from pathlib import Path

from flows.commands.extract import draw
from flows.config import Config, make_config
from storage.errors import DataError
from storage.store.artifacts import Artifact, Store, open_store
from storage.store.runs import records
from storage.tables.parquet import read_ragged
from storage.tables.schema import SKELETON_SHAPES, SKELETONS
from storage.tables.tracklets import Tracklet, read_index


def newest_config(store: Path) -> Config:
    """The configuration of the newest run of a store.

    Raises:
        DataError: nothing has been run with this store.
    """
    runs = records(Store(store)) if store.is_dir() else []
    if not runs:
        raise DataError(
            "there is no run in this store", where=store, fix="name one: --config CONFIG, --store PATH or --file FILE"
        )
    return make_config(runs[-1]["config"])


def draw_tracklet(config: Config, tracklet_id: str, target: Path) -> None:
    """Draw evenly spread frames of a tracklet with the newest skeletons of it in the store.

    Raises:
        DataError: the tracklet is unknown, has no skeletons yet, or the picture cannot be written.
    """
    store = open_store(config.store, config.workspace)
    tracklet = _find(store.all("index"), tracklet_id)
    if tracklet is None:
        raise DataError(
            f"there is no tracklet {tracklet_id}", where=config.store, fix="run `csip run CONFIG --to index` first"
        )
    for artifact in reversed(store.all("skeletons")):
        if "skeletons.parquet" not in artifact.manifest["files"]:
            continue  # of a data set without images: there is nothing to draw on
        ragged = read_ragged([artifact.path / "skeletons.parquet"], SKELETONS, SKELETON_SHAPES)
        row = ragged.position().get(tracklet_id)
        if row is None:
            continue
        draw(tracklet, {c: ragged.of(row, c) for c in SKELETON_SHAPES}, config.data.place, target)
        return
    raise DataError(
        "no skeletons have been extracted yet", where=f"tracklet {tracklet_id}", fix="csip run CONFIG --to skeletons"
    )


def _find(indexes: list[Artifact], tracklet_id: str) -> Tracklet | None:
    for index in reversed(indexes):
        shards = [name for name in index.manifest["files"] if re.fullmatch(r"\w+-\d+\.parquet", name)]
        for name in shards:
            for tracklet in read_index(index.path / name):
                if tracklet.tracklet_id == tracklet_id:
                    return tracklet
    return None
