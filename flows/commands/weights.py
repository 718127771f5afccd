"""`csip weights list` and `csip weights fetch`: which weights configurations need, what is here, and fetching the rest.

`extraction.zoo.weights` finds, checks and downloads; here that is shown and done for many models.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from rich.markup import escape

from flows.commands.options.config import load
from flows.commands.options.console import bar, command, console, print_error, print_json, say
from storage.errors import CsipError, SettingsError, WeightsError
from storage.progress import Progress

if TYPE_CHECKING:
    from extraction.zoo.weights import Found
    from training.settings import EncoderSettings

OWN_CONFIGS = Path(__file__).parents[2] / "configs"
SHOWN_DIGITS = 12  # of a sha256
COLOURS = {"here": "green", "missing": "yellow", "damaged": "bold red"}

Configs = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[CONFIG]...", help="YAML files; those in configs/ without any.", show_default=False),
]
Cache = Annotated[
    Path | None,
    typer.Option(help="Folder of fetched weights, instead of extraction.weights_cache.", show_default=False),
]


class Needed(NamedTuple):
    """A file of weights that a configuration needs."""

    config: Path
    part: str  # what it is for: estimator, lifter or visual encoder
    model: str  # its name; of a pose model, its mmpose config
    weights: str  # where they come from, as the configuration says: an address or a file
    path: Path | None  # where they are or would be on this machine; None if no file of this name can be
    digest: str  # expected sha256 or its first digits; empty where nothing tells
    bring: Callable[[Progress], Path]  # makes sure of them, fetched if need be, and gives their place
    by_hub: bool = False  # the Hugging Face hub's client brings them, into a folder of its own


@command(
    "csip weights list",
    "csip weights list configs/mars.yaml --cache /data/weights",
    "csip weights list --json | jq -r '.[] | select(.state != \"here\") | .weights'",
    name="list",
)
def list_weights(
    configs: Configs = None,
    cache: Cache = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a model.")] = False,
) -> None:
    """Say which weights are here, missing or damaged; fetches nothing."""
    from extraction.zoo.weights import Found, look

    found = [
        (model, look(model.path, model.digest) if model.path else Found("missing")) for model in needed(configs, cache)
    ]
    if not as_json:
        say(*_lines(found))
        return
    print_json(
        [
            {
                "config": str(model.config),
                "part": model.part,
                "model": model.model,
                "weights": model.weights,
                "path": str(model.path.absolute()) if model.path else None,
                "size": what.size,
                "state": what.state,
                "sha256": what.sha256 or None,
                "expected": model.digest or None,
            }
            for model, what in found
        ]
    )


@command(
    "csip weights fetch",
    "csip weights fetch configs/mars.yaml --cache /data/weights",
    "csip weights fetch configs/mars.yaml --hub",
)
def fetch(
    configs: Configs = None,
    cache: Cache = None,
    hub: Annotated[
        bool,
        typer.Option(
            "--hub", help="Visual encoders as well, by the Hugging Face hub's client into its own folder (HF_HOME)."
        ),
    ] = False,
) -> None:
    """Fetch every file of weights that is missing, and check all; an interrupted one is continued."""
    failed: list[CsipError] = []
    unique = {(model.weights, model.path, model.digest): model for model in needed(configs, cache)}.values()
    for model in unique:
        there = model.path is not None and model.path.is_file()
        name = model.path.name if model.path else model.weights
        try:
            if model.by_hub and not there and not hub:
                raise WeightsError(
                    "the visual encoder's weights come through the Hugging Face hub's client, into a folder of its own",
                    where=f"encoder.weights in {model.config}",
                    fix="add --hub to let it, or set encoder.weights to a file of them",
                )
            with bar(name, in_bytes=True) as progress:
                path = model.bring(progress)
            say(f"[green]{'here' if there else 'fetched'}[/]  {escape(str(path))}")
        except CsipError as error:  # which does not stop the rest
            failed.append(error)
            say(f"[bold red]failed[/]  {escape(name)}")
    console.print(f"{len(unique) - len(failed)} of {len(unique)} files of weights are here")
    for failure in failed:
        console.print()
        print_error(failure)
    if failed:
        raise typer.Exit(1)


def needed(configs: list[Path] | None, cache: Path | None = None) -> list[Needed]:
    """Every file of weights that configurations need, in their order; looks at no file of weights.

    Args:
        configs: YAML files; without any, those in the working directory's `configs`, else those of the project.
        cache: folder of fetched weights, instead of each configuration's own.

    Raises:
        SettingsError: there is no configuration, or one cannot be read or is wrong.
    """
    paths = configs or sorted(Path("configs").glob("*.yaml")) or sorted(OWN_CONFIGS.glob("*.yaml"))
    if not paths:
        raise SettingsError("there is no configuration here", where=Path("configs").absolute(), fix="name a YAML file")
    return [model for path in paths for model in _needed_by(path, cache)]


def _needed_by(path: Path, cache: Path | None) -> Iterator[Needed]:
    from extraction.zoo.weights import expected_digest, locate, place

    config = load(path)
    if config.data.without_images:
        return
    folder = cache or config.extraction.weights_cache
    for part, pose in (("estimator", config.extraction.estimator), ("lifter", config.extraction.lifter)):
        try:
            lies = place(pose, folder)
        except WeightsError:  # no such file in this project: missing, and `bring` says what there is
            lies = None
        bring = partial(locate, pose, folder)
        yield Needed(path, part, pose.config, pose.weights, lies, expected_digest(pose), bring)
    if config.encoder.is_pretrained:
        yield _encoder(path, config.encoder)


def _encoder(config: Path, settings: "EncoderSettings") -> Needed:
    from huggingface_hub import constants, try_to_load_from_cache
    from huggingface_hub.file_download import repo_folder_name

    from training.model.encoders.weights import on_hub, weight_files

    def bring(_: Progress) -> Path:  # the hub's client shows a bar of its own
        return weight_files(settings)["encoder"]

    part, where = "visual encoder", None if settings.weights else on_hub(settings.model)
    if where is None:
        return Needed(config, part, settings.model, str(settings.weights), settings.weights, "", bring)
    cached = (try_to_load_from_cache(where.repository, file) for file in where.files)
    folder = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=where.repository, repo_type="model")
    lies = next((Path(found) for found in cached if isinstance(found, str)), folder / where.files[0])
    return Needed(config, part, settings.model, f"hub: {where.repository}", lies, "", bring, by_hub=True)


def _lines(found: Iterable[tuple[Needed, "Found"]]) -> Iterator[str]:
    """A few lines a model, under its configuration: paths and addresses are too long for a table's cells."""
    config, home = None, Path.home()
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
            lies = Path("~", model.path.relative_to(home)) if model.path.is_relative_to(home) else model.path
            yield f"    file     {escape(str(lies))}"
        if shown:
            yield f"    sha256   {shown}"
