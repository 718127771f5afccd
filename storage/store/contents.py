"""What lies in a store, found by name and size: no file of an artifact is read."""

import time
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

from storage.disk import NEW
from storage.store.artifacts import Store
from storage.store.folder import DISCARDED, mark
from storage.store.manifests import MANIFEST, Name
from storage.store.place import Listing

TRACES = ("cache/stamps", "cache/manifests", "references")
"""Folders with a small file `<stage>.<key>` an artifact, which means nothing once the artifact is gone."""
WRITTEN = ("cache", "runs", *TRACES)
"""Folders in which files have another name until they are whole."""
AT_ONCE = 3600.0  # seconds

Found = dict[Name, Listing]
"""The files of things by stage and key, or lineage; ("", path below the kind's folder) of what has none."""


class Kind(StrEnum):
    """What can leave a store."""

    RUN = "run"
    ARTIFACT = "artifact"
    STAGING = "staging"  # being made, or what was when its maker was interrupted
    DISCARDED = "discarded"  # has left the store already; its deletion was interrupted
    TEMPORARY = "temporary"  # a file whose writer was killed before it was whole
    HALF = "half"  # files of an artifact in a bucket without a manifest: an upload or a deletion, perhaps interrupted
    COPY = "copy"  # on this machine, of what is not in the bucket
    TRAINING = "training"  # kept states of a finished training
    SENT = "sent"  # state of a training that was sent to a bucket


def staged(store: Store) -> Found:
    """Things of kind STAGING."""
    return {name: files for name, files in store.here.folders("staging").items() if not name[0].startswith(DISCARDED)}


def discarded(store: Store) -> Found:
    """Things of kind DISCARDED."""
    folders = sorted(path.name for path in (store.root / "staging").glob(f"{DISCARDED}*"))
    return {("", folder): store.here.listing(f"staging/{folder}") for folder in folders}


def half(store: Store) -> Found:
    """Things of kind HALF."""
    folders = store.away.folders("artifacts") if store.away else {}
    return {name: files for name, files in folders.items() if MANIFEST not in files}


def sent(store: Store) -> Found:
    """Things of kind SENT."""
    return store.away.folders("trainings") if store.away else {}


def _copies(store: Store) -> Found:
    here = store.here.folders("artifacts") if store.away else {}
    there = store.away.folders("artifacts") if store.away else {}
    return {name: files for name, files in here.items() if name not in there}


def _temporary(store: Store) -> Found:
    found: Found = {}
    for folder in WRITTEN:
        for path in sorted((store.root / folder).glob(f"*{NEW}")):
            with suppress(OSError):
                if path.stat().st_mtime < time.time() - AT_ONCE:
                    found["", f"{folder}/{path.name}"] = {path.name: mark(path)}
    return found


FIND: dict[Kind, tuple[str, Callable[[Store], Found]]] = {
    Kind.COPY: ("artifacts", _copies),
    Kind.HALF: ("artifacts", half),
    Kind.ARTIFACT: ("artifacts", Store.lying),
    Kind.STAGING: ("staging", staged),
    Kind.TRAINING: ("trainings", lambda store: store.here.folders("trainings")),
    Kind.SENT: ("trainings", sent),
    Kind.DISCARDED: ("staging", discarded),
    Kind.TEMPORARY: ("", _temporary),
}
"""The folder of each kind but runs, and how what lies there is found."""


def traces(store: Store) -> dict[Path, Name]:
    """The small files that are kept for an artifact outside its folder."""
    found = {}
    for folder in TRACES:
        for path in sorted((store.root / folder).glob("*.*")):
            stage, key, *_ = path.name.split(".")
            found[path] = (stage, key)
    return found


def total(files: Listing) -> int:
    """Bytes of the files of a listing."""
    return sum(size for size, _ in files.values())
