"""States of trainings, kept beside the artifacts, so that a longer training, or another machine, goes on from one.

    trainings/<stage>/<lineage>/     of finished trainings, what the stage's folder `work` held: states, events, speed

    state-000012-0123456789abcdef.pth            what a training had done, 12 epochs, and the state's digest
    state-000012.000034-0123456789abcdef.pth     34 steps later

They are no artifacts: nothing is made from them but the same training over more epochs, and they may be deleted.

All of this is on one machine. Where the store is a bucket, `trainings/<stage>/<lineage>/` there has the newest state
that any machine has sent, and a sealed manifest with its name, size and digest, written last. A state is sent in the
background while the training goes on, and at its end. What cannot be sent or fetched costs steps that are done again,
and never the training.
"""

import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from storage.disk import NEW, whole
from storage.errors import CsipError
from storage.store import manifests
from storage.store.artifacts import Store
from storage.store.bucket import Bucket
from storage.store.manifests import MANIFEST, digest_of, file_digest
from storage.threads import repeating

log = logging.getLogger("csip")
WORK = "work"
FACTS = ("part", "settings", "inputs", "weights", "code", "libraries", "also")
LINEAGE_LENGTH = 24
LOOK_SECONDS = 1.0
NAME = re.compile(r"state-(\d{6})(?:\.(\d{6}))?-([0-9a-f]{16})\.pth")

Done = tuple[int, int]
"""Whole epochs, and steps of the next one, that a state was saved after."""


def state_name(done: Done, digest: str) -> str:
    """The name of a state with this SHA-256."""
    epochs, steps = done
    return f"state-{epochs:06d}{f'.{steps:06d}' if steps else ''}-{digest[:16]}.pth"


def done_of(name: str) -> Done | None:
    """After what a state of this name was saved; None where no state has such a name."""
    match = NAME.fullmatch(name)
    return (int(match[1]), int(match[2] or 0)) if match else None


def saved_states(work: Path) -> list[tuple[Done, Path]]:
    """The states in a folder `work`, the newest first."""
    found = [(done, path) for path in work.glob("state-*.pth") if (done := done_of(path.name))]
    return sorted(found, reverse=True)


def lineage_of(stage: str, facts: Mapping[str, Any]) -> str:
    """Key of all trainings that differ from this one in their number of epochs only.

    Args:
        stage: of the training.
        facts: what it is made from, as a step or a manifest has it.
    """
    known = {name: facts[name] for name in FACTS if name in facts}
    settings = {name: value for name, value in facts.get("settings", {}).items() if name != "epochs"}
    return digest_of({"stage": stage, **known, "settings": settings})[:LINEAGE_LENGTH]


def training_lock(lineage: str) -> str:
    """Name, among the stage's keys, of the lock under which the states of a lineage are put away."""
    return f"training-{lineage}"


@contextmanager
def kept_states(store: Store, stage: str, lineage: str, folder: Path) -> Iterator[None]:
    """Within this, a stage trains in its folder: from states that are kept, and its own are kept for others."""
    take_training(store, stage, lineage, folder)
    with sending_states(store, stage, lineage, folder / WORK):
        yield
    keep_training(store, stage, lineage, folder)


def take_training(store: Store, stage: str, lineage: str, folder: Path) -> None:
    """Put the kept states of a training, and a newer one of another machine, into a stage's folder that has none."""
    kept = store.root / "trainings" / stage / lineage
    if kept.is_dir() and not (folder / WORK).exists():
        part = folder / f"{WORK}{NEW}"  # always this name: what is left in the folder would be published
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(kept, part, copy_function=_shared)
        part.rename(folder / WORK)
    fetch_state(store, stage, lineage, folder / WORK)


def keep_training(store: Store, stage: str, lineage: str, folder: Path) -> None:
    """Move what a finished training leaves besides its artifact out of the stage's folder."""
    kept = store.root / "trainings" / stage / lineage
    kept.parent.mkdir(parents=True, exist_ok=True)
    with store.lock(stage, training_lock(lineage)):
        delete = store.here.withdraw(f"trainings/{stage}/{lineage}")
        (folder / WORK).rename(kept)
        if delete:
            delete()


def fetch_state(store: Store, stage: str, lineage: str, work: Path) -> None:
    """Bring the state that another machine has sent to `work`, if it is newer than those there."""
    if not store.away:
        return
    folder = f"trainings/{stage}/{lineage}"
    here = max((done for done, _ in saved_states(work)), default=(0, 0))
    try:
        text = store.away.read([f"{folder}/{MANIFEST}"]).get(f"{folder}/{MANIFEST}", b"")
        for name, entry in (manifests.read(text) or {"files": {}})["files"].items():
            done = done_of(name)  # of a name that is none, nothing is written
            if done and done > here:
                with whole(work / name) as fresh:
                    store.away.fetch(f"{folder}/{name}", fresh)
                    if file_digest(fresh) != entry["sha256"]:
                        raise FileNotFoundError(f"{folder}/{name} does not hold what was sent")
                log.info("found a newer state of this training, of another machine: %s", name)
    except (CsipError, OSError) as error:  # a state that was replaced or dropped meanwhile, too
        log.warning("the newest state of this training could not be fetched: %s", error)


@contextmanager
def sending_states(store: Store, stage: str, lineage: str, work: Path) -> Iterator[None]:
    """Meanwhile, and at the end, bring the newest state in `work` to where other machines find it."""
    away = store.away
    if not away:
        yield
        return
    sent: set[Path] = set()

    def send() -> None:
        try:
            for _, state in saved_states(work)[:1]:
                if state not in sent:
                    with store.lock(stage, training_lock(lineage), f"sending a state of {stage}"):
                        _send(away, f"trainings/{stage}/{lineage}", state)
                    sent.add(state)
        except (CsipError, OSError) as error:  # a state that was removed meanwhile, too: there is a newer one
            log.warning("the state of this training stays on this machine for now: %s", error)

    try:
        with repeating(send, LOOK_SECONDS):
            yield
    finally:
        send()


def _send(away: Bucket, folder: str, state: Path) -> None:
    entry = {"size": state.stat().st_size, "sha256": file_digest(state)}
    old = away.listing(folder).keys() - {state.name, MANIFEST}
    away.send({f"{folder}/{state.name}": state})
    away.put(f"{folder}/{MANIFEST}", manifests.written({"files": {state.name: entry}}).encode())
    for name in sorted(old):
        away.remove(f"{folder}/{name}")


def _shared(source: str, target: str) -> None:
    """States never change once they are written, and are large; the rest is appended to."""
    if source.endswith(".pth"):
        try:
            os.link(source, target)
            return
        except OSError:  # a file system without hard links
            pass
    shutil.copy2(source, target)
