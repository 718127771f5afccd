"""Which gallery `csip search` looks in: a file that `csip embed` wrote, or what a run embedded."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from evaluation.ranking.embeddings import sampling_of
from flows.commands.options.model import Model
from flows.commands.options.outputs import frames_file
from storage.addresses import FETCHED, DataRoot, data_root
from storage.errors import DataError, SettingsError
from storage.store.artifacts import Artifact
from storage.store.runs import records
from storage.tables.parquet import has_schema
from storage.tables.schema import EMBEDDINGS, MODEL_KEY


class Gallery(NamedTuple):
    """What is searched."""

    embeddings: tuple[Path, ...]  # files of `EMBEDDINGS`
    indexes: tuple[Path, ...] = ()  # files that name its tracklets' frames; none where they are not known
    root: DataRoot | None = None  # of those frames; None where they are not known


def choose_gallery(file: Path | None, frames: Path | None, model: Artifact | None) -> Gallery:
    """The gallery that is named, or what the newest run embedded with the model.

    Args:
        file: what `csip embed` wrote.
        frames: the folder of its frames.
        model: of a store, or None.

    Raises:
        DataError: the gallery, or what names its frames, is not there, or is none.
        SettingsError: none is named and the model is of no store, or frames are named and no gallery.
    """
    if file:
        return _of_file(file, frames)
    if frames:
        raise SettingsError("frames of which gallery?", where="--frames", fix="name it: --gallery EMBEDDINGS.parquet")
    if model is None:
        raise SettingsError(
            "no gallery is named", where="--gallery", fix="--gallery EMBEDDINGS.parquet, or --config CONFIG for its own"
        )
    return _of_newest_run(model)


def gallery_notes(gallery: Gallery, model: Model) -> Iterator[str]:
    """What makes distances to a gallery doubtful."""
    for path in gallery.embeddings:
        made_by = (pq.read_schema(path).metadata or {}).get(MODEL_KEY.encode(), b"").decode()
        if made_by and made_by != model.about.embeds_as:
            yield (
                f"{path} was embedded by another model, or with another embed.parts or embed.scale: distances between "
                "the two mean nothing"
            )
    sampling = sampling_of(gallery.embeddings)
    if sampling not in (None, model.settings.sampling):
        yield (
            f"frames of the gallery were sampled {sampling}, those of the queries {model.settings.sampling}: "
            f"--set embed.sampling={sampling} compares like with like"
        )


def _of_file(path: Path, root: Path | None) -> Gallery:
    if not path.is_file():
        raise DataError("there is no such gallery", where=path, fix="csip embed FRAMES --out gallery.parquet makes one")
    if not has_schema(path, EMBEDDINGS):
        raise DataError("this is no gallery of csip embed, or of another version", where=path, fix="embed it anew")
    if root is None:
        return Gallery((path,))
    index = frames_file(path)
    if not index.is_file():
        raise DataError(
            "the names of the gallery's frames are not there",
            where=index,
            fix="csip embed writes them beside the embeddings: keep both files",
        )
    return Gallery((path,), (index,), root)


def _of_newest_run(model: Artifact) -> Gallery:
    """The test tracklets that the newest run of a model's store embedded with it."""
    embedded = [a for a in model.store.all("embeddings") if a.manifest["inputs"].get("model") == model.digest]
    for record in reversed(records(model.store)):
        keys = {entry["key"] for entry in record["artifacts"].values() if entry["stage"] == "embeddings"}
        chosen = [artifact for artifact in embedded if artifact.key in keys]
        if chosen:
            files = tuple(artifact.file("embeddings.parquet").path for artifact in chosen)
            data = record["config"]["data"]
            root = data_root(data["root"], Path(data.get("cache", FETCHED)))
            return Gallery(files, tuple(_indexes(chosen)), root)
    raise DataError(
        "no run of this store has embedded test tracklets with its newest model",
        where=model.store.address,
        fix="csip run CONFIG --to embeddings, or name a gallery: --gallery EMBEDDINGS.parquet",
    )


def _indexes(embedded: Sequence[Artifact]) -> Iterator[Path]:
    """The index files that embeddings were made from."""
    wanted = {artifact.manifest["inputs"]["index"] for artifact in embedded}
    for index in embedded[0].store.all("index"):
        for name, entry in index.manifest["files"].items():
            if entry["sha256"] in wanted:
                wanted.remove(entry["sha256"])
                yield index.file(name).path
