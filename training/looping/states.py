"""Saved states of an unfinished training: whole or absent, checked when read, the newest ones kept.

A state's name holds its digest (`storage.store.trainings`): a file that was damaged since does not match its own name,
and the one before it is taken.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

from storage.disk import sync
from storage.store.manifests import file_digest
from storage.store.trainings import Done, saved_states, state_name

log = logging.getLogger("csip")
NEW = "state.new"


def keep_state(work: Path, done: Done, keep: int) -> None:
    """Give the state just written to `work / NEW` its name, and remove all but the newest `keep`.

    Those of later moments go as well: they are of another course that the training did not take.
    """
    new = work / NEW
    sync(new)
    new.rename(work / state_name(done, file_digest(new)))
    states = saved_states(work)
    kept = [state for state in states if state[0] <= done][:keep]
    for state in states:
        if state not in kept:
            state[1].unlink()


def sound_states(work: Path) -> Iterator[tuple[Done, Path]]:
    """What was done, and the files, of the states that are as they were written, newest first."""
    for done, path in saved_states(work):
        if path.name == state_name(done, file_digest(path)):
            yield done, path
        else:
            log.warning("a saved state is damaged and left out: %s", path)
