"""Taking out of a store what no run that stays needs, while other processes use the store.

`storage.store.garbage` decides. Here it is looked at again just before each deletion. Runs write what they are about
to use into their records before they look for it, and under the lock under which this is read and acted upon: a run
either is seen to hold an artifact, or does not find it and makes it anew.

Files of locks stay, free or not: another process may have opened one and be about to lock it, and would then hold a
lock that nobody else sees. They are a few hundred bytes each.
"""

import shutil
from collections.abc import Callable

from storage.errors import StoreError
from storage.progress import Progress, silent
from storage.store.artifacts import Store
from storage.store.contents import FOLDERS, Kind, found, total, traces
from storage.store.garbage import Contents, Thing, decide, names_in
from storage.store.lineage import read_manifests
from storage.store.manifests import Name
from storage.store.runs import HOLDING, Record, read_records, with_status
from storage.store.trainings import training_lock

IN_THE_STORE = (Kind.ARTIFACT, Kind.HALF, Kind.SENT)
"""Kinds that lie in the store; the others are on this machine, wherever the store is."""


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
        self._found = found(store)
        manifests = read_manifests(store, self._found[Kind.ARTIFACT])
        self._runs = store.place.listing("runs")
        records = with_status(store, self._records())
        locks = {_lock(Thing(kind, *name)) for kind, names in self._found.items() for name in names}
        self.held = Contents(manifests, records, self._found, store.locked(locks))
        self.decision = decide(self.held, keep)
        self.sizes = {thing: self._size(thing) for thing in [*self.decision.goes, *self.decision.stays]}
        self._dropped = {thing.key for thing in self.decision.goes if thing.kind == Kind.RUN}
        self._seen: tuple[object, set[Name]] = (None, set())

    def delete(self, progress: Progress = silent) -> list[Thing]:
        """Delete what goes, and return what did; the rest has been made anew since, or a run has begun to use it."""
        done = []
        with self.store.lock("gc", "all", "csip gc"):
            # records last: after an interruption it can still be said what an artifact was for
            goes = sorted(self.decision.goes, key=lambda thing: (thing.kind == Kind.RUN, thing))
            for number, thing in enumerate(goes, 1):
                if self._delete(thing):
                    done.append(thing)
                progress(number, len(goes))
            written, there = traces(self.store), set(self.store.names())
            for path in (path for path, name in written.items() if name not in there):
                path.unlink(missing_ok=True)
        return done

    def _delete(self, thing: Thing) -> bool:
        lock = _lock(thing)
        if thing.kind == Kind.DISCARDED:
            shutil.rmtree(self.store.root / _folder(thing), ignore_errors=True)
        elif thing.kind == Kind.TEMPORARY:
            self.store.here.remove(thing.key)
        elif self.store.is_locked(*lock):  # it is being made or written; of a run, it is going on
            return False
        elif thing.kind == Kind.RUN:
            self.store.place.remove(f"runs/{thing.key}.json")
        else:
            with self.store.lock(*lock, "csip gc"):
                delete = self._withdraw(thing)
                if delete is None:
                    return False
                delete()
        return True

    def _withdraw(self, thing: Thing) -> Callable[[], None] | None:
        """Take a thing out of sight if it is what was found and still nobody's; what then deletes it, else None."""
        name, folder = (thing.stage, thing.key), _folder(thing)
        place = self.store.place if thing.kind in IN_THE_STORE else self.store.here
        with self.store.lock(*HOLDING, "csip gc"):
            if place.listing(folder) != self._found[thing.kind][name] or self._is_needed(thing):
                return None
            return self.store.withdraw(*name) if thing.kind in (Kind.ARTIFACT, Kind.HALF) else place.withdraw(folder)

    def _is_needed(self, thing: Thing) -> bool:
        if thing.kind == Kind.HALF:  # who needs it makes all of it anew
            return False
        if thing.kind in (Kind.TRAINING, Kind.SENT):
            # whoever has an artifact of this stage still to make may be copying any of the kept states
            there = self.store.names(thing.stage)
            return any(name[0] == thing.stage and name not in there for name in self._needed())
        return (thing.stage, thing.key) in self._needed()

    def _needed(self) -> set[Name]:
        """What runs hold by now, without those whose records go; read again only if a record changed."""
        now = self.store.place.listing("runs")
        if now != self._seen[0]:
            self._seen = (now, names_in(r for r in self._records() if r["run"] not in self._dropped))
        return self._seen[1]

    def _records(self) -> list[Record]:
        records, damaged = read_records(self.store)
        if damaged:
            raise StoreError(
                f"what some runs need is not known, as their records cannot be read: {', '.join(damaged)}",
                where=f"{self.store.address}/runs",
                fix="`csip verify --drop` takes them out; what only they need goes with the next gc",
            )
        return records

    def _size(self, thing: Thing) -> int:
        if thing.kind == Kind.RUN:
            return self._runs.get(f"{thing.key}.json", (0, ""))[0]
        return total(self._found[thing.kind][thing.stage, thing.key])


def _folder(thing: Thing) -> str:
    return "/".join(part for part in (FOLDERS[thing.kind], thing.stage, thing.key) if part)


def _lock(thing: Thing) -> Name:
    if thing.kind == Kind.RUN:
        return Kind.RUN, thing.key
    return thing.stage, training_lock(thing.key) if thing.kind in (Kind.TRAINING, Kind.SENT) else thing.key
