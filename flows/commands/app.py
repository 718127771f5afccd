"""The `csip` command: all commands put together, in the order in which `csip --help` lists them."""

import gc as garbage_collector
import os
import sys

import typer

from flows.commands import (
    compare,
    copy,
    data,
    deploy,
    diff,
    doctor,
    embed,
    evaluate,
    export,
    extract,
    gc,
    plan,
    recipe,
    run,
    runs,
    search,
    settings,
    ui,
    verify,
    weights,
)
from flows.commands.show import artifact, skeletons

# threads that wait without spinning: torch is up to ten times faster so on a shared machine; read at its import
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="From the raw frames of a video ReID data set to a trained, evaluated model; runs again only what changed.",
)
show = typer.Typer(no_args_is_help=True, help="Look at what was made.")

for command in (run, plan, settings, ui, extract, export, evaluate, embed, search, runs, diff, compare, verify, gc):
    app.add_typer(command.app)
for command in (copy, deploy, recipe, doctor):
    app.add_typer(command.app)
for command in (artifact, skeletons):
    show.add_typer(command.app)
app.add_typer(weights.app, name="weights")
app.add_typer(data.app, name="data")
app.add_typer(show, name="show")


def main() -> None:
    """Entry point of `csip` and of `python -m flows.commands.app`."""
    try:
        app()
    finally:
        if "torch" not in sys.modules:  # some of its libraries complain of what is not collected
            # the last collection would look at every object once more, for half a second, and free nothing
            garbage_collector.freeze()


if __name__ == "__main__":
    main()
