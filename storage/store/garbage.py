"""What of a store may go, and why: decided from records, manifests and names alone; deletes nothing.

A run that stays keeps everything in its record, and what that is made from as far as it is in the store. A run is kept
whether it completed or not: a failed one has finished work, and a training that the next one goes on with.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from storage.store.lineage import Holders, Manifest, Name, inputs_of
from storage.store.runs import COMPLETED, RUNNING
from storage.store.trainings import lineage_of, training_lock

ARTIFACT, STAGING, DISCARDED, TRAINING, RUN = "artifact", "staging", "discarded", "training", "run"
HALF, COPY, TEMPORARY, SENT = "half", "copy", "temporary", "sent"


@dataclass(frozen=True, order=True)
class Thing:
    """Something in a store that can go.

    Attributes:
        kind: artifact, staging (unfinished work), discarded (left the store before), training (kept states), run, half
            (an artifact's files without a manifest), copy (on this machine), temporary (a file under another name) or
            sent (a state of a training at the store's address).
        stage: its stage; of a run, the name of its configuration.
        key: its key, lineage, folder, file or id.
    """

    kind: str
    stage: str
    key: str


@dataclass(frozen=True)
class Contents:
    """What a store holds.

    Attributes:
        manifests: of everything that lies where artifacts do; None where it cannot be read.
        records: of runs, in the order in which they began.
        staging: stage and key of unfinished work.
        discarded: what was being deleted already.
        half: stage and key of files in an object store that no manifest names.
        copies: stage and key of copies on this machine of what is not in the store.
        temporary: files whose writer was killed before it gave them their names.
        trainings: stage and lineage of kept states.
        sent: stage and lineage of states that went to the store's address.
        locked: stage and name of every lock that somebody holds.
    """

    manifests: Mapping[Name, Manifest | None] = field(default_factory=dict)
    records: Sequence[Mapping[str, Any]] = ()
    staging: Collection[Name] = ()
    discarded: Collection[str] = ()
    half: Collection[Name] = ()
    copies: Collection[Name] = ()
    temporary: Collection[str] = ()
    trainings: Collection[Name] = ()
    sent: Collection[Name] = ()
    locked: Collection[Name] = frozenset()


@dataclass(frozen=True)
class Decision:
    """What goes and what stays, each with the reason."""

    goes: Mapping[Thing, str]
    stays: Mapping[Thing, str]


def decide(held: Contents, keep: int) -> Decision:
    """Sort what a store holds into what goes and what stays.

    Args:
        held: what there is.
        keep: how many of the newest runs of each configuration name stay.
    """
    goes: dict[Thing, str] = {}
    stays: dict[Thing, str] = {}

    def put(kind: str, name: Name, why_it_stays: str, why_it_goes: str) -> None:
        (stays if why_it_stays else goes)[Thing(kind, *name)] = why_it_stays or why_it_goes

    runs = kept_runs(held.records, keep)
    for record in held.records:
        put(RUN, (record["name"], record["run"]), runs.get(record["run"], ""), f"older than the newest {keep}")

    needed = names_in(record for record in held.records if record["run"] in runs)
    made_from = _made_from(needed | set(held.locked), held.manifests)
    for name in held.manifests:
        why = "a run that stays needs it" if name in needed else ""
        why = why or ("it is being made or used" if name in held.locked else "")
        why = why or ("something that stays is made from it" if name in made_from else "")
        put(ARTIFACT, name, why, "no run that stays needs it")

    for name in held.staging:
        why = "a run that stays can go on with it" if name in needed else ""
        why = why or ("it is being made" if name in held.locked else "")
        put(STAGING, name, why, "no run that stays goes on with it")
    for folder in held.discarded:
        put(DISCARDED, ("", folder), "", "it has left the store already")
    for file in held.temporary:
        put(TEMPORARY, ("", file), "", "its writer was killed")
    for name in held.half:
        put(HALF, name, "it is being made" if name in held.locked else "", "no manifest names these files")
    for name in held.copies:
        why = "a run that stays makes or needs it" if name in needed else ""
        why = why or ("it is being made" if name in held.locked else "")
        put(COPY, name, why, "it is not in the store")

    kept = {name: held.manifests[name] for name in needed | made_from if name in held.manifests}
    lineages = {(stage, lineage_of(stage, manifest)) for (stage, _), manifest in kept.items() if manifest}
    waiting = unmade_stages(needed, held.manifests)
    for kind, (stage, lineage) in [*((TRAINING, n) for n in held.trainings), *((SENT, n) for n in held.sent)]:
        why = "more epochs of a model that stays would start from it" if (stage, lineage) in lineages else ""
        why = why or ("a run that stays has this stage still to make" if stage in waiting else "")
        why = why or ("it is being written" if (stage, training_lock(lineage)) in held.locked else "")
        put(kind, (stage, lineage), why, "no model that stays was trained so")
    return Decision(goes, stays)


def kept_runs(records: Sequence[Mapping[str, Any]], keep: int) -> dict[str, str]:
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


def names_in(records: Iterable[Mapping[str, Any]]) -> set[Name]:
    """Stage and key of everything that runs made, used, or were about to."""
    return {(entry["stage"], entry["key"]) for record in records for entry in record["artifacts"].values()}


def unmade_stages(needed: Iterable[Name], there: Collection[Name]) -> set[str]:
    """Stages of which an artifact is needed that is not there: its training may start from any kept states."""
    return {name[0] for name in needed if name not in there}


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
