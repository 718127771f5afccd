"""What lies in the folders of a store, by name: read without looking at any artifact's bytes, and changed by none."""

import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from storage.disk import NEW
from storage.store import manifests
from storage.store.artifact_stamps import Listing, files_below
from storage.store.artifacts import DISCARDED, Store
from storage.store.lineage import Manifest, Name

TRACES = ("cache/stamps", "cache/manifests", "references")
"""Folders with a small file `<stage>.<key>` an artifact, which means nothing once the artifact is gone."""

WRITTEN = ("cache", "runs", *TRACES)
"""Folders in which files are written under another name, `*.new`, and renamed at once."""
AT_ONCE = 3600.0  # seconds

State = tuple[int, int]
"""Time of the last change in ns and inode of a folder: another one where it was made anew."""


def read_manifests(store: Store, names: Iterable[Name]) -> dict[Name, Manifest | None]:
    """The manifests of artifacts, without a look at their other files; None where there is none that can be read."""
    paths = {(stage, key): f"artifacts/{stage}/{key}/{manifests.MANIFEST}" for stage, key in names}
    texts = store.read(paths.values())
    return {name: manifests.read(texts.get(path, b"")) for name, path in paths.items()}


def label_of(name: Name, manifest: Manifest | None) -> str:
    """How runs print the step that made an artifact: `skeletons train-003`; its stage where that is unknown."""
    return f"{name[0]} {(manifest or {}).get('part', '')}".strip()


def staged(store: Store) -> list[Name]:
    """Stage and key of what is being made, or was when its maker was interrupted."""
    return _names(store.root / "staging")


def trainings(store: Store) -> list[Name]:
    """Stage and lineage of the kept states of finished trainings."""
    return _names(store.root / "trainings")


def discarded(store: Store) -> list[str]:
    """Names in `staging` of what has left the store, where its deletion was interrupted."""
    return sorted(path.name for path in (store.root / "staging").glob(f"{DISCARDED}*"))


def traces(store: Store) -> dict[Path, Name]:
    """The small files that are kept for an artifact outside its folder."""
    found = {}
    for folder in TRACES:
        for path in sorted((store.root / folder).glob("*.*")):
            stage, _, rest = path.name.partition(".")
            found[path] = (stage, rest.partition(".")[0])
    return found


def temporary(store: Store) -> list[str]:
    """Files of this machine that were being written when their writer was killed, as paths below the store."""
    found = []
    for path in sorted(path for folder in WRITTEN for path in (store.root / folder).glob(f"*{NEW}")):
        with suppress(OSError):
            if path.stat().st_mtime < time.time() - AT_ONCE:
                found.append(path.relative_to(store.root).as_posix())
    return found


def state(folder: Path) -> State | None:
    """What tells a folder from one that took its place later; None where there is none."""
    try:
        stat = folder.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ino


def size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; those that vanish meanwhile count nothing."""
    if path.is_file():
        with suppress(OSError):
            return path.lstat().st_size
    return total(files_below(path))


def total(files: Listing) -> int:
    """Bytes of the files of a listing."""
    return sum(size for size, _ in files.values())


def _names(folder: Path) -> list[Name]:
    return sorted((p.parent.name, p.name) for p in folder.glob("*/*") if not p.parent.name.startswith(DISCARDED))
