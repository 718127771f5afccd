"""`csip embed`: embeddings of a folder of crops, of a video's boxes, or of a data set's test, without a run."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.markup import escape

from flows.commands.options.config import set_option
from flows.commands.options.console import bar, command, note, say
from flows.commands.options.frames import BoxesOption, CropsOption, FramesArgument, Source
from flows.commands.options.model import (
    CameraOption,
    ModelOfConfig,
    ModelOption,
    camera_notes,
    choose_model,
    seen_by,
)
from flows.commands.options.outputs import check_tables, frames_file
from storage.addresses import DataRoot
from storage.datasets.readers import READERS
from storage.disk import whole
from storage.errors import SettingsError
from storage.frames.files import DataFiles
from storage.tables.parquet import write_table
from storage.tables.schema import MODEL_KEY, SAMPLING_KEY
from storage.tables.tracklets import Tracklet, index_table
from storage.wording import listed, many

ROWS_PER_GROUP = 1024  # a gallery is read from its first row to its last


@command(
    "csip embed crops/ --config configs/mars.yaml --camid 1",
    "csip embed street.mp4 --boxes boxes.csv --crops crops/ --model store/artifacts/finetuned/KEY",
    "csip embed /path/to/MARS --layout mars --config configs/mars.yaml --set embed.sampling=rrs",
)
def embed(
    frames: FramesArgument,
    out: Annotated[Path, typer.Option(help="Parquet file to write.")] = Path("embeddings.parquet"),
    model: ModelOption = None,
    config: ModelOfConfig = None,
    camid: CameraOption = None,
    boxes: BoxesOption = None,
    crops: CropsOption = None,
    layout: Annotated[
        str | None, typer.Option(help="The folder is a data set in this layout (mars, ...): embed its test tracklets.")
    ] = None,
    overrides: Annotated[list[str] | None, set_option(help="Override a setting, e.g. embed.sampling=rrs.")] = None,
) -> None:
    """Embed tracklets with a trained model: one vector each, for csip search, csip evaluate or anything else."""
    chosen = choose_model(model, config, overrides)
    check_tables(out, "embeddings")
    source = Source(frames, boxes, crops)
    if not layout:
        source.check()
    elif camid is not None or boxes:
        raise SettingsError("a data set names its cameras and frames", where="--layout", fix="give it alone")
    ready = chosen.load()
    about = ready.about
    from training.embed import embed_tracklets, embeddings_table, without_readable_frame

    with TemporaryDirectory() as temporary:
        root: DataRoot = frames
        if layout:
            tracklets = _test_tracklets(frames, layout)
        else:
            root, found, _ = source.frames(temporary)
            tracklets = seen_by(found, about, camid)
        note(*camera_notes(tracklets, about))
        with bar("embeddings") as progress:
            rows = embed_tracklets(root, tracklets, ready.embed, about.size, ready.settings, progress)
    made_with = {SAMPLING_KEY: ready.settings.sampling, MODEL_KEY: about.embeds_as}
    with whole(out) as fresh:
        write_table(embeddings_table(tracklets, rows, about.embedding_width, made_with), fresh, ROWS_PER_GROUP)
    write_table(index_table(tracklets), frames_file(out))
    if blank := without_readable_frame(tracklets, rows):
        note(f"zeros, without a readable frame: {many(len(blank), 'tracklet')}: {listed(blank)}")
    say(
        f"embedded:   {many(len(tracklets), 'tracklet')}, {about.embedding_width} dimensions",
        f"embeddings: {escape(str(out))}",
        f"frames:     {escape(str(frames_file(out)))}",
    )


def _test_tracklets(root: DataRoot, layout: str) -> list[Tracklet]:
    """Query and gallery of a data set."""
    if layout not in READERS:
        fix = f"one of {', '.join(READERS)}"
        raise SettingsError(f"there is no layout {layout!r} of frames", where="--layout", fix=fix)
    return [tracklet for tracklet in READERS[layout].read(DataFiles(root), 0) if tracklet.split != "train"]
