"""Bars of running steps on the terminal: how far, how long still."""

import logging

from rich.console import Console
from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Column


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
        if done is None:
            if label in self.running:
                self.bars.remove_task(self.running.pop(label))
            return
        if label not in self.running:
            self.running[label] = self.bars.add_task(label, total=total, message=message)
        self.bars.update(self.running[label], completed=done, total=total, message=message)
