"""`csip plan`: what a run would do, and why."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from flows.commands.options.config import ConfigPath, Overrides, load
from flows.commands.options.console import command, console, print_json

COLOURS = {"kept": "green", "will run": "bold yellow", "may run": "yellow"}


@command("csip plan configs/mars.yaml --set finetune.epochs=60")
def plan(
    config: ConfigPath,
    overrides: Overrides = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a step.")] = False,
) -> None:
    """Say what a run would do, and why; runs nothing."""
    from flows.keys.reasons import as_groups
    from flows.planning.plan import plan as make_plan

    lines = make_plan(load(config, overrides))
    if as_json:
        print_json([vars(line) for line in lines])
        return
    shown = Table("stage", "steps", "", "why", box=None, pad_edge=False)
    for line, steps in as_groups(lines):
        shown.add_row(line.stage, steps, f"[{COLOURS[line.verdict]}]{line.verdict}[/]", escape(line.reason))
    console.print(shown)
