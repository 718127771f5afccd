"""`csip export`: which model of which store, and what is told of its export; `training.export` does it."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape

from flows.config import Config
from storage.errors import DataError, StoreError
from storage.store.artifacts import Artifact, Store, open_store
from storage.store.manifests import MANIFEST
from training.export import TOLERANCE, chosen_format, export


def export_model(folder: Path, format_name: str, out: Path | None, console: Console) -> None:
    """Export a model folder to `out`, by default `model` with the format's ending, and tell of it.

    Raises:
        CsipError: as `training.export.export` and `sound_folder`.
    """
    target = out or Path(f"model{chosen_format(format_name).suffix}")
    with console.status(f"exporting, and comparing with PyTorch: {format_name}"):
        about, difference = export(sound_folder(folder), format_name, target)
    cameras = f"cameras {', '.join(map(str, about.cameras))}" if about.cameras else "no cameras"
    console.print(
        f"model:   {about.kind}, clips of {about.image_height} x {about.image_width} pixels, {cameras}, "
        f"embeddings of {about.embedding_width}",
        f"checked: differs from PyTorch by {difference:.1g} at most (allowed: {TOLERANCE:g})",
        f"wrote:   {escape(str(target))} ({target.stat().st_size / 1e6:.1f} MB)",
        sep="\n",
        soft_wrap=True,
    )


def newest_model(config: Config) -> Artifact:
    """The newest finetuned model of a configuration's store.

    Raises:
        DataError: there is none.
    """
    found = open_store(config.store, config.workspace).all("finetuned")
    if not found:
        raise DataError(
            "there is no finetuned model in this store", where=config.store, fix="csip run CONFIG --to finetuned"
        )
    return found[-1]


def sound_folder(folder: Path) -> Path:
    """The same folder; one that a store published must hold the bytes that were published.

    Raises:
        DataError: there is no such folder.
        StoreError: its files are not what was published.
    """
    if not folder.is_dir():
        raise DataError(
            "there is no such model folder",
            where=folder,
            fix="name a folder such as store/artifacts/finetuned/KEY, or give --config CONFIG for the newest model",
        )
    whole = folder.resolve()
    artifacts = whole.parent.parent
    if (whole / MANIFEST).is_file() and artifacts.name == "artifacts":
        store = Store(artifacts.parent)
        artifact, problems = store.examine(whole.parent.name, whole.name)
        damage = problems or (store.damage(artifact) if artifact else ["manifest.json"])
        if damage:
            raise StoreError(
                f"the model is not what was published: {', '.join(damage)}",
                where=folder,
                fix="delete the folder and run again",
            )
    return folder
