"""Tables on the console, and amounts as a person reads them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.segment import Segments
from rich.table import Table

from flows.commands.options.console import console

SHORT = 8  # characters of a run's id: enough to tell runs apart, and what `csip runs` prints


def table(*columns: str, rows: Iterable[Sequence[str]] = ()) -> Table:
    """A table without lines, none of whose cells wraps; a column whose name begins with `>` is set to the right."""
    made = Table(box=None, pad_edge=False)
    for column in columns:
        made.add_column(column.removeprefix(">"), justify="right" if column.startswith(">") else "left", no_wrap=True)
    for row in rows:
        made.add_row(*row)
    return made


def facts(rows: Iterable[tuple[str, str]]) -> Table:
    """A table of names and values, without a head."""
    made = table("", "", rows=rows)
    made.show_header = False
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
