"""`csip runs`: past runs side by side."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from flows.commands.options.console import AsJson, command, console, print_json, say
from flows.commands.options.store import ConfigArgument, StoreOption, open_store
from flows.commands.options.tables import SHORT, duration, moment, print_whole, share, table
from flows.planning.history import differing, summary
from storage.store.runs import DONE, records

CHANCE = "chance"  # the same for all runs on the same data
COLOURS = {"completed": "green", "stopped": "green", "failed": "bold red", "died": "bold red", "running": "yellow"}
WIDEST = 28  # characters of a setting's value that stands in a column of its own


@command("csip runs configs/mars.yaml --last 5", "csip runs --store store --json")
def runs(
    config: ConfigArgument = None,
    store: StoreOption = None,
    last: Annotated[int, typer.Option(min=1, help="Only the newest so many.")] = 10,
    as_json: AsJson = False,
) -> None:
    """List the runs of a store, newest last, with their metrics and the settings in which they differ."""
    shown = records(open_store(config, store))[-last:]
    settings = differing([record["config"] for record in shown]) if shown else {}
    if as_json:
        print_json(
            [
                summary(record) | {"settings": {name: values[number] for name, values in settings.items()}}
                for number, record in enumerate(shown)
            ]
        )
        return
    if not shown:
        console.print("nothing has been run with this store")
        return
    print_whole(_runs_table(shown))
    for record in shown:
        if record.get("error"):
            first = record["error"].split("\n")[0]
            say(f"{record['run'][:SHORT]} {record['status']}: {escape(first)}")
    if settings:
        console.print("\n[bold]settings in which they differ[/]")
        for group in _groups(settings, len(shown)):
            block = table("setting", *(shown[number]["run"][:SHORT] for number in group))
            for name, values in settings.items():
                block.add_row(escape(name), *(escape(_value(values[number])) for number in group))
            print_whole(block)


def _runs_table(shown: Sequence[Mapping[str, Any]]) -> Table:
    models = dict.fromkeys(row["model"] for record in shown for row in record["metrics"] if row["model"] != CHANCE)
    # the names of models are long, and their numbers short
    headings = [model.replace(" ", "\n", 1) + "\nmAP  Rank-1" for model in models]
    listed = table("run", "name", "when", ">took", "status", ">built\nkept", *(f">{heading}" for heading in headings))
    for record in shown:
        about = summary(record)
        measured = {row["model"]: f"{share(row['mAP'])}  {share(row.get('Rank-1'))}" for row in record["metrics"]}
        listed.add_row(
            record["run"][:SHORT],
            escape(record["name"]),
            moment(about),
            duration(record["seconds"]) if record["seconds"] else "-",
            f"[{COLOURS[record['status']]}]{record['status']}[/]",
            f"{about['built']} / {about['kept']}" if record["status"] in DONE else "-",
            *(measured.get(model, "-") for model in models),
        )
    return listed


def _groups(settings: Mapping[str, Sequence[Any]], runs: int) -> list[list[int]]:
    """Numbers of runs, as many together as fit the terminal beside each other with the values of their settings."""
    room = console.width - max(map(len, settings)) - 2
    groups: list[list[int]] = [[]]
    taken = 0
    for number in range(runs):
        width = 2 + max(SHORT, *(len(_value(values[number])) for values in settings.values()))
        if groups[-1] and taken + width > room:
            groups.append([])
            taken = 0
        groups[-1].append(number)
        taken += width
    return groups


def _value(value: Any) -> str:
    text = "none" if value is None else str(value)
    # the end of a path tells more than its beginning
    return text if len(text) <= WIDEST else f"...{text[3 - WIDEST :]}"
