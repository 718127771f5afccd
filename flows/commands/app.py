"""The `csip` command: all commands put together, in the order in which `csip --help` lists them."""

import gc as garbage_collector
import os
import sys

import typer

from flows.commands.compare import compare
from flows.commands.copy import copy
from flows.commands.data import check
from flows.commands.deploy import deploy
from flows.commands.diff import diff
from flows.commands.doctor import doctor
from flows.commands.embed import embed
from flows.commands.evaluate import evaluate
from flows.commands.experiment import experiment
from flows.commands.export import export
from flows.commands.extract import extract
from flows.commands.gc import gc
from flows.commands.plan import plan
from flows.commands.recipe import recipe
from flows.commands.run import run
from flows.commands.runs import runs
from flows.commands.search import search
from flows.commands.settings import settings
from flows.commands.show.artifact import artifact
from flows.commands.show.skeletons import skeletons
from flows.commands.ui import ui
from flows.commands.verify import verify
from flows.commands.weights import fetch, list_weights

# threads that wait without spinning: torch is up to ten times faster so on a shared machine; read at its import
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

COMMANDS = (
    *(run, plan, experiment, settings, ui, extract, export, evaluate, embed, search),
    *(runs, diff, compare, verify, gc, copy, deploy, recipe, doctor),
)
GROUPS = {
    "weights": ("See and fetch the weights that models need.", (list_weights, fetch)),
    "data": ("Look at raw data sets.", (check,)),
    "show": ("Look at what was made.", (artifact, skeletons)),
}

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="From the raw frames of a video ReID data set to a trained, evaluated model; runs again only what changed.",
)
for command in COMMANDS:
    app.add_typer(command)
for name, (about, commands) in GROUPS.items():
    group = typer.Typer(no_args_is_help=True, help=about)
    for command in commands:
        group.add_typer(command)
    app.add_typer(group, name=name)


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
