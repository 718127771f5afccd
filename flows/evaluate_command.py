"""`csip evaluate`: embeddings of any model, scored as the pipeline scores its own."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from evaluation.evaluate import EvaluationSettings, Inputs, run
from evaluation.external import read_external
from evaluation.external_rows import External
from flows.outputs import check_folder
from flows.progress_bar import progress_bar
from flows.store_choice import table
from storage.progress import Progress
from storage.tables import write_table
from storage.wording import many

SHOWN = 5


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
    console.print(*facts(metrics), sep="\n", soft_wrap=True)
    for note in (*notes, *oddities(metrics)):
        console.print(f"[yellow]note:[/] {escape(note)}", soft_wrap=True)
    if out:
        console.print(f"kept: {escape(str(out))}/", soft_wrap=True)


def metrics_table(metrics: Mapping[str, Any]) -> Table:
    """MAP, mINP and CMC in per cent, beside their intervals and what a random ranking would get."""
    intervals = metrics.get("intervals")
    level = [f">{100 * intervals['level']:.0f} % interval"] if intervals else []
    shown = table("", ">measured", *level, ">by chance")
    columns = [_values(metrics), *([_values(intervals)] if intervals else []), _values(metrics["chance"])]
    for name in columns[0]:
        shown.add_row(name, *(_per_cent(column.get(name)) for column in columns))
    return shown


def facts(metrics: Mapping[str, Any]) -> Iterator[str]:
    """What was measured, in lines."""
    protocol = metrics["protocol"]
    kept = "stay in the gallery" if protocol["gallery"] == "with_queries" else "are not in the gallery"
    yield f"queries:  {metrics['queries']:,}, {metrics['counted_queries']:,} with a match"
    yield f"gallery:  {metrics['gallery']:,}, {many(metrics['distractors'], 'distractor')}"
    yield f"vectors:  {many(metrics['dimensions'], 'dimension')}"
    yield f"protocol: {protocol['name']}; queries {kept}; left out: {protocol['left_out']}"
    yield f"distance: {protocol['distance']}; ties: {protocol['ties']}"
    for name in ("reranking", "expansion"):
        if protocol.get(name):
            yield f"{name}: " + ", ".join(f"{key} {value}" for key, value in protocol[name].items())


def oddities(metrics: Mapping[str, Any]) -> Iterator[str]:
    """What a reader of the metrics must know."""
    blank, ties, same = (metrics.get(name) or {} for name in ("without_embedding", "ties", "duplicates"))
    if metrics["queries_without_match"]:
        yield f"{_queries(metrics['queries_without_match'])} no match that counts: left out of all figures"
    if blank.get("count"):
        yield f"{many(blank['count'], 'embedding')} of zeros, as far from all others: {_named(blank['first'])}"
    if ties.get("queries"):
        yield (
            f"{_queries(ties['queries'])} wrong answers at exactly the distance of a match; with those behind, "
            f"mAP would be {_per_cent(ties['mAP_right_first'])}"
        )
    if same.get("count"):
        pairs = [" = ".join(pair) for pair in same["first"]]
        yield f"{many(same['count'], 'pair')} of tracklets with the same embedding: {_named(pairs)}"


def _values(measured: Mapping[str, Any]) -> dict[str, Any]:
    whole = {name: measured[name] for name in ("mAP", "mINP") if name in measured}
    return whole | {f"Rank-{rank}": value for rank, value in measured["cmc"].items()}


def _per_cent(value: float | Sequence[float] | None) -> str:
    if value is None:
        return ""
    if isinstance(value, float | int):
        return f"{100 * value:.1f} %"
    return " to ".join(f"{100 * end:.1f}" for end in value)


def _queries(count: int) -> str:
    return f"{count:,} {'query has' if count == 1 else 'queries have'}"


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
