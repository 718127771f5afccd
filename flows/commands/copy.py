"""`csip copy`: a store to another place."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

import storage.store.artifacts
from flows.commands.options.console import bar, command, console, say
from flows.commands.options.store import ConfigArgument, StoreOption, open_store
from flows.commands.options.tables import amount
from flows.settings_file import WORKSPACE, read_settings
from storage.errors import SettingsError
from storage.store.copy import copy_store
from storage.wording import many


@command("csip copy configs/mars.yaml --to s3://bucket/reid", "csip copy --store s3://bucket/reid --to /disk/store")
def copy(
    to: Annotated[str, typer.Option("--to", metavar="PATH", help="The other store, a path or an address.")],
    config: ConfigArgument = None,
    store: StoreOption = None,
) -> None:
    """Copy a store, with all that was made and the records of its runs; what is there already stays as it is."""
    source = open_store(config, store)
    workspace = Path((read_settings(config) if config else {}).get("workspace", WORKSPACE))
    target = storage.store.artifacts.open_store(to, workspace)
    if target.address.rstrip("/") == source.address.rstrip("/") or target.root.resolve() == source.root.resolve():
        raise SettingsError("this is the same store", where="--to", fix="name another path or address")
    with bar("copying") as progress:
        found = copy_store(source, target, progress)
    copied = f"{many(found.copied, 'artifact')}, {amount(found.bytes)}, and {many(found.runs, 'record')} of runs"
    say(f"copied {copied}; already there: {many(found.there, 'artifact')}")
    for name in found.damaged:
        say(f"[bold red]damaged, not copied:[/] {escape(name)}")
    if found.damaged:
        console.print("the next run on the other store makes what is missing; `csip verify` says what is damaged")
        raise typer.Exit(1)
    say(f"go on with it by `--set store={escape(to)}`, or `store:` in the configuration")
