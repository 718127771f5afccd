"""`csip show skeletons`: a tracklet's frames with the skeletons that were extracted from them, as a picture."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from flows.commands.options.config import Overrides, load
from flows.commands.options.console import command, console
from flows.commands.options.outputs import frames_file
from storage.addresses import DataRoot
from storage.errors import DataError
from storage.frames.files import DataFiles
from storage.store.artifacts import Artifact, Store, open_store
from storage.store.runs import records
from storage.tables.parquet import Ragged, read_ragged
from storage.tables.schema import SKELETON_SHAPES, SKELETONS
from storage.tables.tracklets import Tracklet, find_tracklets, read_index
from storage.wording import listed

if TYPE_CHECKING:
    from flows.config import Config

SHOWN_FRAMES = 8


@command(
    "csip show skeletons 0001C1T0001",
    "csip show skeletons 0001C1T0001 --config configs/mars.yaml",
    "csip show skeletons walk/one --file skeletons.parquet --frames crops/",
)
def skeletons(
    tracklet: Annotated[str, typer.Argument(help="A tracklet's id, e.g. 0001C1T0001.")],
    out: Annotated[Path | None, typer.Option(help="Picture to write; TRACKLET.png by default.")] = None,
    config: Annotated[Path | None, typer.Option(help="Of which run; the newest of the store without it.")] = None,
    store: Annotated[Path, typer.Option(help="The store to look in where no configuration is given.")] = Path("store"),
    file: Annotated[Path | None, typer.Option(help="A file that `csip extract` wrote.")] = None,
    frames: Annotated[Path | None, typer.Option(help="The folder of crops that it was made from.")] = None,
    overrides: Overrides = None,
) -> None:
    """Draw a tracklet's frames with the skeletons that were extracted from them."""
    target = out or Path(f"{tracklet.replace('/', '_')}.png")
    if file:
        _draw_of_file(file, tracklet, frames or Path("."), target)
    else:
        _draw_of_store(load(config, overrides) if config else _newest_config(store), tracklet, target)
    console.print(f"wrote {target}")


def draw(tracklet: Tracklet, skeletons: Ragged, row: int, root: DataRoot, target: Path) -> None:
    """Draw evenly spread frames of a tracklet with their skeletons.

    Args:
        tracklet: of a folder or an index.
        skeletons: a table of `SKELETONS`.
        row: the tracklet's in the table.
        root: of the frames.
        target: a picture file.

    Raises:
        DataError: the picture cannot be written.
    """
    import cv2

    from evaluation.page.pictures import PosedFrames, pose_sheet
    from storage.frames.images import read_frame

    chosen = np.unique(np.linspace(0, len(tracklet.frames) - 1, SHOWN_FRAMES).round().astype(int))
    files = DataFiles(root)
    files.fetch(tracklet.frames[i] for i in chosen)
    frames = [read_frame(files, tracklet.frames[i]) for i in chosen]
    posed = PosedFrames(frames, **{name: skeletons.of(row, name)[chosen] for name in SKELETON_SHAPES})
    target.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(target), pose_sheet(posed)):
        raise DataError("the picture cannot be written", where=target, fix="name a file that ends in .png")


def _draw_of_file(file: Path, tracklet_id: str, root: DataRoot, target: Path) -> None:
    """Draw a tracklet of what `csip extract` wrote."""
    tracklets = {tracklet.tracklet_id: tracklet for tracklet in read_index(frames_file(file))}
    if tracklet_id not in tracklets:
        there = listed(sorted(tracklets))
        raise DataError(f"there is no tracklet {tracklet_id} in this file", where=file, fix=f"it holds {there}")
    ragged = read_ragged([file], SKELETONS, SKELETON_SHAPES)
    draw(tracklets[tracklet_id], ragged, ragged.position()[tracklet_id], root, target)


def _draw_of_store(config: "Config", tracklet_id: str, target: Path) -> None:
    """Draw a tracklet with the newest skeletons of it in the store."""
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
        if row is not None:
            draw(tracklet, ragged, row, config.data.place, target)
            return
    raise DataError(
        "no skeletons have been extracted yet", where=f"tracklet {tracklet_id}", fix="csip run CONFIG --to skeletons"
    )


def _newest_config(store: Path) -> "Config":
    """The configuration of the newest run of a store."""
    from flows.config import make_config

    runs = records(Store(store)) if store.is_dir() else []
    if not runs:
        raise DataError(
            "there is no run in this store", where=store, fix="name one: --config CONFIG, --store PATH or --file FILE"
        )
    return make_config(runs[-1]["config"])


def _find(indexes: list[Artifact], tracklet_id: str) -> Tracklet | None:
    for index in reversed(indexes):
        shards = [index.path / name for name in index.manifest["files"] if re.fullmatch(r"\w+-\d+\.parquet", name)]
        if found := find_tracklets(shards, {tracklet_id}):
            return found[tracklet_id]
    return None
