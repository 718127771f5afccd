"""`csip evaluate`: embeddings of any model, scored as the pipeline scores its own."""

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from evaluation.evaluate import EvaluationSettings, Inputs, run
from evaluation.page.breakdown_rows import Oddity, oddities
from evaluation.page.numbers import by_name, percent
from evaluation.page.ranking_rows import interval_text, protocol
from evaluation.results.external import External, read_external
from flows.commands.given.outputs import check_folder
from flows.commands.given.store_choice import table
from flows.config import make_config
from flows.watching.bar import progress_bar
from storage.errors import SettingsError
from storage.progress import Progress
from storage.tables.parquet import write_table
from storage.wording import listed, many

LABEL = 11  # characters of the longest name of a fact, and its colon


def chosen_settings(given: Mapping[str, Any], overrides: Sequence[str]) -> EvaluationSettings:
    """How to evaluate, from settings of evaluation by their names and `evaluation.name=value` overrides.

    Raises:
        SettingsError: a setting is unknown or out of range, or one of another section, which would do nothing.
    """
    # a layout whose reader may know clothes: whether these rows do is checked with them
    values = {"name": "evaluate", "data": {"layout": "manifest"}, "evaluation": dict(given)}
    settings = make_config(values, overrides).evaluation
    others = [override for override in overrides if override.partition("=")[0].strip().split(".")[0] != "evaluation"]
    if others:
        raise SettingsError(
            "only settings of the section evaluation do anything here",
            where=", ".join(f"--set {override}" for override in others),
            fix="leave it out; `csip settings evaluation` lists those that there are",
        )
    return settings


def evaluate(
    embeddings: Sequence[Path], labels: Path | None, settings: EvaluationSettings, out: Path | None, console: Console
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Evaluate embeddings; keep metrics.json, cmc, queries and ranks in `out`, if it is named.

    Returns:
        What metrics.json holds, and what is odd in the input.

    Raises:
        DataError: as `read_external` and `evaluation.evaluate.run`.
        SettingsError: `out` cannot be written.
    """
    if out:
        check_folder(out)
    with console.status("reading"):
        external = read_external(embeddings, labels)
    with tempfile.TemporaryDirectory() as temporary, progress_bar(console, "queries") as progress:
        metrics = _measured(external, settings, Path(temporary), progress)
        if out:
            shutil.copytree(Path(temporary) / "metrics", out, dirs_exist_ok=True)
    return metrics, external.notes


def _measured(external: External, settings: EvaluationSettings, folder: Path, progress: Progress) -> dict[str, Any]:
    shard, made = folder / "embeddings.parquet", folder / "metrics"
    made.mkdir()
    write_table(external.table, shard)
    run(Inputs((shard,)), settings, made, progress)
    return json.loads((made / "metrics.json").read_text())


def tell(metrics: Mapping[str, Any], notes: Sequence[str], out: Path | None, console: Console) -> None:
    """Print what was measured, under which protocol, and everything odd."""
    console.print(metrics_table(metrics))
    facts = [*protocol(metrics), ("Vectors", many(metrics["dimensions"], "dimension"))]
    for name, text in facts:
        console.print(f"{name + ':':<{LABEL}} {escape(text)}", soft_wrap=True)
    for note in (*notes, *map(_said, oddities(metrics))):
        console.print(f"[yellow]note:[/] {escape(note)}", soft_wrap=True)
    if out:
        console.print(f"kept: {escape(str(out))}/", soft_wrap=True)


def metrics_table(metrics: Mapping[str, Any]) -> Table:
    """MAP, mINP and CMC in per cent, beside their intervals and what a random ranking would get."""
    intervals = metrics["intervals"]
    level = [f">{100 * intervals['level']:g} % interval"] if intervals else []
    shown, chance = table("", ">measured", *level, ">by chance"), by_name(metrics["chance"])
    for name, value in by_name(metrics).items():
        limits = [interval_text(metrics, name)] if intervals else []
        shown.add_row(name, f"{percent(value)} %", *limits, f"{percent(chance[name])} %")
    return shown


def _said(odd: Oddity) -> str:
    return f"{odd.says} {listed(odd.items, count=len(odd.items) + odd.more)}".rstrip()
