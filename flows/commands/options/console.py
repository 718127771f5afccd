"""The console that commands answer on: errors, notes, JSON and bars; and what makes a function a command."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as Bars
from rich.table import Column

from storage.errors import CsipError
from storage.progress import Progress

AsJson = Annotated[bool, typer.Option("--json", help="The same as JSON.")]

console = Console(highlight=False)


def command(*examples: str, name: str | None = None) -> Callable[[Callable[..., None]], typer.Typer]:
    """Make a function a command, in a Typer of its own: its errors are printed plainly, examples end its help.

    Args:
        examples: command lines.
        name: of the command; the function's without it.
    """

    def made(function: Callable[..., None]) -> typer.Typer:
        alone = typer.Typer()
        alone.command(name, epilog="\n\n".join(examples))(plain_errors()(function))
        return alone

    return made


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
def bar(title: str, *, in_bytes: bool = False) -> Iterator[Progress]:
    """A bar on a terminal, gone when it is done; of bytes the speed is shown, of other things their number."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TransferSpeedColumn() if in_bytes else MofNCompleteColumn(),
        TextColumn("{task.fields[message]}", markup=False),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task(title, total=None, message="")
        yield lambda done, total, message="": bars.update(task, completed=done, total=total or None, message=message)


class StepBars(logging.Handler):
    """A bar for each step that is running, drawn from the records of `flows.watching.progress.bars`."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=12),
            TaskProgressColumn(),
            TextColumn("{task.fields[message]}", table_column=Column(no_wrap=True, overflow="ellipsis")),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
        )
        self.running: dict[str, TaskID] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Move, begin or end a bar."""
        label, done, total, message = record.progress  # type: ignore[attr-defined] # which `bars` adds
        if done is not None:
            if label not in self.running:
                self.running[label] = self.bars.add_task(label, total=total, message=message)
            self.bars.update(self.running[label], completed=done, total=total, message=message)
        elif label in self.running:
            self.bars.remove_task(self.running.pop(label))
