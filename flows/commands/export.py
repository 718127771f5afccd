"""`csip export`: a trained model for use elsewhere; `training.export` writes and checks it."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from flows.commands.options.config import Overrides, load
from flows.commands.options.console import command, console, note, say
from flows.commands.options.model import composition_notes, newest_model, sound_folder
from storage.errors import SettingsError
from training.export_formats import export_file


@command(
    "csip export --config configs/demo.yaml --format onnx",
    "csip export store/artifacts/finetuned/7c7eb9d3e62f6d4e10fe0981 --format onnx --out person.onnx",
    "csip export store/artifacts/visual/2a2cd984b59ea9d7adbd2756 --format torchscript",
    "csip export --config configs/demo.yaml --set embed.parts='[cls]'",
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
    if (checkpoint is None) == (config is None):
        raise SettingsError(
            "one model is exported, by its folder or by a configuration",
            where="CHECKPOINT, --config",
            fix="give one of the two: csip export FOLDER, or csip export --config configs/demo.yaml",
        )
    settings = load(config, overrides)
    folder = checkpoint or newest_model(settings).path
    target = export_file(format_name, out)
    sound_folder(folder)
    with console.status(f"exporting, and comparing with PyTorch: {format_name}"):
        from training.export import TOLERANCE
        from training.export import export as export_model

        about, difference = export_model(folder, settings.embed, format_name, target)
    note(*composition_notes(about, settings.embed))
    cameras = f"cameras {', '.join(map(str, about.cameras))}" if about.cameras else "no cameras"
    say(
        f"model:   {about.kind}, clips of {about.image_height} x {about.image_width} pixels, {cameras}, "
        f"embeddings of {about.embedding_width} ({', '.join(about.parts)}; {about.scale})",
        f"checked: differs from PyTorch by {difference:.1g} at most (allowed: {TOLERANCE:g})",
        f"wrote:   {escape(str(target))} ({target.stat().st_size / 1e6:.1f} MB)",
    )
