"""How a stage tells whoever called it how far it is, without knowing who that is."""

from typing import Protocol


class Progress(Protocol):
    """Called by a stage as it works; must be cheap, and may be called from one thread at a time only."""

    def __call__(self, done: int, total: int, message: str = "") -> None:
        """Report `done` of `total` units (frames, steps), with an optional short message."""


def silent(done: int, total: int, message: str = "") -> None:
    """A `Progress` that says nothing: for notebooks and tests."""
