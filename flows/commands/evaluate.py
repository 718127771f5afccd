"""`csip evaluate`: embeddings of any model, scored as the pipeline scores its own."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from evaluation.evaluate import EvaluationSettings, Inputs, run
from evaluation.page import ranking_rows
from evaluation.page.breakdown_rows import oddities
from evaluation.page.numbers import by_name, percent
from evaluation.results.external import read_external
from flows.commands.options.config import set_option
from flows.commands.options.console import AsJson, bar, command, console, note, print_json, say
from flows.commands.options.outputs import check_folder
from flows.commands.options.tables import table
from storage.errors import SettingsError
from storage.tables.parquet import write_table
from storage.wording import listed, many

LABEL = 11  # characters of the longest name of a fact, and its colon


@command(
    "csip evaluate embeddings.parquet",
    "csip evaluate vectors.npy --labels labels.csv --gallery without_queries --out metrics/",
    "csip evaluate query.parquet gallery.parquet --set evaluation.ranks='[1, 5, 10]' --json",
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
        set_option(
            help="Override a setting of evaluation, e.g. evaluation.rerank={} (csip settings evaluation lists them)."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score embeddings of any model as the pipeline scores its own: mAP, CMC, chance, and what is odd."""
    settings = _settings({"gallery": gallery, "protocol": protocol}, overrides or ())
    if out:
        check_folder(out)
    with console.status("reading"):
        external = read_external(embeddings, labels)
    with TemporaryDirectory() as temporary, bar("queries") as progress:
        shard, made = Path(temporary, "embeddings.parquet"), Path(temporary, "metrics")
        made.mkdir()
        write_table(external.table, shard)
        run(Inputs((shard,)), settings, made, progress)
        metrics = json.loads((made / "metrics.json").read_text())
        if out:
            shutil.copytree(made, out, dirs_exist_ok=True)
    if as_json:
        print_json(metrics | {"notes": list(external.notes)})
    else:
        tell(metrics, external.notes, out)


def _settings(given: Mapping[str, str | None], overrides: Sequence[str]) -> EvaluationSettings:
    """How to evaluate, from settings of evaluation by their names and `evaluation.name=value` overrides alone."""
    from flows.config import make_config

    evaluation = {name: value for name, value in given.items() if value is not None}
    # a layout whose reader may know clothes: whether these rows do is checked with them
    values = {"name": "evaluate", "data": {"layout": "manifest"}, "evaluation": evaluation}
    settings = make_config(values, overrides).evaluation
    others = [override for override in overrides if override.partition("=")[0].strip().split(".")[0] != "evaluation"]
    if others:
        raise SettingsError(
            "only settings of the section evaluation do anything here",
            where=", ".join(f"--set {override}" for override in others),
            fix="leave it out; `csip settings evaluation` lists those that there are",
        )
    return settings


def tell(metrics: Mapping[str, Any], notes: Sequence[str], out: Path | None) -> None:
    """Print what was measured, under which protocol, and everything odd."""
    console.print(_metrics_table(metrics))
    for name, text in [*ranking_rows.protocol(metrics), ("Vectors", many(metrics["dimensions"], "dimension"))]:
        say(f"{name + ':':<{LABEL}} {escape(text)}")
    odd = (f"{one.says} {listed(one.items, count=len(one.items) + one.more)}".rstrip() for one in oddities(metrics))
    note(*notes, *odd)
    if out:
        say(f"kept: {escape(str(out))}/")


def _metrics_table(metrics: Mapping[str, Any]) -> Table:
    """MAP, mINP and CMC in per cent, beside their intervals and what a random ranking would get."""
    intervals = metrics["intervals"]
    level = [f">{100 * intervals['level']:g} % interval"] if intervals else []
    shown, chance = table("", ">measured", *level, ">by chance"), by_name(metrics["chance"])
    for name, value in by_name(metrics).items():
        limits = [ranking_rows.interval_text(metrics, name)] if intervals else []
        shown.add_row(name, f"{percent(value)} %", *limits, f"{percent(chance[name])} %")
    return shown
