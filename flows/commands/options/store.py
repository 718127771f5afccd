"""Which store a command looks at."""

from pathlib import Path
from typing import Annotated

import typer

import storage.store.artifacts
from flows.settings_file import WORKSPACE, read_settings
from storage.errors import SettingsError, StoreError
from storage.store.artifacts import Store

ConfigArgument = Annotated[
    Path | None,
    typer.Argument(metavar="CONFIG", help="A YAML file, whose store is looked at.", show_default=False),
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="A YAML file, whose store is looked at.", show_default=False)
]
StoreOption = Annotated[
    str | None,
    typer.Option("--store", metavar="PATH", help="The store to look at, a path or an address; store/ by default."),
]


def open_store(config: Path | None, store: str | None) -> Store:
    """The store that a command line names, which must be there: looking makes none.

    Raises:
        SettingsError: it is named twice, or the configuration cannot be read.
        StoreError: there is none.
    """
    if config and store:
        raise SettingsError("one store is looked at", where="CONFIG, --store", fix="give one of the two")
    # typed settings would import every stage; two names are all that is needed
    settings = read_settings(config) if config else {}
    address = str(store or settings.get("store", "store"))
    held = storage.store.artifacts.open_store(address, Path(settings.get("workspace", WORKSPACE)))
    if not held.place.exists():
        raise StoreError(
            "there is no store here",
            where=held.address,
            fix="name a configuration or --store PATH; `csip run CONFIG` makes it",
        )
    return held
