"""What of a store may go, and why: decided from records, manifests and names alone; deletes nothing.

A run that stays keeps everything in its record, and what that is made from as far as it is in the store. A run is kept
whether it completed or not: a failed one has finished work, and a training that the next one goes on with.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from storage.store.contents import Kind
from storage.store.lineage import Holders, inputs_of
from storage.store.manifests import Manifest, Name
from storage.store.runs import COMPLETED, RUNNING, Record
from storage.store.trainings import lineage_of, training_lock

WHY = {
    Kind.ARTIFACT: ("a run that stays needs it", "it is being made or used", "no run that stays needs it"),
    Kind.STAGING: ("a run that stays can go on with it", "it is being made", "no run that stays goes on with it"),
    Kind.DISCARDED: ("", "", "it has left the store already"),
    Kind.TEMPORARY: ("", "", "its writer was killed"),
    Kind.HALF: ("", "it is being made", "no manifest names these files"),
    Kind.COPY: ("a run that stays makes or needs it", "it is being made", "it is not in the store"),
}
"""Why a thing stays whose name is in the record of a run that stays, why one whose lock is held, and why it goes."""


@dataclass(frozen=True, order=True)
class Thing:
    """Something in a store that can go."""

    kind: Kind
    stage: str  # of a run, the name of its configuration
    key: str  # or lineage, folder, file, id of a run


@dataclass(frozen=True)
class Contents:
    """What a store holds."""

    manifests: Mapping[Name, Manifest | None] = field(default_factory=dict)  # of artifacts; None if it cannot be read
    records: Sequence[Record] = ()  # of runs, in the order in which they began
    others: Mapping[Kind, Collection[Name]] = field(default_factory=dict)  # names of the other things
    locked: Collection[Name] = frozenset()  # names of all locks that somebody holds


@dataclass(frozen=True)
class Decision:
    """What goes and what stays, each with the reason."""

    goes: Mapping[Thing, str]
    stays: Mapping[Thing, str]


def decide(held: Contents, keep: int) -> Decision:
    """What goes and what stays, where the newest `keep` runs of each configuration name do."""
    goes: dict[Thing, str] = {}
    stays: dict[Thing, str] = {}

    def put(kind: Kind, name: Name, why_it_stays: str, why_it_goes: str) -> None:
        (stays if why_it_stays else goes)[Thing(kind, *name)] = why_it_stays or why_it_goes

    runs = kept_runs(held.records, keep)
    for record in held.records:
        put(Kind.RUN, (record["name"], record["run"]), runs.get(record["run"], ""), f"older than the newest {keep}")

    needed = names_in(record for record in held.records if record["run"] in runs)
    made_from = _made_from(needed | set(held.locked), held.manifests)
    for kind, (if_needed, if_locked, otherwise) in WHY.items():
        for name in held.manifests if kind == Kind.ARTIFACT else held.others.get(kind, ()):
            why = (if_needed if name in needed else "") or (if_locked if name in held.locked else "")
            if kind == Kind.ARTIFACT and name in made_from:
                why = why or "something that stays is made from it"
            put(kind, name, why, otherwise)

    kept = {name: held.manifests[name] for name in needed | made_from if name in held.manifests}
    lineages = {(stage, lineage_of(stage, manifest)) for (stage, _), manifest in kept.items() if manifest}
    waiting = {stage for stage, key in needed if (stage, key) not in held.manifests}
    for kind in (Kind.TRAINING, Kind.SENT):
        for stage, lineage in held.others.get(kind, ()):
            why = "more epochs of a model that stays would start from it" if (stage, lineage) in lineages else ""
            why = why or ("a run that stays has this stage still to make" if stage in waiting else "")
            why = why or ("it is being written" if (stage, training_lock(lineage)) in held.locked else "")
            put(kind, (stage, lineage), why, "no model that stays was trained so")
    return Decision(goes, stays)


def kept_runs(records: Sequence[Record], keep: int) -> dict[str, str]:
    """Id of each run that stays, and why.

    The newest runs of each name; all that are going on; and the newest completed one where none of these is, so that
    neither a few typing errors in a row nor runs that were told to stop early cost the last good model.
    """
    kept: dict[str, str] = {}
    for name in sorted({record["name"] for record in records}):
        newest_first = [record for record in reversed(records) if record["name"] == name]
        for record in newest_first[:keep]:
            kept[record["run"]] = f"among the newest {keep} of {name}"
        for record in newest_first:
            if record["status"] == RUNNING:
                kept[record["run"]] = "it is going on"
        completed = [record["run"] for record in newest_first if record["status"] == COMPLETED]
        if completed and not kept.keys() & set(completed):
            kept[completed[0]] = f"the last of {name} that completed"
    return kept


def names_in(records: Iterable[Record]) -> set[Name]:
    """Stage and key of everything that runs made, used, or were about to."""
    return {(entry["stage"], entry["key"]) for record in records for entry in record["artifacts"].values()}


def _made_from(roots: set[Name], manifests: Mapping[Name, Manifest | None]) -> set[Name]:
    """The roots, and artifacts that hold what these are made from; of several with the same bytes, one is enough."""
    readable = {name: manifest for name, manifest in manifests.items() if manifest}
    holders = Holders(readable)
    kept = roots & manifests.keys()
    waiting = sorted(kept)
    while waiting:
        for _, digest in inputs_of(readable.get(waiting.pop(), {})):
            found = [name for name, _ in holders.of(digest)]
            if found and not kept & set(found):
                kept.add(found[-1])
                waiting.append(found[-1])
    return kept
