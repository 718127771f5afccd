"""`csip diff`: two runs in detail."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.markup import escape

from flows.commands.options.console import AsJson, command, console, print_json, say
from flows.commands.options.store import ConfigOption, StoreOption, open_store
from flows.commands.options.tables import SHORT, moment, print_below, share, table
from flows.keys.reasons import as_groups
from flows.planning.history import as_json, compared, differing, find_run, metric_differences
from storage.store.runs import records

COLOURS = {
    "the same": "green",
    "same content": "green",
    "other content": "bold yellow",
    "only before": "yellow",
    "only now": "yellow",
}

RunName = typer.Argument(metavar="RUN", help="A run's id or its beginning, 'last' or 'previous'.")


@command("csip diff previous last --config configs/mars.yaml", "csip diff 3f2a 91c0 --store store")
def diff(
    old: Annotated[str, RunName],
    new: Annotated[str, RunName],
    config: ConfigOption = None,
    store: StoreOption = None,
    json_wanted: AsJson = False,
) -> None:
    """Say what differs between two runs: settings, artifacts and why, metrics."""
    held = open_store(config, store)
    known = records(held)
    before, now = find_run(known, old), find_run(known, new)
    if json_wanted:
        print_json(as_json(held, before, now))
        return
    for word, record in (("before", before), ("now", now)):
        about = f"{record['run'][:SHORT]}  {record['name']}, {moment(record)}, {record['status']}"
        say(f"{word:7} {escape(about)}")
    _tell_settings(differing([before["config"], now["config"]]))
    rows = [
        (step.stage, escape(steps), f"[{COLOURS[step.verdict]}]{step.verdict}[/]", escape(step.reason))
        for step, steps in as_groups(compared(held, before, now))
    ]
    print_below(table("stage", "steps", "", "why", rows=rows))
    _tell_metrics(metric_differences(before, now))


def _tell_settings(settings: Mapping[str, Sequence[Any]]) -> None:
    if not settings:
        console.print("\nthe settings are the same")
    rows = [(escape(name), escape(str(before)), "->", escape(str(now))) for name, (before, now) in settings.items()]
    print_below(table("setting", "before", "", "now", rows=rows))


def _tell_metrics(rows: Sequence[Mapping[str, Any]]) -> None:
    shown = table("model", "metric", ">before", ">now", ">difference")
    for row in rows:
        change = row["difference"]
        said = "" if change is None else f"{100 * change:+.1f}" if round(change, 4) else "0.0"
        shown.add_row(escape(row["model"]), row["metric"], share(row["before"]), share(row["now"]), said)
    print_below(shown)
