"""`csip extract`: skeletons of a folder of crops, or of a video's boxes, without a data set, a store or a server."""

import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.table import Table

from flows.commands.options.config import Overrides, load
from flows.commands.options.console import bar, command, console
from flows.commands.options.frames import BoxesOption, CropsOption, FramesArgument, Source
from flows.commands.options.outputs import check_tables, frames_file
from flows.commands.options.tables import facts
from flows.commands.show.skeletons import draw
from storage.disk import whole
from storage.frames.files import DataFiles
from storage.tables.parquet import ragged_table, read_ragged, write_table
from storage.tables.schema import FRAME_STATUS, SKELETON_SHAPES, SKELETONS
from storage.tables.tracklets import index_table

if TYPE_CHECKING:
    from storage.datasets.videos import Boxes


@command(
    "csip extract crops/ --out skeletons.parquet",
    "csip extract street.mp4 --boxes boxes.csv --out skeletons.parquet --pictures looks/",
    "csip extract crops/ --out skeletons.parquet --config configs/mars.yaml --set extraction.estimator.flip_test=true",
)
def extract(
    frames: FramesArgument,
    out: Annotated[Path, typer.Option(help="Parquet file to write.")] = Path("skeletons.parquet"),
    boxes: BoxesOption = None,
    pictures: Annotated[Path | None, typer.Option(help="Folder for a picture of every tracklet.")] = None,
    crops: CropsOption = None,
    config: Annotated[
        Path | None, typer.Option(help="Take the pose models from this configuration; the project's own without.")
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Extract the skeletons of a folder of crops, or of a video's boxes; needs no data set and no server."""
    settings = load(config, overrides).extraction
    check_tables(out, "skeletons")
    from extraction.extract import make_stream, write_skeletons
    from extraction.zoo.weights import PROJECT

    with TemporaryDirectory() as temporary:
        root, tracklets, boxes_of_video = Source(frames, boxes, crops).frames(temporary)
        with console.status("loading the models"):
            stream = make_stream(settings, DataFiles(root))
        with whole(out) as fresh:
            start = time.monotonic()
            with bar("skeletons") as progress:
                write_skeletons(stream, tracklets, sum(len(t.frames) for t in tracklets), fresh, progress)
            seconds = time.monotonic() - start
            if pictures:
                ragged = read_ragged([fresh], SKELETONS, SKELETON_SHAPES)
                with bar("pictures") as progress:
                    for row, tracklet in enumerate(tracklets):
                        draw(tracklet, ragged, row, root, pictures / f"{tracklet.tracklet_id.replace('/', '_')}.png")
                        progress(row + 1, len(tracklets), "tracklets")
            if boxes_of_video is not None:
                _move_into_video(fresh, boxes_of_video)
        write_table(index_table(tracklets), frames_file(out))
    console.print(_summary(out, seconds))
    if settings.estimator.weights.startswith(PROJECT):
        console.print(
            "[yellow]note:[/] estimated by this project's small model, which has seen rendered people only; for "
            "photographs choose another: --config configs/mars.yaml (csip weights fetch gets it)"
        )
    console.print(f"skeletons: {out}\nframes:    {frames_file(out)}")
    if pictures:
        console.print(f"pictures:  {pictures}/")
    elif boxes is None:
        first = tracklets[0].tracklet_id
        console.print(f"look at one: csip show skeletons {first} --file {out} --frames {frames}")


def _move_into_video(file: Path, boxes: "Boxes") -> None:
    """Keypoints of crops become pixels of the video."""
    ragged = read_ragged([file], SKELETONS, SKELETON_SHAPES)
    values = dict(ragged.values)
    found = np.any(values["keypoints_2d"], axis=(1, 2))
    corner = np.maximum(boxes.corners[:, None, :2], 0).astype(np.float32)
    values["keypoints_2d"] = np.where(found[:, None, None], values["keypoints_2d"] + corner, 0)
    rows = {name: [values[name][ragged.rows(i)] for i in range(len(ragged))] for name in SKELETON_SHAPES}
    write_table(ragged_table(ragged.ids, rows, SKELETONS), file)


def _summary(file: Path, seconds: float) -> Table:
    """How many tracklets and frames there were, and what became of the frames."""
    ragged = read_ragged([file], SKELETONS, SKELETON_SHAPES, ["status", "filled"])
    status, filled = ragged.values["status"], ragged.values["filled"]
    counts = Counter(status.tolist())
    of_frames = [
        (f"  {name.replace('_', ' ')}", f"{counts[code]:,} ({100 * counts[code] / max(len(status), 1):.1f} %)")
        for code, name in enumerate(FRAME_STATUS)
    ]
    return facts(
        [
            ("tracklets", f"{len(ragged):,}"),
            ("frames", f"{len(status):,} in {seconds:.1f} s, {len(status) / max(seconds, 1e-9):.0f} a second"),
            *of_frames,
            ("  filled", f"{filled.sum():,} (interpolated between neighbours)"),
        ]
    )
