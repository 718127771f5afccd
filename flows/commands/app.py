"""The `csip` command. Thin: parses, calls, prints; every error that a user can act on is one message, no traceback."""

import gc
import json
import logging
import os
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.table import Table

from flows.commands import artifact as artifact_command
from flows.commands import compare as compare_command
from flows.commands import copy as copy_command
from flows.commands import data as data_command
from flows.commands import deploy as deploy_command
from flows.commands import doctor as doctor_command
from flows.commands import embedding_commands
from flows.commands import runs as run_commands
from flows.commands import store as store_commands
from flows.commands import weights as weights_command
from storage.errors import CsipError, SettingsError

# threads that wait without spinning: torch is up to ten times faster so on a shared machine; read at its import
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="From the raw frames of a video ReID data set to a trained, evaluated model; runs again only what changed.",
)
console = Console(highlight=False)

ConfigPath = Annotated[Path, typer.Argument(help="A YAML file such as configs/demo.yaml.", show_default=False)]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Override a setting, e.g. pretrain.epochs=60.")
]


@contextmanager
def told_plainly(status: int = 1) -> Iterator[None]:
    """Show a `CsipError` as one message and end with a status."""
    try:
        yield
    except CsipError as error:
        first, *rest = str(error).split("\n")
        console.print(
            f"[bold red]error:[/] {_escape(first)}", *(_escape(line) for line in rest), sep="\n", soft_wrap=True
        )
        raise typer.Exit(status) from None
    except KeyboardInterrupt:
        console.print("[yellow]stopped;[/] what was finished is kept, and the next run goes on from there")
        raise typer.Exit(130) from None


def _escape(text: str) -> str:
    return text.replace("[", r"\[")


@app.command(
    epilog="csip run configs/demo.yaml\n\ncsip run configs/mars.yaml --set data.root=/data/MARS --to skeletons\n\n"
    "csip run configs/mars.yaml --set evaluation.gallery=without_queries"
)
def run(
    config: ConfigPath,
    overrides: Overrides = None,
    to: Annotated[str | None, typer.Option(help="Stop after this stage.")] = None,
    begin: Annotated[str | None, typer.Option("--from", help="Build this stage and all after it anew.")] = None,
    force: Annotated[list[str] | None, typer.Option(help="Build this stage anew.")] = None,
    log: Annotated[
        str,
        typer.Option(metavar="FILE", help="Write all lines as JSON, too, with stage, shard and tracklet; - is stderr."),
    ] = "",
) -> None:
    """Bring a data set's model and report up to date."""
    with told_plainly():
        settings = _load(config, overrides)
        lines = _prepare_logging()
        from flows.commands.run import run_and_tell
        from flows.running.stops import told_of_end
        from flows.watching.log_fields import log_to

        if log:
            log_to(log)
        with told_of_end(console):
            run_and_tell(settings, to, begin, tuple(force or ()), console, lines)


@app.command(epilog="csip plan configs/mars.yaml --set finetune.epochs=60")
def plan(
    config: ConfigPath,
    overrides: Overrides = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a step.")] = False,
) -> None:
    """Say what a run would do, and why; runs nothing."""
    with told_plainly():
        settings = _load(config, overrides)
        from flows.planning.plan import as_groups
        from flows.planning.plan import plan as make_plan

        lines = make_plan(settings)
        if as_json:
            console.print_json(json.dumps([vars(line) for line in lines]))
            return
        colours = {"kept": "green", "will run": "bold yellow", "may run": "yellow"}
        table = Table("stage", "steps", "", "why", box=None, pad_edge=False)
        for stage, verdict, reason, labels in as_groups(lines):
            shown = labels[0] if len(labels) == 1 else f"{len(labels)} parts"
            table.add_row(
                stage, shown.removeprefix(stage).strip() or "", f"[{colours[verdict]}]{verdict}[/]", _escape(reason)
            )
        console.print(table)


@app.command()
def settings(section: Annotated[str, typer.Argument(help="Only this section, e.g. pretrain.")] = "") -> None:
    """List every setting with its default and what it is for."""
    with told_plainly():
        from flows.config import Config, described_settings

        for name, default, description in described_settings(Config):
            if name.startswith(section):
                console.print(f"[bold]{name}[/] = {_escape(str(default))}\n    {_escape(description)}", soft_wrap=True)


