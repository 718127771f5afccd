"""`csip embed`: embeddings of a folder of crops, of a video's boxes, or of a data set's test, without a run."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from flows.commands.export import sound_folder
from flows.commands.given.outputs import check_file
from flows.commands.given.sources import Source, frames_file, source_frames
from flows.watching.bar import progress_bar
from storage.addresses import DataRoot
from storage.datasets.crops import NOBODY
from storage.datasets.readers import READERS
from storage.devices import chosen_device
from storage.disk import whole
from storage.errors import DataError, SettingsError
from storage.frames.files import DataFiles
from storage.tables.parquet import write_table
from storage.tables.schema import SAMPLING_KEY
from storage.tables.tracklets import DISTRACTOR_PID, Tracklet, index_table
from storage.wording import listed, many
from training.embed import embed_tracklets, embeddings_table, without_readable_frame
from training.inference_model import About, Embed, described, load_embedder
from training.settings import EmbedSettings

MODEL_KEY = "csip.model"
ROWS_PER_GROUP = 1024  # a gallery is read from its first row to its last


@dataclass(frozen=True)
class Model:
    """A model that is ready.

    Attributes:
        about: what it is.
        embed: clips and their camera to embeddings.
        settings: how tracklets become clips.
    """

    about: About
    embed: Embed
    settings: EmbedSettings


def load_model(folder: Path, settings: EmbedSettings) -> Model:
    """The model of a folder, `finetuned` or `visual`.

    Raises:
        DataError: there is no such folder.
        StoreError: its files are not what was published, or are missing.
        WeightsError: it holds no ReID model.
    """
    about = described(sound_folder(folder))
    embed, _ = load_embedder(folder, about.encoder, chosen_device(settings.device))
    return Model(about, embed, settings)


def embed(model: Model, source: Source, layout: str | None, camid: int | None, out: Path, console: Console) -> None:
    """Write embeddings to `out`, and the names of their frames beside it.

    Args:
        model: what embeds.
        source: where frames come from.
        layout: of the data set that the source is, of which query and gallery are embedded; None for a plain folder.
        camid: the camera of all tracklets of a plain folder or a video, None where it is not known.
        out: a Parquet file.
        console: to tell.

    Raises:
        DataError: there are no frames, the boxes make no sense, or the data set cannot be read.
        SettingsError: the model does not know this camera, there is no such layout, or
            `out` cannot be written.
    """
    if out.suffix != ".parquet":
        raise DataError("embeddings are written as Parquet", where=out, fix="name a file that ends in .parquet")
    for file in (out, frames_file(out)):
        check_file(file)
    with tempfile.TemporaryDirectory() as temporary:
        if layout:
            if camid is not None or source.boxes:
                raise SettingsError("a data set names its cameras and frames", where="--layout", fix="give it alone")
            root, tracklets = source.path, test_tracklets(source.path, layout)
        else:
            root, found, _ = source_frames(source, Path(temporary), console)
            tracklets = labelled(found, model.about, camid)
        for note in camera_notes(tracklets, model.about):
            console.print(f"[yellow]note:[/] {escape(note)}", soft_wrap=True)
        with progress_bar(console, "embeddings") as progress:
            rows = embed_tracklets(root, tracklets, model.embed, model.about.encoder, model.settings, progress)
    about = {SAMPLING_KEY: model.settings.sampling, MODEL_KEY: model.about.weights_sha256}
    with whole(out) as fresh:
        write_table(embeddings_table(tracklets, rows, model.about.embedding_width, about), fresh, ROWS_PER_GROUP)
    write_table(index_table(tracklets), frames_file(out))
    blank = without_readable_frame(tracklets, rows)
    if blank:
        said = f"zeros, without a readable frame: {many(len(blank), 'tracklet')}: {listed(blank)}"
        console.print(f"[yellow]note:[/] {escape(said)}", soft_wrap=True)
    console.print(
        f"embedded:   {many(len(tracklets), 'tracklet')}, {model.about.embedding_width} dimensions",
        f"embeddings: {escape(str(out))}",
        f"frames:     {escape(str(frames_file(out)))}",
        sep="\n",
        soft_wrap=True,
    )


def labelled(tracklets: Sequence[Tracklet], about: About, camid: int | None) -> list[Tracklet]:
    """Tracklets of nobody in particular, by one camera: gallery rows that match nobody.

    Args:
        tracklets: of a folder or a video.
        about: the model that will look at them.
        camid: their camera; None where it is not known: no camera's vector is added then.

    Raises:
        SettingsError: the model does not know this camera.
    """
    if camid is not None and about.cameras and camid not in about.cameras:
        raise SettingsError(
            f"the model was not trained with camera {camid}, but with {_listed(about.cameras)}",
            where="--camid",
            fix="give one of these, or leave --camid out: no camera's vector is added then",
        )
    camera = NOBODY if camid is None else camid
    return [replace(t, split="gallery", pid=DISTRACTOR_PID, camid=camera) for t in tracklets]


def camera_notes(tracklets: Sequence[Tracklet], about: About) -> list[str]:
    """What a reader should know of cameras that the model was not trained with."""
    unseen = sorted({tracklet.camid for tracklet in tracklets} - set(about.cameras))
    if not about.cameras or not unseen:
        return []
    which = "the camera is not known" if unseen == [NOBODY] else f"not in training: camera {_listed(unseen)}"
    return [f"{which}; no camera's vector is added there (the model knows {_listed(about.cameras)})"]


def test_tracklets(root: DataRoot, layout: str) -> list[Tracklet]:
    """Query and gallery of a data set.

    Raises:
        SettingsError: there is no such layout.
        DataError: the data set contradicts itself.
    """
    if layout not in READERS:
        raise SettingsError(
            f"there is no layout {layout!r} of frames", where="--layout", fix=f"one of {_listed(READERS)}"
        )
    return [tracklet for tracklet in READERS[layout].read(DataFiles(root), 0) if tracklet.split != "train"]


def _listed(names: object) -> str:
    return ", ".join(map(str, names))  # type: ignore[call-overload]
