"""`csip runs` and `csip diff`: past runs side by side, and two of them in detail."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flows.commands.given.store_choice import (
    SHORT,
    AsJson,
    ConfigArgument,
    ConfigOption,
    StoreOption,
    duration,
    moment,
    open_store,
    print_whole,
    table,
)
from flows.planning.history import (
    as_groups,
    as_json,
    compared,
    differing,
    find_run,
    metric_differences,
    summary,
)
from storage.store.runs import DONE, records

CHANCE = "chance"  # the same for all runs on the same data
COLOURS = {
    "the same": "green",
    "same content": "green",
    "other content": "bold yellow",
    "only before": "yellow",
    "only now": "yellow",
}
STATUS_COLOURS = {
    "completed": "green",
    "stopped": "green",
    "failed": "bold red",
    "died": "bold red",
    "running": "yellow",
}
WIDEST = 28  # characters of a setting's value that stands in a column of its own

app = typer.Typer(rich_markup_mode="rich")
RunName = typer.Argument(metavar="RUN", help="A run's id or its beginning, 'last' or 'previous'.")


@app.command(epilog="csip runs configs/mars.yaml --last 5\n\ncsip runs --store store --json")
def runs(
    config: ConfigArgument = None,
    store: StoreOption = None,
    last: Annotated[int, typer.Option(min=1, help="Only the newest so many.")] = 10,
    as_json: AsJson = False,
) -> None:
    """List the runs of a store, newest last, with their metrics and the settings in which they differ."""
    from flows.commands.app import console, told_plainly

    with told_plainly():
        shown = records(open_store(config, store))[-last:]
        settings = differing([record["config"] for record in shown]) if shown else {}
        if as_json:
            rows = [
                summary(record) | {"settings": {name: values[number] for name, values in settings.items()}}
                for number, record in enumerate(shown)
            ]
            console.print_json(json.dumps(rows))
            return
        if not shown:
            console.print("nothing has been run with this store")
            return
        print_whole(console, _runs_table(shown))
        for record in shown:
            if record.get("error"):
                first = record["error"].split("\n")[0]
                console.print(f"{record['run'][:SHORT]} {record['status']}: {escape(first)}", soft_wrap=True)
        if settings:
            console.print("\n[bold]settings in which they differ[/]")
        for block in _blocks(console, settings, shown):
            print_whole(console, block)


@app.command(epilog="csip diff previous last --config configs/mars.yaml\n\ncsip diff 3f2a 91c0 --store store")
def diff(
    old: Annotated[str, RunName],
    new: Annotated[str, RunName],
    config: ConfigOption = None,
    store: StoreOption = None,
    json_wanted: AsJson = False,
) -> None:
    """Say what differs between two runs: settings, artifacts and why, metrics."""
    from flows.commands.app import console, told_plainly

    with told_plainly():
        held = open_store(config, store)
        known = records(held)
        before, now = find_run(known, old), find_run(known, new)
        if json_wanted:
            console.print_json(json.dumps(as_json(held, before, now)))
            return
        for word, record in (("before", before), ("now", now)):
            told = f"{record['run'][:SHORT]}  {record['name']}, {moment(record)}, {record['status']}"
            console.print(f"{word:7} {escape(told)}", soft_wrap=True)
        _tell_settings(console, differing([before["config"], now["config"]]))
        steps = compared(held, before, now)
        shown = table("stage", "steps", "", "why")
        for step, labels in as_groups(steps):
            part = labels[0].removeprefix(step.stage).strip()
            shown.add_row(
                step.stage,
                escape(part) if len(labels) == 1 else f"{len(labels)} parts",
                f"[{COLOURS[step.verdict]}]{step.verdict}[/]",
                escape(step.reason),
            )
        if steps:
            console.print()
            print_whole(console, shown)
        _tell_metrics(console, metric_differences(before, now))


def _runs_table(shown: Sequence[Mapping[str, Any]]) -> Table:
    models = list(
        dict.fromkeys(row["model"] for record in shown for row in record["metrics"] if row["model"] != CHANCE)
    )
    # the names of models are long, and their numbers short
    headings = [model.replace(" ", "\n", 1) + "\nmAP  Rank-1" for model in models]
    listed = table("run", "name", "when", ">took", "status", ">built\nkept", *(f">{heading}" for heading in headings))
    for record in shown:
        about = summary(record)
        rows = {row["model"]: row for row in record["metrics"]}
        steps = f"{about['built']} / {about['kept']}" if record["status"] in DONE else "-"
        listed.add_row(
            record["run"][:SHORT],
            escape(record["name"]),
            moment(about),
            duration(record["seconds"]) if record["seconds"] else "-",
            f"[{STATUS_COLOURS[record['status']]}]{record['status']}[/]",
            steps,
            *(
                f"{_percent(rows[model]['mAP'])}  {_percent(rows[model].get('Rank-1'))}" if model in rows else "-"
                for model in models
            ),
        )
    return listed


def _blocks(console: Console, settings: Mapping[str, Sequence[Any]], shown: Sequence[Mapping[str, Any]]) -> list[Table]:
    """Settings by runs, as many runs beside each other as fit the terminal."""
    if not settings:
        return []
    room = console.width - max(map(len, settings)) - 2
    widths = [
        2 + max(SHORT, *(len(_value(values[number])) for values in settings.values())) for number in range(len(shown))
    ]
    groups: list[list[int]] = [[]]
    for number, width in enumerate(widths):
        if groups[-1] and sum(widths[n] for n in groups[-1]) + width > room:
            groups.append([])
        groups[-1].append(number)
    blocks = []
    for group in groups:
        block = table("setting", *(shown[number]["run"][:SHORT] for number in group))
        for name, values in settings.items():
            block.add_row(escape(name), *(escape(_value(values[number])) for number in group))
        blocks.append(block)
    return blocks


def _value(value: Any) -> str:
    text = "none" if value is None else str(value)
    # the end of a path tells more than its beginning
    return text if len(text) <= WIDEST else f"...{text[3 - WIDEST :]}"


def _tell_settings(console: Console, settings: Mapping[str, Sequence[Any]]) -> None:
    if not settings:
        console.print("\nthe settings are the same")
        return
    shown = table("setting", "before", "", "now")
    for name, (before, now) in settings.items():
        shown.add_row(escape(name), escape(str(before)), "->", escape(str(now)))
    console.print()
    print_whole(console, shown)


def _tell_metrics(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    shown = table("model", "metric", ">before", ">now", ">difference")
    for row in rows:
        change = row["difference"]
        shown.add_row(
            escape(row["model"]),
            row["metric"],
            _percent(row["before"]),
            _percent(row["now"]),
            "" if change is None else f"{100 * change:+.1f}" if round(change, 4) else "0.0",
        )
    console.print()
    print_whole(console, shown)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