@app.command()
def ui(
    stop: Annotated[bool, typer.Option("--stop", help="Stop the local server instead.")] = False,
    show: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> None:
    """Open the Prefect UI of the local server, started if need be."""
    with told_plainly():
        from flows.watching.server import ServerSettings, ensure_server, stop_server, ui_url

        if stop:
            console.print("stopped" if stop_server(ServerSettings()) else "no local server was running")
            return
        url = ui_url(ensure_server(ServerSettings()))
        console.print(url)
        if show:
            webbrowser.open(url)


@app.command(
    epilog="csip extract crops/ --out skeletons.parquet\n\n"
    "csip extract street.mp4 --boxes boxes.csv --out skeletons.parquet --pictures looks/\n\n"
    "csip extract crops/ --out skeletons.parquet --config configs/mars.yaml --set extraction.estimator.flip_test=true"
)
def extract(
    frames: Annotated[Path, typer.Argument(help="A folder of crops (a folder a tracklet), or a video.")],
    out: Annotated[Path, typer.Option(help="Parquet file to write.")] = Path("skeletons.parquet"),
    boxes: embedding_commands.BoxesOption = None,
    pictures: Annotated[Path | None, typer.Option(help="Folder for a picture of every tracklet.")] = None,
    crops: embedding_commands.CropsOption = None,
    config: Annotated[
        Path | None, typer.Option(help="Take the pose models from this configuration; the project's own without.")
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Extract the skeletons of a folder of crops, or of a video's boxes; needs no data set and no server."""
    with told_plainly():
        from flows.commands.extract import extract as extract_skeletons
        from flows.commands.given.sources import Source
        from flows.config import load_config, make_config

        loaded = load_config(config, overrides or ()) if config else make_config({"name": "extract"}, overrides or ())
        extract_skeletons(Source(frames, boxes, crops), loaded.extraction, out, pictures, console)


@app.command(
    epilog="csip export --config configs/demo.yaml --format onnx\n\n"
    "csip export store/artifacts/finetuned/7c7eb9d3e62f6d4e10fe0981 --format onnx --out person.onnx\n\n"
    "csip export store/artifacts/visual/2a2cd984b59ea9d7adbd2756 --format torchscript"
)
def export(
    checkpoint: Annotated[
        Path | None, typer.Argument(help="A model folder: store/artifacts/finetuned/KEY or .../visual/KEY.")
    ] = None,
    format_name: Annotated[
        str, typer.Option("--format", metavar="onnx|torchscript|safetensors", help="What to write.")
    ] = "onnx",
    out: Annotated[
        Path | None, typer.Option(help="File to write; model.onnx, .pt or .safetensors here without it.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Take the newest finetuned model of this configuration's store.")
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Export a model for inference elsewhere, checked against PyTorch; from clips to embeddings, without skeletons."""
    with told_plainly():
        if (checkpoint is None) == (config is None):
            raise SettingsError(
                "one model is exported, by its folder or by a configuration",
                where="CHECKPOINT, --config",
                fix="give one of the two: csip export FOLDER, or csip export --config configs/demo.yaml",
            )
        from flows.commands.export import export_model, newest_model

        folder = checkpoint or newest_model(_load(config, overrides)).path
        export_model(folder, format_name, out, console)


app.add_typer(weights_command.app, name="weights")
app.add_typer(data_command.app, name="data")
show = typer.Typer(no_args_is_help=True, help="Look at what was made.")
app.add_typer(show, name="show")
show.command("artifact", epilog=artifact_command.EXAMPLES)(artifact_command.show_artifact)
for commands in (
    embedding_commands.app,
    run_commands.app,
    compare_command.app,
    store_commands.app,
    copy_command.app,
    deploy_command.app,
    doctor_command.app,
):
    app.registered_commands += commands.registered_commands


@show.command(
    "skeletons",
    epilog="csip show skeletons 0001C1T0001\n\ncsip show skeletons 0001C1T0001 --config configs/mars.yaml\n\n"
    "csip show skeletons walk/one --file skeletons.parquet --frames crops/",
)
def show_skeletons(
    tracklet: Annotated[str, typer.Argument(help="A tracklet's id, e.g. 0001C1T0001.")],
    out: Annotated[Path | None, typer.Option(help="Picture to write; TRACKLET.png by default.")] = None,
    config: Annotated[Path | None, typer.Option(help="Of which run; the newest of the store without it.")] = None,
    store: Annotated[Path, typer.Option(help="The store to look in where no configuration is given.")] = Path("store"),
    file: Annotated[Path | None, typer.Option(help="A file that `csip extract` wrote.")] = None,
    frames: Annotated[Path | None, typer.Option(help="The folder of crops that it was made from.")] = None,
    overrides: Overrides = None,
) -> None:
    """Draw a tracklet's frames with the skeletons that were extracted from them."""
    with told_plainly():
        target = out or Path(f"{tracklet.replace('/', '_')}.png")
        if file:
            from flows.commands.extract import draw_from_file

            draw_from_file(file, tracklet, frames or Path("."), target)
        else:
            from flows.commands.skeletons import draw_tracklet, newest_config
            from flows.config import load_config

            loaded = load_config(config, overrides or ()) if config else newest_config(store)
            draw_tracklet(loaded, tracklet, target)
        console.print(f"wrote {target}")


def _load(config: Path, overrides: list[str] | None) -> Any:
    from flows.config import load_config

    return load_config(config, overrides or ())


def _prepare_logging() -> logging.Handler:
    """Our lines on the terminal and in the Prefect UI; Prefect's own only in the UI."""
    os.environ.setdefault("PREFECT_LOGGING_EXTRA_LOGGERS", "csip")
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    # a server that is away is told of once, by us, and not with every event that does not reach it
    os.environ.setdefault("PREFECT_LOGGING_INTERNAL_LEVEL", "CRITICAL")
    os.environ.setdefault("PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW", "ignore")
    logging.raiseExceptions = False
    handler = RichHandler(
        console=console, show_path=False, show_level=False, omit_repeated_times=False, log_time_format="%X"
    )
    log = logging.getLogger("csip")
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    return handler


def main() -> None:
    """Entry point of `python -m flows.commands.app`."""
    try:
        app()
    finally:
        if "torch" not in sys.modules:  # some of its libraries complain of what is not collected
            gc.freeze()  # the last collection would look at every object once more, for half a second, and free nothing


if __name__ == "__main__":
    main()
