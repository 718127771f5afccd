"""The console that commands answer on: errors, notes, tables, JSON, and amounts as a person reads them."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.segment import Segments
from rich.table import Table

from storage.errors import CsipError
from storage.progress import Progress

SHORT = 8  # characters of a run's id: enough to tell runs apart, and what `csip runs` prints

AsJson = Annotated[bool, typer.Option("--json", help="The same as JSON.")]

console = Console(highlight=False)


@contextmanager
def plain_errors(status: int = 1) -> Iterator[None]:
    """Print an error that the user can act on as one message, without a traceback, and exit with a status."""
    try:
        yield
    except CsipError as error:
        print_error(error)
        raise typer.Exit(status) from None
    except KeyboardInterrupt:
        console.print("[yellow]stopped;[/] what was finished is kept, and the next run goes on from there")
        raise typer.Exit(130) from None


def print_error(error: CsipError) -> None:
    """Print what is wrong, where, and what to do."""
    first, *rest = escape(str(error)).split("\n")
    say(f"[bold red]error:[/] {first}", *rest)


def say(*lines: str) -> None:
    """Print lines of rich's markup, however long."""
    console.print(*lines, sep="\n", soft_wrap=True)


def note(*notes: str) -> None:
    """Print plain texts as notes."""
    for text in notes:
        say(f"[yellow]note:[/] {escape(text)}")


def print_json(value: object) -> None:
    """Print plain values as JSON, with colours on a terminal."""
    console.print_json(json.dumps(value))


@contextmanager
def silence(wanted: bool) -> Iterator[None]:
    """Print nothing meanwhile, if wanted: JSON that a script reads follows."""
    console.quiet = wanted
    try:
        yield
    finally:
        console.quiet = False


@contextmanager
def bar(what: str) -> Iterator[Progress]:
    """A bar on a terminal, gone when it is done."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Bars(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        shown = bars.add_task(what, total=None)
        yield lambda done, total, message="": bars.update(shown, completed=done, total=total or None)


def table(*columns: str) -> Table:
    """A table without lines, none of whose cells wraps; a column whose name begins with `>` is set to the right."""
    made = Table(box=None, pad_edge=False)
    for column in columns:
        right = column.startswith(">")
        made.add_column(column.removeprefix(">"), justify="right" if right else "left", no_wrap=True)
    return made


def facts(rows: Iterable[tuple[str, str]]) -> Table:
    """A table of names and values, without a head."""
    made = table("", "")
    made.show_header = False
    for row in rows:
        made.add_row(*row)
    return made


def print_whole(shown: Table) -> None:
    """Print a table with nothing cut off, also where the terminal is narrower or there is none."""
    wide = console.options.update(width=console.measure(shown, options=console.options.update(width=10_000)).maximum)
    console.print(Segments(console.render(shown, wide)), soft_wrap=True, end="")


def print_below(shown: Table) -> None:
    """Print an empty line and a whole table, or nothing where it has no rows."""
    if shown.row_count:
        console.print()
        print_whole(shown)


def share(value: float | None) -> str:
    """A share of 0 to 1 as percent; a dash where there is none."""
    return "-" if value is None else f"{100 * value:.1f} %"


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
