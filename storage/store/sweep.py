"""Taking out of a store what no run that stays needs, while other processes use the store.

`storage.store.garbage` decides. Here it is looked at again just before each deletion. Runs write what they are about
to use into their records before they look for it, and under the lock under which this is read and acted upon: a run
either is seen to hold an artifact, or does not find it and makes it anew.

Files of locks stay, free or not: another process may have opened one and be about to lock it, and would then hold a
lock that nobody else sees. They are a few hundred bytes each.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from storage.errors import StoreError
from storage.progress import Progress, silent
from storage.store import contents
from storage.store.artifacts import Store
from storage.store.garbage import (
    ARTIFACT,
    COPY,
    DISCARDED,
    RUN,
    SENT,
    STAGING,
    TEMPORARY,
    TRAINING,
    Contents,
    Thing,
    decide,
    names_in,
)
from storage.store.lineage import Name
from storage.store.runs import HOLDING, read_records, with_status
from storage.store.trainings import training_lock

ON_THIS_MACHINE = {
    STAGING: "staging",
    DISCARDED: "staging",
    TRAINING: "trainings",
    COPY: "artifacts",
    TEMPORARY: "",
}
"""Kinds of things that lie in folders of this machine, whatever the store -> the folder; others lie in the store."""


class Sweep:
    """What of a store goes and what stays, as it was found; `delete` takes it out.

    Small files that mean nothing without their artifact (`contents.TRACES`) go with it and are not listed.

    Args:
        store: to look through.
        keep: how many of the newest runs of each configuration name stay.

    Attributes:
        held: what was found.
        decision: what goes and what stays, and why.
        sizes: bytes of each thing.

    Raises:
        StoreError: the record of a run cannot be read, so that nobody knows what that run needs.
    """

    def __init__(self, store: Store, keep: int) -> None:
        self.store = store
        # names first and records last: what is published meanwhile is not among the names, and so not touched
        copies, half, self._lying = store.copies(), store.half(), store.lying()
        staged, states, self._sent = contents.staged(store), contents.trainings(store), store.sent_states()
        manifests = contents.read_manifests(store, self._lying)
        trained = {(stage, training_lock(lineage)) for stage, lineage in [*states, *self._sent]}
        locks = {*self._lying, *half, *copies, *staged, *trained}
        self._runs = store.listing("runs")
        self.held = Contents(
            manifests,
            with_status(store, self._records()),
            staged,
            contents.discarded(store),
            half,
            copies,
            contents.temporary(store),
            states,
            self._sent,
            store.locked(locks),
        )
        self._lying |= half  # what was published between the two listings has changed, and so stays
        self.decision = decide(self.held, keep)
        things = [*self.decision.goes, *self.decision.stays]
        self.sizes = {thing: self._size(thing) for thing in things}
        self._states = {thing: contents.state(self.path(thing)) for thing in things if thing.kind in ON_THIS_MACHINE}
        self._dropped = {thing.key for thing in self.decision.goes if thing.kind == RUN}
        self._seen: tuple[object, set[Name]] = (None, set())

    def path(self, thing: Thing) -> Path:
        """Where a thing lies on this machine."""
        folder = ON_THIS_MACHINE[thing.kind]
        return self.store.root / folder / thing.stage / thing.key

    def delete(self, progress: Progress = silent) -> list[Thing]:
        """Delete what goes, and return what did; the rest has been made anew since, or a run has begun to use it.

        Raises:
            StoreError: the store cannot be written.
        """
        done = []
        with self.store.lock("gc", "all", "csip gc"):
            # records last: after an interruption it can still be said what an artifact was for
            goes = sorted(self.decision.goes, key=lambda thing: (thing.kind == RUN, thing))
            for number, thing in enumerate(goes, 1):
                if self._delete(thing):
                    done.append(thing)
                progress(number, len(goes))
            traces = contents.traces(self.store)
            there = set(self.store.names())
            for path, name in traces.items():
                if name not in there:
                    path.unlink(missing_ok=True)
        return done

    def _delete(self, thing: Thing) -> bool:
        if thing.kind == DISCARDED:
            shutil.rmtree(self.path(thing), ignore_errors=True)
            return True
        if thing.kind == TEMPORARY:
            self.path(thing).unlink(missing_ok=True)
            return True
        if thing.kind == RUN:
            if self.store.is_locked(RUN, thing.key):  # it is going on
                return False
            self.store.remove(f"runs/{thing.key}.json")
            return True
        lock = (thing.stage, training_lock(thing.key) if thing.kind in (TRAINING, SENT) else thing.key)
        if self.store.is_locked(*lock):
            return False
        with self.store.lock(*lock, "csip gc"):
            delete = self._withdraw(thing)
            if delete:
                delete()
            return delete is not None

    def _withdraw(self, thing: Thing) -> Callable[[], None] | None:
        """Take a thing out of sight if it is what was found and still nobody's; what then deletes it, else None."""
        with self.store.lock(*HOLDING, "csip gc"):
            if thing.kind in ON_THIS_MACHINE:
                same = contents.state(self.path(thing)) == self._states[thing]
                return self.store.set_aside(self.path(thing)) if same and not self._is_needed(thing) else None
            if thing.kind == SENT:
                name = (thing.stage, thing.key)
                same = self.store.sent_states().get(name) == self._sent[name]
                return self.store.withdraw_states(*name) if same and not self._is_needed(thing) else None
            same = self.store.listing(f"artifacts/{thing.stage}/{thing.key}") == self._lying[thing.stage, thing.key]
            # who needs half of an artifact makes all of it anew
            needed = thing.kind == ARTIFACT and self._is_needed(thing)
            return self.store.withdraw(thing.stage, thing.key) if same and not needed else None

    def _is_needed(self, thing: Thing) -> bool:
        if thing.kind in (TRAINING, SENT):
            # whoever has an artifact of this stage still to make may be copying any of the kept states
            there = self.store.names(thing.stage)
            return any(name[0] == thing.stage and name not in there for name in self._needed())
        return (thing.stage, thing.key) in self._needed()

    def _needed(self) -> set[Name]:
        """What runs hold by now, without those whose records go; read again only if a record changed."""
        now = self.store.listing("runs")
        if now != self._seen[0]:
            self._seen = (now, names_in(r for r in self._records() if r["run"] not in self._dropped))
        return self._seen[1]

    def _records(self) -> list[dict[str, Any]]:
        found, damaged = read_records(self.store)
        if damaged:
            raise StoreError(
                f"what some runs need is not known, as their records cannot be read: {', '.join(damaged)}",
                where=f"{self.store.address}/runs",
                fix="`csip verify --drop` takes them out; what only they need goes with the next gc",
            )
        return found

    def _size(self, thing: Thing) -> int:
        if thing.kind in ON_THIS_MACHINE:
            return contents.size(self.path(thing))
        if thing.kind == RUN:
            return self._runs.get(f"{thing.key}.json", (0, ""))[0]
        if thing.kind == SENT:
            return contents.total(self._sent[thing.stage, thing.key])
        return contents.total(self._lying[thing.stage, thing.key])
