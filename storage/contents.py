"""What lies in the folders of a store, by name: read without looking at any artifact's bytes, and changed by none."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from storage import manifests
from storage.artifacts import Store
from storage.lineage import Manifest, Name

DISCARDED = "discarded-"
TRACES = ("cache/stamps", "references")
"""Folders with a small file `<stage>.<key>` an artifact, which means nothing once the artifact is gone."""

State = tuple[int, int]
"""Time of the last change in ns and inode of a folder: another one where it was made anew."""


def read_manifests(store: Store, names: Iterable[Name]) -> dict[Name, Manifest | None]:
    """The manifests of artifacts; None where there is none that can be read."""
    return {name: read_manifest(store, name) for name in names}


def read_manifest(store: Store, name: Name) -> Manifest | None:
    """An artifact's manifest, without a look at its other files; None where there is none that can be read."""
    try:
        return manifests.read((store.path(*name) / manifests.MANIFEST).read_bytes())
    except OSError:
        return None


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


def state(folder: Path) -> State | None:
    """What tells a folder from one that took its place later; None where there is none."""
    try:
        stat = folder.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ino


def size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; those that vanish meanwhile count nothing."""
    total = 0
    for file in [path] if path.is_file() else files_below(path):
        with suppress(OSError):
            total += file.lstat().st_size
    return total


def files_below(folder: Path) -> list[Path]:
    """All files below a folder; none of those that vanish while it is read."""
    # os.walk passes over folders that vanish, and Path.rglob raises
    return [Path(parent, name) for parent, _, names in os.walk(folder) for name in names]


def _names(folder: Path) -> list[Name]:
    return sorted((p.parent.name, p.name) for p in folder.glob("*/*") if not p.parent.name.startswith(DISCARDED))
