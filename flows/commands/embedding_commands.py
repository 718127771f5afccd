"""`csip evaluate`, `csip embed` and `csip search`: embeddings without a run. Thin: parse, call, print."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from flows.commands.given.store_choice import AsJson
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
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Override a setting of evaluation, e.g. evaluation.rerank={} (csip settings evaluation lists them).",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score embeddings of any model as the pipeline scores its own: mAP, CMC, chance, and what is odd."""
    from flows.commands.app import console, told_plainly

    with told_plainly():
        from flows.commands.evaluate import chosen_settings, tell
        from flows.commands.evaluate import evaluate as evaluate_files

        shortcuts = {"gallery": gallery, "protocol": protocol}
        given = {name: value for name, value in shortcuts.items() if value is not None}
        settings = chosen_settings(given, overrides or ())
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
    from flows.commands.app import console, told_plainly

    with told_plainly():
        from flows.commands.embed import embed as embed_frames
        from flows.commands.embed import load_model
        from flows.commands.given.sources import Source

        folder, settings, _ = _chosen(model, config, overrides)
        with console.status("loading the model"):
            ready = load_model(folder, settings.embed)
        embed_frames(ready, Source(frames, boxes, crops), layout, camid, out, console)


@app.command(
    epilog="csip search walk/ --config configs/mars.yaml --camid 1 --picture found.jpg\n\n"
    "csip search a/ b/ --model store/artifacts/finetuned/KEY --gallery street.parquet --frames crops/\n\n"
    "csip search today.mp4 --boxes boxes.csv --config configs/mars.yaml --top 20 --out found.csv"
)
def search(
    queries: Annotated[
        list[Path],
        typer.Argument(
            metavar="QUERY...",
            help="Folders of crops (of one tracklet, or a folder a tracklet), or a video.",
            show_default=False,
        ),
    ],
    gallery: Annotated[
        Path | None,
        typer.Option(help="What csip embed wrote; the test tracklets that the newest run embedded without it."),
    ] = None,
    frames: Annotated[Path | None, typer.Option(help="Folder of the frames of --gallery, for pictures.")] = None,
    model: ModelOption = None,
    config: ConfigOption = None,
    top: Annotated[int, typer.Option(min=1, help="Answers to a query.")] = 10,
    camid: CameraOption = None,
    other_cameras: Annotated[
        bool, typer.Option("--other-cameras", help="Leave out what camera --camid saw itself.")
    ] = False,
    pid: Annotated[
        int | None, typer.Option(min=1, help="Identity of the queries, to see right and wrong answers in pictures.")
    ] = None,
    boxes: BoxesOption = None,
    picture: Annotated[
        Path | None, typer.Option(help="Picture to write (.jpg, .png); of several queries, each with its name.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Table to write: .csv or .parquet.")] = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Find people of new frames in a gallery of embeddings: the nearest tracklets, as a table and as pictures."""
    from flows.commands.app import console, told_plainly

    with told_plainly():
        from flows.commands.embed import load_model
        from flows.commands.given.gallery import choose_gallery
        from flows.commands.search import Asked, check_asked, search_and_tell

        asked = Asked(tuple(queries), boxes, top, camid, other_cameras, pid, picture, out)
        folder, settings, artifact = _chosen(model, config, overrides)
        found_in = choose_gallery(gallery, frames, artifact)
        check_asked(asked, found_in)
        with console.status("loading the model"):
            ready = load_model(folder, settings.embed)
        if as_json:
            found = search_and_tell(ready, found_in, asked, Console(quiet=True))
            console.print_json(json.dumps(found.to_pylist()))
        else:
            search_and_tell(ready, found_in, asked, console)


def _chosen(model: Path | None, config: Path | None, overrides: list[str] | None) -> tuple[Path, Any, Any]:
    """The folder of the model that is named, settings, and the artifact of a store that the model is, or None."""
    from flows.commands.export import newest_model
    from flows.config import load_config, make_config

    if (model is None) == (config is None):
        raise SettingsError(
            "one model embeds, named by its folder or by a configuration",
            where="--model, --config",
            fix="give one of the two: --model FOLDER, or --config configs/demo.yaml for the newest of its store",
        )
    if model:
        return model, make_config({"name": "embed"}, overrides or ()), None
    settings = load_config(str(config), overrides or ())
    artifact = newest_model(settings)
    return artifact.path, settings, artifact
