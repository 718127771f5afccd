"""What lies in a store, found by name and size: no file of an artifact is read."""

import time
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

from storage.disk import NEW
from storage.store.artifacts import Store
from storage.store.folder import DISCARDED, mark
from storage.store.manifests import MANIFEST, Listing, Name

TRACES = ("cache/stamps", "cache/manifests", "references")
"""Folders with a small file `<stage>.<key>` an artifact, which means nothing once the artifact is gone."""
WRITTEN = ("cache", "runs", *TRACES)
"""Folders in which files have another name until they are whole."""
AT_ONCE = 3600.0  # seconds


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


FOLDERS = {
    Kind.ARTIFACT: "artifacts",
    Kind.HALF: "artifacts",
    Kind.COPY: "artifacts",
    Kind.STAGING: "staging",
    Kind.DISCARDED: "staging",
    Kind.TEMPORARY: "",
    Kind.TRAINING: "trainings",
    Kind.SENT: "trainings",
}


def found(store: Store) -> dict[Kind, dict[Name, Listing]]:
    """The files of things of all kinds but runs, by their kind, and by stage and key or lineage.

    A thing that has none of these has the name ("", path below the folder of its kind).
    """
    here, away = store.here, store.away
    copies = here.folders("artifacts") if away else {}  # before the bucket is listed: what is published is no copy
    artifacts, staging = store.place.folders("artifacts"), here.folders("staging")
    half = {name: files for name, files in artifacts.items() if away and MANIFEST not in files}
    discarded = sorted(path.name for path in (store.root / "staging").glob(f"{DISCARDED}*"))
    return {
        Kind.ARTIFACT: {name: files for name, files in artifacts.items() if name not in half},
        Kind.HALF: half,
        Kind.COPY: {name: files for name, files in copies.items() if name not in artifacts},
        Kind.STAGING: {name: files for name, files in staging.items() if not name[0].startswith(DISCARDED)},
        Kind.DISCARDED: {("", folder): here.listing(f"staging/{folder}") for folder in discarded},
        Kind.TEMPORARY: _temporary(store),
        Kind.TRAINING: here.folders("trainings"),
        Kind.SENT: away.folders("trainings") if away else {},
    }


def traces(store: Store) -> dict[Path, Name]:
    """The small files that are kept for an artifact outside its folder."""
    written = {}
    for folder in TRACES:
        for path in sorted((store.root / folder).glob("*.*")):
            stage, key, *_ = path.name.split(".")
            written[path] = (stage, key)
    return written


def total(files: Listing) -> int:
    """Bytes of the files of a listing."""
    return sum(size for size, _ in files.values())


def _temporary(store: Store) -> dict[Name, Listing]:
    left: dict[Name, Listing] = {}
    for folder in WRITTEN:
        for path in sorted((store.root / folder).glob(f"*{NEW}")):
            with suppress(OSError):
                if path.stat().st_mtime < time.time() - AT_ONCE:
                    left["", f"{folder}/{path.name}"] = {path.name: mark(path)}
    return left
