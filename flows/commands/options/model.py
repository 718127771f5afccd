"""The trained model that `csip embed`, `csip search` and `csip export` take, and the tracklets that it is shown."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from flows.commands.options.config import load
from flows.commands.options.console import console, note
from storage.datasets.crops import NOBODY
from storage.devices import chosen_device
from storage.errors import DataError, SettingsError, StoreError
from storage.store.artifacts import Artifact, Store, open_store
from storage.store.manifests import MANIFEST
from storage.tables.tracklets import DISTRACTOR_PID, Tracklet

if TYPE_CHECKING:
    from flows.config import Config
    from training.inference_model import About, Embed
    from training.settings import EmbedSettings

ModelOption = Annotated[
    Path | None, typer.Option("--model", help="A model folder: store/artifacts/finetuned/KEY or .../visual/KEY.")
]
ModelOfConfig = Annotated[
    Path | None,
    typer.Option("--config", help="Take the newest finetuned model of this configuration's store, and its settings."),
]
CameraOption = Annotated[
    int | None, typer.Option("--camid", help="Camera that the frames are of, one that the model was trained with.")
]


class Model(NamedTuple):
    """A model that is ready."""

    about: "About"
    embed: "Embed"
    settings: "EmbedSettings"  # how tracklets become clips


class Chosen(NamedTuple):
    """The model that a command line names."""

    folder: Path
    settings: "EmbedSettings"
    artifact: Artifact | None = None  # of a store, where a configuration names it

    def load(self) -> Model:
        """The model itself; a `WeightsError` if the folder holds none."""
        with console.status("loading the model"):
            from training.inference_model import described, load_embedder

            about = described(self.folder, self.settings)
            embed, _ = load_embedder(self.folder, about.encoder, self.settings, chosen_device(self.settings.device))
        note(*composition_notes(about, self.settings))
        return Model(about, embed, self.settings)


def composition_notes(about: "About", settings: "EmbedSettings") -> Iterator[str]:
    """What of the settings does not concern this model, or frames that nobody made skeletons of."""
    if settings.frame_weights != "equal":
        yield "embed.frame_weights is for runs, which have skeletons; here all frames of a tracklet count the same"
    if about.kind == "visual" and (settings.parts or settings.scale):
        yield (
            "embed.parts and embed.scale are of finetuned models; this encoder alone is ranked by what it was made for "
            f"({', '.join(about.parts)})"
        )


def choose_model(model: Path | None, config: Path | None, overrides: list[str] | None) -> Chosen:
    """The model that is named by its folder or by a configuration.

    Raises:
        SettingsError: it is named in neither way, or in both, or a setting is wrong.
        DataError: there is none.
        StoreError: its files are not what was published.
    """
    if (model is None) == (config is None):
        raise SettingsError(
            "one model embeds, named by its folder or by a configuration",
            where="--model, --config",
            fix="give one of the two: --model FOLDER, or --config configs/demo.yaml for the newest of its store",
        )
    settings = load(config, overrides)
    if model:
        return Chosen(sound_folder(model), settings.embed)
    artifact = newest_model(settings)
    return Chosen(sound_folder(artifact.path), settings.embed, artifact)


def newest_model(config: "Config") -> Artifact:
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


def seen_by(tracklets: Sequence[Tracklet], about: "About", camid: int | None) -> list[Tracklet]:
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
            f"the model was not trained with camera {camid}, but with {_numbers(about.cameras)}",
            where="--camid",
            fix="give one of these, or leave --camid out: no camera's vector is added then",
        )
    camera = NOBODY if camid is None else camid
    return [replace(t, split="gallery", pid=DISTRACTOR_PID, camid=camera) for t in tracklets]


def camera_notes(tracklets: Sequence[Tracklet], about: "About") -> Iterator[str]:
    """What a reader should know of cameras that the model was not trained with."""
    unseen = sorted({tracklet.camid for tracklet in tracklets} - set(about.cameras))
    if about.cameras and unseen:
        which = "the camera is not known" if unseen == [NOBODY] else f"not in training: camera {_numbers(unseen)}"
        yield f"{which}; no camera's vector is added there (the model knows {_numbers(about.cameras)})"


def _numbers(cameras: Sequence[int]) -> str:
    return ", ".join(map(str, cameras))
