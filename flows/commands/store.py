"""`csip verify` and `csip gc`: what is told of a store's soundness, and of what it no longer needs."""

from collections import defaultdict
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from flows.commands.given.store_choice import (
    SHORT,
    ConfigArgument,
    StoreOption,
    amount,
    bar,
    moment,
    open_store,
    print_whole,
    table,
)
from storage.store.artifacts import Store
from storage.store.contents import Kind
from storage.store.garbage import Thing
from storage.store.lineage import label_of
from storage.store.sweep import Sweep
from storage.store.verify import Findings
from storage.store.verify import drop as drop_damaged
from storage.store.verify import verify as verify_store
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

app = typer.Typer(rich_markup_mode="rich")


@app.command(epilog="csip verify configs/mars.yaml\n\ncsip verify --store store --drop && csip run configs/mars.yaml")
def verify(
    config: ConfigArgument = None,
    store: StoreOption = None,
    drop: Annotated[
        bool, typer.Option("--drop", help="Take what is damaged out of the store; the next run makes just that again.")
    ] = False,
) -> None:
    """Read every byte of a store and name each damaged file; ends with status 1 if there is any."""
    from flows.commands.app import console, told_plainly

    with told_plainly():
        held = open_store(config, store)
        with bar(console, "reading") as progress:
            found = verify_store(held, progress)
        _tell_findings(console, found)
        if drop:
            _drop(console, held, found)
        elif found.damaged or found.records:
            told = "\n`csip verify --drop` takes what is damaged out; the next run makes just that again"
            console.print(told, soft_wrap=True)
    if found.damaged or found.records:
        raise typer.Exit(1)


@app.command(epilog="csip gc configs/mars.yaml\n\ncsip gc configs/mars.yaml --keep 1 --delete")
def gc(
    config: ConfigArgument = None,
    store: StoreOption = None,
    keep: Annotated[int, typer.Option(min=1, help="How many of the newest runs of each name stay, with all.")] = 3,
    delete: Annotated[bool, typer.Option("--delete", help="Really delete; without it, nothing is touched.")] = False,
) -> None:
    """Say what of a store no kept run needs, and with --delete, delete it."""
    from flows.commands.app import console, told_plainly

    with told_plainly():
        held = open_store(config, store)
        with console.status("looking through the store"):
            sweep = Sweep(held, keep)
        _tell_runs(console, sweep)
        _tell_goes(console, sweep)
        _tell_stays(console, sweep)
        if not delete:
            console.print("\nnothing was deleted; `csip gc --delete` does it" if sweep.decision.goes else "")
            return
        with bar(console, "deleting") as progress:
            gone = sweep.delete(progress)
        console.print(f"\ndeleted {many(len(gone), 'thing')}, {amount(sum(sweep.sizes[thing] for thing in gone))}")
        for thing in sorted(sweep.decision.goes.keys() - set(gone)):
            console.print(f"stayed after all, in use or made anew since: {thing.stage}/{thing.key}", soft_wrap=True)


def _tell_findings(console: Console, found: Findings) -> None:
    shown = table("stage", ">artifacts", ">files", ">read", "")
    stages = defaultdict(list)
    for checked in found.artifacts:
        stages[checked.stage].append(checked)
    for stage, all_of_it in stages.items():
        damaged = sum(bool(checked.problems) for checked in all_of_it)
        shown.add_row(
            stage,
            str(len(all_of_it)),
            str(sum(checked.files for checked in all_of_it)),
            amount(sum(checked.size for checked in all_of_it)),
            f"[bold red]{damaged} damaged[/]" if damaged else "[green]sound[/]",
        )
    print_whole(console, shown)
    for checked in found.damaged:
        console.print(f"\n[bold red]damaged:[/] {escape(checked.label)}  {checked.stage}/{checked.key}", soft_wrap=True)
        for file, problem in checked.problems:
            console.print(f"  {escape(file)} {escape(problem)}", soft_wrap=True)
    for name in found.records:
        console.print(f"\n[bold red]damaged:[/] the record of a run, runs/{escape(name)}", soft_wrap=True)
    for checked in found.artifacts:
        for file in checked.extra:
            console.print(f"does not belong to {checked.stage}/{checked.key}: {escape(file)}", soft_wrap=True)
    if found.leftovers:
        total = amount(sum(size for _, size in found.leftovers))
        told = f"\nleft by interrupted work, harmless ({total}); runs go on with it, or `csip gc` drops it:"
        console.print(told, soft_wrap=True)
        for path, size in found.leftovers:
            console.print(f"  {escape(path)}  {amount(size)}", soft_wrap=True)
    whole = len(found.artifacts) - len(found.damaged)
    console.print(f"\n{whole} of {many(len(found.artifacts), 'artifact')} are sound")


def _drop(console: Console, held: Store, found: Findings) -> None:
    gone, busy = drop_damaged(held, found)
    for checked in gone:
        console.print(f"taken out: {escape(checked.label)}  {checked.stage}/{checked.key}", soft_wrap=True)
    for checked in busy:
        console.print(f"left to the process that holds it: {checked.stage}/{checked.key}", soft_wrap=True)
    for name in found.records:
        console.print(f"taken out: runs/{escape(name)}", soft_wrap=True)


def _tell_runs(console: Console, sweep: Sweep) -> None:
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
    print_whole(console, shown)


def _tell_goes(console: Console, sweep: Sweep) -> None:
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
        total = amount(sum(sweep.sizes[thing] for thing in things))
        why = sweep.decision.goes[things[0]]
        shown.add_row(f"[bold]{escape(title.removeprefix(': '))}[/]", why, "", f"[bold]{total}[/]")
        for thing in things:
            name = (thing.stage, thing.key)
            manifest = sweep.held.manifests.get(name) if kind == Kind.ARTIFACT else None
            label = label_of(name, manifest) if kind == Kind.ARTIFACT else thing.stage
            made = manifest["made"]["at"].replace("T", " ")[:16] if manifest else ""
            shown.add_row(f"  {escape(label)}", escape(thing.key), made, amount(sweep.sizes[thing]))
    shown.add_row("[bold]in all[/]", "", "", f"[bold]{amount(sum(sweep.sizes[thing] for thing in goes))}[/]")
    console.print()
    print_whole(console, shown)


def _tell_stays(console: Console, sweep: Sweep) -> None:
    stays = defaultdict(list)
    for thing, why in sweep.decision.stays.items():
        if thing.kind != Kind.RUN:
            stays[(KINDS[thing.kind], why)].append(sweep.sizes[thing])
    if not stays:
        return
    shown = table("stays", ">number", ">size", "why")
    for (what, why), sizes in stays.items():
        shown.add_row(what, str(len(sizes)), amount(sum(sizes)), why)
    console.print()
    print_whole(console, shown)
