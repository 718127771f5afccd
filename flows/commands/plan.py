"""`csip plan`: what a run would do, and why."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from flows.commands.options.config import ConfigPath, Overrides, load
from flows.commands.options.console import command, console, print_json
from flows.commands.options.tables import print_whole, table

COLOURS = {"kept": "green", "will run": "bold yellow", "may run": "yellow"}


@command("csip plan configs/mars.yaml --set finetune.epochs=60", "csip plan configs/experiments/parts.yaml")
def plan(
    config: ConfigPath,
    overrides: Overrides = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a step.")] = False,
) -> None:
    """Say what a run, or an experiment, would do, and why; runs nothing."""
    from flows.experiments.experiment import is_experiment
    from flows.keys.reasons import as_groups
    from flows.planning.plan import plan as make_plan

    if is_experiment(config):
        _of_experiment(config, overrides, as_json)
        return
    lines = make_plan(load(config, overrides))
    if as_json:
        print_json([vars(line) for line in lines])
        return
    shown = Table("stage", "steps", "", "why", box=None, pad_edge=False)
    for line, steps in as_groups(lines):
        shown.add_row(line.stage, steps, f"[{COLOURS[line.verdict]}]{line.verdict}[/]", escape(line.reason))
    console.print(shown)


def _of_experiment(file: Path, overrides: list[str] | None, as_json: bool) -> None:
    """Of each arm and seed, how many steps are kept, will or may run; what arms share is made by the first of them."""
    from flows.experiments.experiment import read_experiment
    from flows.experiments.trials import UNTIL
    from flows.planning.plan import plan as make_plan

    _, trials = read_experiment(file, overrides or ())
    rows = []
    for trial in trials:
        with console.status(escape(trial.label)):
            verdicts = Counter(line.verdict for line in make_plan(trial.config, until=UNTIL))
        steps = {verdict: verdicts[verdict] for verdict in COLOURS}
        rows.append({"arm": trial.arm, "seed": trial.seed, "gallery": trial.gallery, **steps})
    if as_json:
        print_json(rows)
        return
    shown = table("arm", ">seed", "gallery", *(f">{verdict}" for verdict in COLOURS))
    for row in rows:
        shown.add_row(escape(str(row["arm"])), *(str(row[name]) for name in ("seed", "gallery", *COLOURS)))
    print_whole(shown)
