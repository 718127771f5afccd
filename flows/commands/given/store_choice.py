"""Which store a command looks at, and how it prints what it found: shared by all that look into a store."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.segment import Segments
from rich.table import Table

import storage.store.artifacts
from flows.settings_file import WORKSPACE, read_settings
from storage.errors import SettingsError, StoreError
from storage.progress import Progress
from storage.store.artifacts import Store

SHORT = 8  # characters of a run's id: enough to tell runs apart, and what `csip runs` prints
DIGITS = 12  # of a digest, where it only helps the eye

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
AsJson = Annotated[bool, typer.Option("--json", help="The same as JSON.")]


def open_store(config: Path | None, store: str | None) -> Store:
    """The store that a command line names, which must be there: looking makes none.

    Raises:
        SettingsError: it is named twice, or the configuration cannot be read.
        StoreError: there is none.
    """
    if config and store:
        raise SettingsError("one store is looked at", where="CONFIG, --store", fix="give one of the two")
    # typed settings would import every stage, and torch with them; two names are all that is needed
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


def table(*columns: str) -> Table:
    """A table without lines, none of whose cells wraps; a column whose name begins with `>` is set to the right."""
    made = Table(box=None, pad_edge=False)
    for column in columns:
        right = column.startswith(">")
        made.add_column(column.removeprefix(">"), justify="right" if right else "left", no_wrap=True)
    return made


def print_whole(console: Console, shown: Table) -> None:
    """Print a table with nothing cut off, also where the terminal is narrower or there is none."""
    wide = console.options.update(width=console.measure(shown, options=console.options.update(width=10_000)).maximum)
    console.print(Segments(console.render(shown, wide)), soft_wrap=True, end="")


@contextmanager
def bar(console: Console, what: str) -> Iterator[Progress]:
    """A bar on a terminal, gone when it is done."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Bars(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        shown = bars.add_task(what, total=None)
        yield lambda done, total, message="": bars.update(shown, completed=done, total=total or None)


def amount(size: int) -> str:
    """Bytes for a person to read."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} B"


def moment(record: Mapping[str, Any]) -> str:
    """When a run began, in local time."""
    return datetime.fromisoformat(record["started"]).astimezone().strftime("%Y-%m-%d %H:%M")


def duration(seconds: float) -> str:
    """`8.1 s`, `12 min`, `3 h 20 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
