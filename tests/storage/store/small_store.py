"""Small stores made by hand: artifacts of a few bytes, and records of runs that used them."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from storage.store.artifacts import Artifact, Store
from storage.store.runs import COMPLETED, RunRecord


def artifact(
    store: Store, stage: str, key: str, *sources: Artifact, part: str = "", text: str = "", **facts: Any
) -> Artifact:
    """Publish an artifact of two files, one with a text (its stage and key without), that is made from others."""
    with store.staging(stage, key, resume=False) as folder:
        (folder / "deep").mkdir()
        (folder / "data.txt").write_text(text or f"{stage} {key}")
        (folder / "deep" / "more.txt").write_text("more")
        about = {
            "part": part,
            "settings": {},
            "inputs": {source.stage: source.digest for source in sources},
            "weights": {},
            "code": {"training.looping.loop": "c1"},
            "libraries": {"torch": "2.6"},
        }
        return store.publish(folder, stage, key, about | facts, 1.5)


def run(
    store: Store,
    name: str,
    artifacts: Iterable[Artifact],
    status: str = COMPLETED,
    config: Mapping[str, Any] = {},
    metrics: Iterable[Mapping[str, Any]] = (),
) -> None:
    """Leave the record of a run that used artifacts, and built the last of them."""
    used = {f"{a.stage} {a.manifest['part']}".strip(): a for a in artifacts}
    record = RunRecord(store, name, {"name": "demo", **config})
    with record.alive():
        record.finish(status, used, list(used)[-1:], metrics)


def names(store: Store) -> set[str]:
    """Keys of all artifacts that are in a store and sound."""
    return {found.key for found in store.all()}


def original(artifact: Artifact, name: str) -> str:
    """Where the store itself keeps a file of an artifact, as a path below the store."""
    return artifact.store.original(artifact, name)


def rewrite(store: Store, path: str, content: bytes) -> None:
    """Put other bytes in the place of a file of a store of any kind."""
    if store.away:
        store.away.put(path, content)
    else:
        (store.root / path).write_bytes(content)


def flip_in(store: Store, path: str) -> None:
    """Change one bit in the middle of a file of a store of any kind."""
    if not store.away:
        flip(store.root / path)
        return
    rewrite(store, path, flipped(store.place.read([path])[path]))


def flip(path: Path, bit: int = 0) -> None:
    """Change one bit in the middle of a file, as a bad disk would: size and time stay."""
    stat = path.stat()
    path.write_bytes(flipped(path.read_bytes(), bit))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def flipped(content: bytes, bit: int = 0) -> bytes:
    """The same bytes, but for one bit in the middle."""
    changed = bytearray(content)
    changed[len(changed) // 2] ^= 1 << bit
    return bytes(changed)
