"""Taking out of a store what no run that stays needs, while other processes use the store.

`storage.garbage` decides. Here it is looked at again just before each deletion. Runs write what they are about to use
into their records before they look for it, and under the lock under which this is read and acted upon: a run either is
seen to hold an artifact, or does not find it and makes it anew.

Files of locks stay, free or not: another process may have opened one and be about to lock it, and would then hold a
lock that nobody else sees. They are a few hundred bytes each.
"""

import shutil
import uuid
from pathlib import Path

from storage import contents
from storage.artifacts import Store, as_store_error
from storage.errors import StoreError
from storage.garbage import ARTIFACT, DISCARDED, RUN, STAGING, TRAINING, Contents, Thing, decide, names_in
from storage.lineage import Name
from storage.progress import Progress, silent
from storage.runs import HOLDING, records, unreadable
from storage.trainings import training_lock


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
        names, staged, states = store.names(), contents.staged(store), contents.trainings(store)
        manifests = contents.read_manifests(store, names)
        locks = {*names, *staged, *((stage, training_lock(lineage)) for stage, lineage in states)}
        bad = unreadable(store)
        if bad:
            raise StoreError(
                f"what some runs need is not known, as their records cannot be read: {', '.join(bad)}",
                where=store.root / "runs",
                fix="`csip verify --drop` takes them out; what only they need goes with the next gc",
            )
        self.held = Contents(
            manifests,
            records(store),
            staged,
            contents.discarded(store),
            states,
            frozenset(name for name in locks if store.is_locked(*name)),
        )
        self.decision = decide(self.held, keep)
        things = [*self.decision.goes, *self.decision.stays]
        self.sizes = {thing: contents.size(self.path(thing)) for thing in things}
        self._states = {thing: contents.state(self.path(thing)) for thing in things}
        self._dropped = {thing.key for thing in self.decision.goes if thing.kind == RUN}
        self._seen: tuple[object, set[Name]] = (None, set())

    def path(self, thing: Thing) -> Path:
        """Where a thing lies."""
        root = self.store.root
        return {
            ARTIFACT: root / "artifacts" / thing.stage / thing.key,
            STAGING: root / "staging" / thing.stage / thing.key,
            DISCARDED: root / "staging" / thing.key,
            TRAINING: root / "trainings" / thing.stage / thing.key,
            RUN: root / "runs" / f"{thing.key}.json",
        }[thing.kind]

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
            for path, name in contents.traces(self.store).items():
                if not self.store.path(*name).exists():
                    path.unlink(missing_ok=True)
        return done

    def _delete(self, thing: Thing) -> bool:
        path = self.path(thing)
        if thing.kind == DISCARDED:
            shutil.rmtree(path, ignore_errors=True)
            return True
        if thing.kind == RUN:
            if self.store.is_locked(RUN, thing.key):  # it is going on
                return False
            path.unlink(missing_ok=True)
            return True
        lock = (thing.stage, training_lock(thing.key) if thing.kind == TRAINING else thing.key)
        if self.store.is_locked(*lock):
            return False
        with self.store.lock(*lock, "csip gc"):
            aside = self._set_aside(thing)
            if aside:
                shutil.rmtree(aside, ignore_errors=True)
            return aside is not None

    def _set_aside(self, thing: Thing) -> Path | None:
        """Take a thing out of sight if it is what was found and still nobody's; where it is then, else None."""
        path = self.path(thing)
        aside = self.store.root / "staging" / f"{contents.DISCARDED}{uuid.uuid4().hex}"
        with self.store.lock(*HOLDING, "csip gc"):
            if contents.state(path) != self._states[thing] or self._is_needed(thing):
                return None
            try:
                path.rename(aside)
            except FileNotFoundError:
                return None
            except OSError as error:
                raise as_store_error(error, path) from error
        return aside

    def _is_needed(self, thing: Thing) -> bool:
        if thing.kind == TRAINING:
            # whoever has an artifact of this stage still to make may be copying any of the kept states
            return any(name[0] == thing.stage and not self.store.path(*name).exists() for name in self._needed())
        return (thing.stage, thing.key) in self._needed()

    def _needed(self) -> set[Name]:
        """What runs hold by now, without those whose records go; read again only if a record changed."""
        folder = self.store.root / "runs"
        now = sorted((path.name, contents.state(path)) for path in folder.glob("*.json"))
        if now != self._seen[0]:
            self._seen = (now, names_in(r for r in records(self.store) if r["run"] not in self._dropped))
        return self._seen[1]
