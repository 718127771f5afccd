"""`csip gc`: what a store no longer needs."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Annotated

import typer
from rich.markup import escape

from flows.commands.options.console import bar, command, console, say
from flows.commands.options.store import ConfigArgument, StoreOption, open_store
from flows.commands.options.tables import SHORT, amount, moment, print_below, print_whole, table
from storage.store.contents import Kind
from storage.store.garbage import Thing
from storage.store.lineage import label_of
from storage.store.sweep import Sweep
from storage.wording import many

KINDS = {
    Kind.ARTIFACT: "artifacts",
    Kind.STAGING: "unfinished work",
    Kind.TRAINING: "states of trainings",
    Kind.SENT: "states of trainings at the address",
    Kind.DISCARDED: "deletions that were interrupted",
    Kind.HALF: "uploads and deletions that were interrupted",
    Kind.COPY: "copies on this machine",
    Kind.TEMPORARY: "files that were being written",
    Kind.RUN: "records of runs",
}


@command("csip gc configs/mars.yaml", "csip gc configs/mars.yaml --keep 1 --delete")
def gc(
    config: ConfigArgument = None,
    store: StoreOption = None,
    keep: Annotated[int, typer.Option(min=1, help="How many of the newest runs of each name stay, with all.")] = 3,
    delete: Annotated[bool, typer.Option("--delete", help="Really delete; without it, nothing is touched.")] = False,
) -> None:
    """Say what of a store no kept run needs, and with --delete, delete it."""
    held = open_store(config, store)
    with console.status("looking through the store"):
        sweep = Sweep(held, keep)
    _tell_runs(sweep)
    _tell_goes(sweep)
    _tell_stays(sweep)
    if not delete:
        console.print("\nnothing was deleted; `csip gc --delete` does it" if sweep.decision.goes else "")
        return
    with bar("deleting") as progress:
        gone = sweep.delete(progress)
    console.print(f"\ndeleted {many(len(gone), 'thing')}, {_size(sweep, gone)}")
    for thing in sorted(sweep.decision.goes.keys() - set(gone)):
        say(f"stayed after all, in use or made anew since: {thing.stage}/{thing.key}")


def _tell_runs(sweep: Sweep) -> None:
    decision = sweep.decision
    shown = table("run", "name", "when", "status", "", "why")
    for record in sweep.held.records:
        thing = Thing(Kind.RUN, record["name"], record["run"])
        stays = thing in decision.stays
        shown.add_row(
            record["run"][:SHORT],
            escape(record["name"]),
            moment(record),
            record["status"],
            "[green]stays[/]" if stays else "[yellow]goes[/]",
            escape(decision.stays.get(thing) or decision.goes[thing]),
        )
    print_whole(shown)


def _tell_goes(sweep: Sweep) -> None:
    goes = [thing for thing in sorted(sweep.decision.goes) if thing.kind != Kind.RUN]
    if not goes:
        console.print("\nnothing else goes")
        return
    shown = table("goes", "key", "made", ">size")
    groups: dict[tuple[Kind, str], list[Thing]] = defaultdict(list)
    for thing in goes:
        groups[(thing.kind, thing.stage)].append(thing)
    for (kind, stage), things in groups.items():
        title = f"{stage}: {many(len(things), 'artifact')}" if kind == Kind.ARTIFACT else f"{stage}: {KINDS[kind]}"
        why = sweep.decision.goes[things[0]]
        shown.add_row(f"[bold]{escape(title.removeprefix(': '))}[/]", why, "", f"[bold]{_size(sweep, things)}[/]")
        for thing in things:
            name = (thing.stage, thing.key)
            manifest = sweep.held.manifests.get(name) if kind == Kind.ARTIFACT else None
            label = label_of(name, manifest) if kind == Kind.ARTIFACT else thing.stage
            made = manifest["made"]["at"].replace("T", " ")[:16] if manifest else ""
            shown.add_row(f"  {escape(label)}", escape(thing.key), made, _size(sweep, [thing]))
    shown.add_row("[bold]in all[/]", "", "", f"[bold]{_size(sweep, goes)}[/]")
    print_below(shown)


def _tell_stays(sweep: Sweep) -> None:
    stays = defaultdict(list)
    for thing, why in sweep.decision.stays.items():
        if thing.kind != Kind.RUN:
            stays[(KINDS[thing.kind], why)].append(sweep.sizes[thing])
    rows = [(what, str(len(sizes)), amount(sum(sizes)), why) for (what, why), sizes in stays.items()]
    print_below(table("stays", ">number", ">size", "why", rows=rows))


def _size(sweep: Sweep, things: Iterable[Thing]) -> str:
    return amount(sum(sweep.sizes[thing] for thing in things))
