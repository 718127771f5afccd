"""Copying a store to another place, a folder or an address: what is there already is kept, so it may be interrupted."""

import shutil
from dataclasses import dataclass

from storage.errors import DamagedError
from storage.progress import Progress, silent
from storage.store import manifests
from storage.store.artifacts import Artifact, Store
from storage.store.contents import total
from storage.store.manifests import file_digest
from storage.store.runs import RUNNING, read_records


@dataclass(frozen=True)
class Copied:
    """What became of a store's artifacts and records."""

    copied: int  # artifacts
    bytes: int  # of these
    there: int  # artifacts that were in the other store
    damaged: tuple[str, ...]  # stage/key of those that were not copied: they do not hold what was published
    runs: int  # records that were copied


def copy_store(source: Store, target: Store, progress: Progress = silent) -> Copied:
    """Bring every artifact and the records of all runs that have ended to another store.

    A key that the other store has stays as it is there. States of trainings do not travel: what was begun begins anew.
    A store that cannot be read or written is a StoreError.
    """
    target.prepare()
    ended = [record for record in read_records(source)[0] if record["status"] != RUNNING]
    there = target.place.listing("runs")
    new = [record for record in ended if f"{record['run']}.json" not in there]
    for record in new:  # first: what a run needs is not taken by `csip gc` meanwhile
        target.place.put(f"runs/{record['run']}.json", manifests.written(record).encode())

    sizes = {name: total(files) for name, files in source.lying().items()}
    whole, done, copied, moved, kept, damaged = sum(sizes.values()), 0, 0, 0, 0, []
    for name, size in sorted(sizes.items()):
        with target.lock(*name):
            if target.find(*name):
                kept += 1
            elif _copy(source.examine(*name)[0], target):
                copied, moved = copied + 1, moved + size
            else:
                damaged.append("/".join(name))
        done += size
        progress(done, whole, name[0])
    return Copied(copied, moved, kept, tuple(damaged), len(new))


def _copy(artifact: Artifact | None, target: Store) -> bool:
    """Copy one artifact; False if it is damaged."""
    if artifact is None:
        return False
    stage, key, files = artifact.stage, artifact.key, artifact.manifest["files"]
    with target.staging(stage, key, resume=False) as staged:
        try:
            folder = artifact.store.fetch(artifact, files)
            for name, entry in files.items():
                (staged / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(folder / name, staged / name)
                if file_digest(staged / name) != entry["sha256"]:
                    return False
        except (DamagedError, FileNotFoundError):
            return False
        target.adopt(staged, stage, key, manifests.written(artifact.manifest))
    return True
