"""`csip evaluate`, `csip embed` and `csip search`: embeddings without a run. Thin: parse, call, print."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.store_choice import AsJson
from storage.errors import SettingsError

app = typer.Typer(rich_markup_mode="rich")
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Override a setting, e.g. embed.sampling=rrs.")
]


@app.command(
    epilog="csip evaluate embeddings.parquet\n\n"
    "csip evaluate vectors.npy --labels labels.csv --gallery without_queries --out metrics/\n\n"
    "csip evaluate query.parquet gallery.parquet --set evaluation.ranks='[1, 5, 10]' --json"
)
def evaluate(
    embeddings: Annotated[
        list[Path],
        typer.Argument(
            help="Parquet files with columns split, pid, camid, embedding (and tracklet_id, clothes, frames), or "
            "vectors alone, as Parquet or .npy, with --labels.",
            show_default=False,
        ),
    ],
    labels: Annotated[
        Path | None,
        typer.Option(help="CSV or Parquet: split, pid, camid (and tracklet_id, clothes, frames), a row a vector."),
    ] = None,
    gallery: Annotated[
        str | None,
        typer.Option(metavar="with_queries|without_queries", help="Whether query tracklets stay in the gallery."),
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(metavar="standard|clothes_changing", help="What is left out of the gallery.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Keep metrics.json, cmc, queries and ranks (Parquet) in this folder.")
    ] = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Score embeddings of any model as the pipeline scores its own: mAP, CMC, chance, and what is odd."""
    from flows.cli import console, told_plainly

    with told_plainly():
        from flows.config import make_config
        from flows.evaluate_command import evaluate as evaluate_files
        from flows.evaluate_command import tell

        shortcuts = {"gallery": gallery, "protocol": protocol}
        given = {name: value for name, value in shortcuts.items() if value is not None}
        # a layout whose reader may know clothes: whether these rows do is checked with them
        values: dict[str, Any] = {"name": "evaluate", "data": {"layout": "manifest"}, "evaluation": given}
        settings = make_config(values, overrides or ()).evaluation
        metrics, notes = evaluate_files(embeddings, labels, settings, out, console)
        if as_json:
            console.print_json(json.dumps(metrics | {"notes": list(notes)}))
        else:
            tell(metrics, notes, out, console)


ModelOption = Annotated[
    Path | None, typer.Option("--model", help="A model folder: store/artifacts/finetuned/KEY or .../visual/KEY.")
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="Take the newest finetuned model of this configuration's store, and its settings."),
]
CameraOption = Annotated[
    int | None, typer.Option("--camid", help="Camera that the frames are of, one that the model was trained with.")
]
BoxesOption = Annotated[
    Path | None,
    typer.Option(help="Boxes of a video: CSV or Parquet with track, frame (from 0), x1, y1, x2, y2 or x, y, w, h."),
]
CropsOption = Annotated[Path | None, typer.Option(help="Keep a video's crops in this folder.")]


@app.command(
    epilog="csip embed crops/ --config configs/mars.yaml --camid 1\n\n"
    "csip embed street.mp4 --boxes boxes.csv --crops crops/ --model store/artifacts/finetuned/KEY\n\n"
    "csip embed /path/to/MARS --layout mars --config configs/mars.yaml --set embed.sampling=rrs"
)
def embed(
    frames: Annotated[Path, typer.Argument(help="A folder of crops (a folder a tracklet), or a video.")],
    out: Annotated[Path, typer.Option(help="Parquet file to write.")] = Path("embeddings.parquet"),
    model: ModelOption = None,
    config: ConfigOption = None,
    camid: CameraOption = None,
    boxes: BoxesOption = None,
    crops: CropsOption = None,
    layout: Annotated[
        str | None, typer.Option(help="The folder is a data set in this layout (mars, ...): embed its test tracklets.")
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Embed tracklets with a trained model: one vector each, for csip search, csip evaluate or anything else."""
    from flows.cli import console, told_plainly

    with told_plainly():
        from flows.embed_command import embed as embed_frames
        from flows.embed_command import load_model
        from flows.sources import Source

        folder, settings = _chosen(model, config, overrides)
        with console.status("loading the model"):
            ready = load_model(folder, settings.embed)
        embed_frames(ready, Source(frames, boxes, crops), layout, camid, out, console)


def _chosen(model: Path | None, config: Path | None, overrides: list[str] | None) -> tuple[Path, Any]:
    """The folder of the model that is named, and settings."""
    from flows.config import load_config, make_config
    from flows.export_command import newest_model

    if (model is None) == (config is None):
        raise SettingsError(
            "one model embeds, named by its folder or by a configuration",
            where="--model, --config",
            fix="give one of the two: --model FOLDER, or --config configs/demo.yaml for the newest of its store",
        )
    settings = load_config(config, overrides or ()) if config else make_config({"name": "embed"}, overrides or ())
    return model or newest_model(settings), settings
