"""Last states of finished trainings, kept beside the artifacts, so that a longer training can go on from one.

    trainings/<stage>/<lineage>/     what the stage's folder `work` held: states, events of the loggers, speed

They are no artifacts: nothing is made from them but the same training over more epochs, and they may be deleted.

A state's name holds what was done, and its digest: `state-000012-0123456789abcdef.pth` after 12 epochs, and
`state-000012.000034-0123456789abcdef.pth` 34 steps later.
"""

import os
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from storage.store.artifacts import Store
from storage.store.manifests import digest_of

WORK = "work"
FACTS = ("part", "settings", "inputs", "weights", "code", "libraries", "also")
LINEAGE_LENGTH = 24
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
    with store.sending_states(stage, lineage, folder / WORK):
        yield
    keep_training(store, stage, lineage, folder)


def take_training(store: Store, stage: str, lineage: str, folder: Path) -> None:
    """Put the kept states of a training into a stage's new folder; one that has states of its own is left alone.

    If another machine has a newer one, it comes as well.
    """
    kept = store.root / "trainings" / stage / lineage
    if kept.is_dir() and not (folder / WORK).exists():
        part = folder / f"{WORK}.new"
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(kept, part, copy_function=_shared)
        part.rename(folder / WORK)
    store.fetch_state(stage, lineage, folder / WORK)


def keep_training(store: Store, stage: str, lineage: str, folder: Path) -> None:
    """Move what a finished training leaves besides its artifact out of the stage's folder."""
    kept = store.root / "trainings" / stage / lineage
    kept.parent.mkdir(parents=True, exist_ok=True)
    with store.lock(stage, training_lock(lineage)):
        if kept.exists():
            aside = kept.with_name(f"{lineage}.{uuid.uuid4().hex}")
            kept.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)
        (folder / WORK).rename(kept)


def _shared(source: str, target: str) -> None:
    """States never change once they are written, and are large; the rest is appended to."""
    if source.endswith(".pth"):
        try:
            os.link(source, target)
            return
        except OSError:  # a file system without hard links
            pass
    shutil.copy2(source, target)
