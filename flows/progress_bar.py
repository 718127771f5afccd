"""A `Progress` on the terminal: how far, how fast, how long still."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from storage.progress import Progress


@contextmanager
def progress_bar(console: Console, title: str) -> Iterator[Progress]:
    """A bar that goes away when it is done."""
    columns = (
        TextColumn(title),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[message]}"),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console, transient=True) as bars:
        bar = bars.add_task(title, total=None, message="")

        def tell(done: int, total: int, message: str = "") -> None:
            bars.update(bar, completed=done, total=total, message=message)

        yield tell
