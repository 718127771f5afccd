"""Saved states of an unfinished training: whole or absent, checked when read, the newest ones kept.

A state's name holds its epoch and its digest, `state-000012-0123456789abcdef.pth`: a file that was damaged since does
not match its own name, and the one before it is taken.
"""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from storage.artifacts import file_digest

log = logging.getLogger("csip")
NEW = "state.new"
DIGITS = 16


def keep_state(work: Path, epoch: int, keep: int) -> None:
    """Give the state just written to `work / NEW` its name, and remove all but the newest `keep`."""
    new = work / NEW
    with new.open("rb") as stream:
        os.fsync(stream.fileno())
    new.rename(work / f"state-{epoch:06d}-{file_digest(new)[:DIGITS]}.pth")
    for old in _states(work)[keep:]:
        old.unlink()


def sound_states(work: Path) -> Iterator[tuple[int, Path]]:
    """Epochs done and files of the states that are as they were written, newest first."""
    for path in _states(work):
        _, epoch, digest = path.stem.split("-")
        if file_digest(path)[:DIGITS] == digest:
            yield int(epoch), path
        else:
            log.warning("a saved state is damaged and left out: %s", path)


def _states(work: Path) -> list[Path]:
    return sorted(work.glob("state-*-*.pth"), reverse=True)
