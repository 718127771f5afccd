"""`csip extract`: skeletons of a folder of crops, or of a video's boxes, without a data set, a store or a server."""

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from evaluation.page.pictures import PosedFrames, pose_sheet
from extraction.extract import ExtractionSettings, make_stream, write_skeletons
from extraction.zoo.weights import PROJECT
from flows.commands.given.outputs import check_file
from flows.commands.given.sources import Source, frames_file, source_frames
from flows.watching.bar import progress_bar
from storage.addresses import DataRoot
from storage.datasets.videos import Boxes
from storage.disk import whole
from storage.errors import DataError
from storage.frames.files import DataFiles
from storage.frames.images import read_frame
from storage.tables.parquet import ragged_table, read_ragged, write_table
from storage.tables.schema import FRAME_STATUS, SKELETON_SHAPES, SKELETONS
from storage.tables.tracklets import Tracklet, index_table, read_index
from storage.wording import listed

SHOWN_FRAMES = 8


def extract(source: Source, settings: ExtractionSettings, out: Path, pictures: Path | None, console: Console) -> None:
    """Write skeletons to `out`, the names of their frames beside it, and pictures if asked for.

    Raises:
        DataError: there are no frames, or the boxes make no sense.
        SettingsError: `out` cannot be written.
        WeightsError: config or weights are missing, damaged, or do not fit each other.
    """
    if out.suffix != ".parquet":
        raise DataError("skeletons are written as Parquet", where=out, fix="name a file that ends in .parquet")
    for file in (out, frames_file(out)):
        check_file(file)
    with tempfile.TemporaryDirectory() as temporary:
        root, tracklets, boxes = source_frames(source, Path(temporary), console)
        with console.status("loading the models"):
            stream = make_stream(settings, DataFiles(root))
        total = sum(len(tracklet.frames) for tracklet in tracklets)
        with whole(out) as fresh:
            start = time.monotonic()
            with progress_bar(console, "skeletons") as progress:
                write_skeletons(stream, tracklets, total, fresh, progress)
            seconds = time.monotonic() - start
            if pictures:
                with progress_bar(console, "pictures") as progress:
                    draw_all(fresh, tracklets, root, pictures, progress)
            if boxes is not None:
                _move_into_video(fresh, boxes)
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
    elif source.boxes is None:
        first = tracklets[0].tracklet_id
        console.print(f"look at one: csip show skeletons {first} --file {out} --frames {source.path}")


def draw_from_file(file: Path, tracklet_id: str, root: DataRoot, target: Path) -> None:
    """Draw a tracklet of what `extract` wrote.

    Raises:
        DataError: the tracklet is not in the file, or the picture cannot be written.
    """
    tracklets = {tracklet.tracklet_id: tracklet for tracklet in read_index(frames_file(file))}
    if tracklet_id not in tracklets:
        there = listed(sorted(tracklets))
        raise DataError(f"there is no tracklet {tracklet_id} in this file", where=file, fix=f"it holds {there}")
    ragged = read_ragged([file], SKELETONS, SKELETON_SHAPES)
    row = ragged.position()[tracklet_id]
    columns = {name: ragged.of(row, name) for name in SKELETON_SHAPES}
    draw(tracklets[tracklet_id], columns, root, target)


def draw(tracklet: Tracklet, columns: dict[str, np.ndarray], root: DataRoot, target: Path) -> None:
    """Draw evenly spread frames of a tracklet with their skeletons.

    Raises:
        DataError: the picture cannot be written.
    """
    chosen = np.unique(np.linspace(0, len(tracklet.frames) - 1, SHOWN_FRAMES).round().astype(int))
    files = DataFiles(root)
    files.fetch(tracklet.frames[i] for i in chosen)
    frames = [read_frame(files, tracklet.frames[i]) for i in chosen]
    posed = PosedFrames(frames, **{name: values[chosen] for name, values in columns.items()})
    target.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(target), pose_sheet(posed)):
        raise DataError("the picture cannot be written", where=target, fix="name a file that ends in .png")


def draw_all(
    file: Path, tracklets: Sequence[Tracklet], root: Path, folder: Path, progress: Callable[..., None]
) -> None:
    """A picture for every tracklet."""
    ragged = read_ragged([file], SKELETONS, SKELETON_SHAPES)
    for row, tracklet in enumerate(tracklets):
        columns = {name: ragged.of(row, name) for name in SKELETON_SHAPES}
        draw(tracklet, columns, root, folder / f"{tracklet.tracklet_id.replace('/', '_')}.png")
        progress(row + 1, len(tracklets), "tracklets")


def _move_into_video(file: Path, boxes: Boxes) -> None:
    """Keypoints of crops become pixels of the video."""
    ragged = read_ragged([file], SKELETONS, SKELETON_SHAPES)
    values = dict(ragged.values)
    found = np.any(values["keypoints_2d"], axis=(1, 2))
    corner = np.maximum(boxes.corners[:, None, :2], 0).astype(np.float32)
    values["keypoints_2d"] = np.where(found[:, None, None], values["keypoints_2d"] + corner, 0)
    rows = {name: [values[name][ragged.rows(i)] for i in range(len(ragged))] for name in SKELETON_SHAPES}
    write_table(ragged_table(ragged.ids, rows, SKELETONS), file)


def _summary(file: Path, seconds: float) -> Table:
    ragged = read_ragged([file], SKELETONS, SKELETON_SHAPES, ["status", "filled"])
    status = Counter(ragged.values["status"].tolist())
    frames = len(ragged.values["status"])
    table = Table(box=None, show_header=False, pad_edge=False)
    for label, value in _lines(ragged.values["filled"].sum(), status, frames, len(ragged), seconds):
        table.add_row(label, value)
    return table


def _lines(filled: int, status: Counter[int], frames: int, tracklets: int, seconds: float) -> Iterator[tuple[str, str]]:
    yield "tracklets", f"{tracklets:,}"
    yield "frames", f"{frames:,} in {seconds:.1f} s, {frames / max(seconds, 1e-9):.0f} a second"
    for code, name in enumerate(FRAME_STATUS):
        count = status.get(code, 0)
        yield f"  {name.replace('_', ' ')}", f"{count:,} ({100 * count / max(frames, 1):.1f} %)"
    yield "  filled", f"{filled:,} (interpolated between neighbours)"
