"""`csip run`: the rebuild with its server, its bars, and what it came to."""

from typing import Annotated

import typer

from flows.commands.options.config import ConfigPath, Overrides, load
from flows.commands.options.console import command, console
from flows.commands.options.flow_runs import LogOption, flow_runs
from flows.commands.options.tables import print_whole, share, table


@command(
    "csip run configs/demo.yaml",
    "csip run configs/mars.yaml --set data.root=/data/MARS --to skeletons",
    "csip run configs/mars.yaml --set evaluation.gallery=without_queries",
)
def run(
    config: ConfigPath,
    overrides: Overrides = None,
    to: Annotated[str | None, typer.Option(help="Stop after this stage.")] = None,
    begin: Annotated[str | None, typer.Option("--from", help="Build this stage and all after it anew.")] = None,
    force: Annotated[list[str] | None, typer.Option(help="Build this stage anew.")] = None,
    log: LogOption = "",
) -> None:
    """Bring a data set's model and report up to date."""
    settings = load(config, overrides)
    with flow_runs(settings, log) as api:
        from flows.rebuild import rebuild
        from flows.stages import STAGES
        from flows.watching.server import ui_url

        result = rebuild(settings, until=to or STAGES[-1], force=tuple(force or ()), begin=begin)
    total = len(result.artifacts)
    console.print(
        f"\n{len(result.built)} of {total} steps ran, {total - len(result.built)} kept, in {result.seconds:.1f} s"
    )
    if metrics := result.metrics:
        rows = ([value if isinstance(value, str) else share(value) for value in row.values()] for row in metrics)
        print_whole(table(*metrics[0], rows=rows))
    if result.report:
        console.print(f"report: {result.report}")
    console.print(f"run:    {ui_url(api, result.flow_run_id)}")
