"""`csip weights`: which weights the models of a configuration need, what of them is here, and fetching the rest.

Finding, checking and downloading are the business of `extraction.zoo.weights`; here they are shown and run for many
models.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bars

from flows.commands.options.config import load
from flows.commands.options.console import console, plain_errors, print_error, print_json, say
from storage.errors import CsipError, SettingsError, WeightsError
from storage.progress import Progress

if TYPE_CHECKING:
    from extraction.zoo.weights import Found, PoseModelSettings
    from flows.config import Config
    from training.settings import EncoderSettings

OWN_CONFIGS = Path(__file__).parents[2] / "configs"
SHOWN_DIGITS = 12  # of a sha256, in the table
COLOURS = {"here": "green", "missing": "yellow", "damaged": "bold red"}

app = typer.Typer(no_args_is_help=True, help="See and fetch the weights that models need.")

Configs = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[CONFIG]...", help="YAML files; those in configs/ without any.", show_default=False),
]
Cache = Annotated[
    Path | None,
    typer.Option(help="Folder of fetched weights, instead of extraction.weights_cache.", show_default=False),
]


@dataclass(frozen=True)
class Needed:
    """A file of weights that a configuration needs.

    Attributes:
        config: the YAML file.
        part: what it is for: estimator, lifter or visual encoder.
        model: name of the model; for pose models, their mmpose config.
        weights: where they come from, as the configuration says: an address or a file.
        path: where they are or would be on this machine; None if no file of this name can be.
        digest: expected sha256 or its first digits; empty where nothing tells.
        bring: makes sure of them, fetched if need be, and gives their place.
        by_hub: whether the Hugging Face hub's client brings them, into a folder of its own.
    """

    config: Path
    part: str
    model: str
    weights: str
    path: Path | None
    digest: str
    bring: Callable[[Progress], Path]
    by_hub: bool = False


@app.command(
    "list",
    epilog="csip weights list\n\ncsip weights list configs/mars.yaml --cache /data/weights\n\n"
    "csip weights list --json | jq -r '.[] | select(.state != \"here\") | .weights'",
)
@plain_errors()
def list_weights(
    configs: Configs = None,
    cache: Cache = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a model.")] = False,
) -> None:
    """Say which weights are here, missing or damaged; fetches nothing."""
    found = [(model, _look(model)) for model in needed(configs or default_configs(), cache)]
    if as_json:
        print_json([_as_json(model, what) for model, what in found])
    else:
        say(*_lines(found))


@app.command(
    epilog="csip weights fetch\n\ncsip weights fetch configs/mars.yaml --cache /data/weights\n\n"
    "csip weights fetch configs/mars.yaml --hub"
)
@plain_errors()
def fetch(
    configs: Configs = None,
    cache: Cache = None,
    hub: Annotated[
        bool,
        typer.Option("--hub", help="CLIP as well, by the Hugging Face hub's client into its own folder (HF_HOME)."),
    ] = False,
) -> None:
    """Fetch every file of weights that is missing, and check all; an interrupted one is continued."""
    failed = fetch_all(needed(configs or default_configs(), cache), hub)
    for error in failed:
        console.print()
        print_error(error)
    if failed:
        raise typer.Exit(1)


def default_configs() -> list[Path]:
    """The configurations in the working directory's `configs`, else those of the project.

    Raises:
        SettingsError: there are none.
    """
    for folder in (Path("configs"), OWN_CONFIGS):
        if found := sorted(folder.glob("*.yaml")):
            return found
    raise SettingsError("there is no configuration here", where=Path("configs").absolute(), fix="name a YAML file")


def needed(configs: Iterable[Path], cache: Path | None = None) -> list[Needed]:
    """Every file of weights that configurations need, in their order; looks at no file of weights.

    Args:
        configs: YAML files.
        cache: folder of fetched weights, instead of each configuration's own.

    Raises:
        SettingsError: a configuration cannot be read, or is wrong.
    """
    return [model for path in configs for model in _needed_by(path, load(path), cache)]


def fetch_all(models: Sequence[Needed], hub: bool = False) -> list[CsipError]:
    """Bring every file once, telling of each; what fails does not stop the rest.

    Args:
        models: see `needed`.
        hub: whether the hub's client may write into its own folder.

    Returns:
        What failed, in order.
    """
    failed: list[CsipError] = []
    unique = {(model.weights, model.path, model.digest): model for model in models}.values()
    for model in unique:
        there = model.path is not None and model.path.is_file()
        name = model.path.name if model.path else model.weights
        try:
            if model.by_hub and not there and not hub:
                raise WeightsError(
                    "CLIP's weights come through the Hugging Face hub's client, into a folder of its own",
                    where=f"encoder.weights in {model.config}",
                    fix="add --hub to let it, or set encoder.weights to a file of them",
                )
            with _bar(name) as progress:
                path = model.bring(progress)
            say(f"[green]{'here' if there else 'fetched'}[/]  {escape(str(path))}")
        except CsipError as error:
            failed.append(error)
            say(f"[bold red]failed[/]  {escape(name)}")
    console.print(f"{len(unique) - len(failed)} of {len(unique)} files of weights are here")
    return failed


def _needed_by(path: Path, config: "Config", cache: Path | None) -> Iterator[Needed]:
    if config.data.without_images:
        return
    extraction = config.extraction
    for part, settings in (("estimator", extraction.estimator), ("lifter", extraction.lifter)):
        yield _pose_model(path, part, settings, cache or extraction.weights_cache)
    if config.encoder.arch != "small":
        yield _clip(path, config.encoder)


def _pose_model(config: Path, part: str, settings: "PoseModelSettings", cache: Path) -> Needed:
    from extraction.zoo.weights import expected_digest, locate, place

    try:
        lies = place(settings, cache)
    except WeightsError:  # no such file in this project: missing, and `bring` says what there is
        lies = None
    bring = partial(locate, settings, cache)
    return Needed(config, part, settings.config, settings.weights, lies, expected_digest(settings), bring)


def _clip(config: Path, settings: "EncoderSettings") -> Needed:
    from huggingface_hub import constants, try_to_load_from_cache
    from huggingface_hub.file_download import repo_folder_name

    from training.settings import CLIP, weight_files

    def bring(_: Progress) -> Path:  # the hub's client shows a bar of its own
        return weight_files(settings)["clip"]

    if settings.weights is not None:
        return Needed(config, "visual encoder", CLIP, str(settings.weights), settings.weights, "", bring)
    repository = f"timm/{CLIP}"
    cached = try_to_load_from_cache(repository, "model.safetensors")
    folder = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repository, repo_type="model")
    lies = Path(cached) if isinstance(cached, str) else folder / "model.safetensors"
    return Needed(config, "visual encoder", CLIP, f"hub: {repository}", lies, "", bring, by_hub=True)


def _look(model: Needed) -> "Found":
    from extraction.zoo.weights import Found, look

    return look(model.path, model.digest) if model.path else Found("missing")


def _as_json(model: Needed, found: "Found") -> dict[str, Any]:
    return {
        "config": str(model.config),
        "part": model.part,
        "model": model.model,
        "weights": model.weights,
        "path": str(model.path.absolute()) if model.path else None,
        "size": found.size,
        "state": found.state,
        "sha256": found.sha256 or None,
        "expected": model.digest or None,
    }


def _lines(found: Iterable[tuple[Needed, "Found"]]) -> Iterator[str]:
    """A few lines a model, under its configuration: paths and addresses are too long for a table's cells."""
    config = None
    for model, what in found:
        if model.config != config:
            config = model.config
            yield f"[bold]{escape(str(config))}[/]"
        size = "" if what.size is None else f", {what.size / 1e6:.1f} MB"
        name = model.model.rpartition("/")[2]
        yield f"  {model.part}: [{COLOURS[what.state]}]{what.state}[/]{size}  {escape(name)}"
        digests = [what.sha256, model.digest] if what.state == "damaged" else [what.sha256 or model.digest]
        shown = " not ".join(digest[:SHOWN_DIGITS] for digest in digests)
        yield f"    weights  {escape(model.weights)}"
        if model.path:
            yield f"    file     {escape(_short(model.path))}"
        if shown:
            yield f"    sha256   {shown}"


def _short(path: Path) -> str:
    home = os.path.expanduser("~")
    return str(path).replace(home + os.sep, "~/", 1) if path.is_relative_to(home) else str(path)


@contextmanager
def _bar(name: str) -> Iterator[Progress]:
    """A bar of bytes, shown once something is told and gone when it is done."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        bar = None

        def tell(done: int, total: int, message: str = "") -> None:
            nonlocal bar
            if bar is None:
                bar = bars.add_task("", total=None)
            # words without numbers: it waits for another process
            about = name if done or total else f"{name}: {message}"
            bars.update(bar, description=escape(about), completed=done, total=total or None)

        yield tell
