"""`csip verify`: whether a store is sound."""

from collections import defaultdict
from typing import Annotated

import typer
from rich.markup import escape

from flows.commands.options.console import bar, command, console, say
from flows.commands.options.store import ConfigArgument, StoreOption, open_store
from flows.commands.options.tables import amount, print_whole, table
from storage.store.artifacts import Store
from storage.store.verify import Findings
from storage.store.verify import drop as drop_damaged
from storage.store.verify import verify as verify_store
from storage.wording import many


@command("csip verify configs/mars.yaml", "csip verify --store store --drop && csip run configs/mars.yaml")
def verify(
    config: ConfigArgument = None,
    store: StoreOption = None,
    drop: Annotated[
        bool, typer.Option("--drop", help="Take what is damaged out of the store; the next run makes just that again.")
    ] = False,
) -> None:
    """Read every byte of a store and name each damaged file; ends with status 1 if there is any."""
    held = open_store(config, store)
    with bar("reading") as progress:
        found = verify_store(held, progress)
    _tell(found)
    if not found.damaged and not found.records:
        return
    if drop:
        _drop(held, found)
    else:
        say("\n`csip verify --drop` takes what is damaged out; the next run makes just that again")
    raise typer.Exit(1)


def _tell(found: Findings) -> None:
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
    print_whole(shown)
    for checked in found.damaged:
        say(f"\n[bold red]damaged:[/] {escape(checked.label)}  {checked.stage}/{checked.key}")
        say(*(f"  {escape(file)} {escape(problem)}" for file, problem in checked.problems))
    for name in found.records:
        say(f"\n[bold red]damaged:[/] the record of a run, runs/{escape(name)}")
    for checked in found.artifacts:
        for file in checked.extra:
            say(f"does not belong to {checked.stage}/{checked.key}: {escape(file)}")
    if found.leftovers:
        total = amount(sum(size for _, size in found.leftovers))
        say(
            f"\nleft by interrupted work, harmless ({total}); runs go on with it, or `csip gc` drops it:",
            *(f"  {escape(path)}  {amount(size)}" for path, size in found.leftovers),
        )
    whole = len(found.artifacts) - len(found.damaged)
    console.print(f"\n{whole} of {many(len(found.artifacts), 'artifact')} are sound")


def _drop(held: Store, found: Findings) -> None:
    gone, busy = drop_damaged(held, found)
    for checked in gone:
        say(f"taken out: {escape(checked.label)}  {checked.stage}/{checked.key}")
    for checked in busy:
        say(f"left to the process that holds it: {checked.stage}/{checked.key}")
    for name in found.records:
        say(f"taken out: runs/{escape(name)}")
