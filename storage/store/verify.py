"""Reading every byte of a store, to find what its disk has changed without a trace."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from storage.progress import Progress, silent
from storage.store import manifests
from storage.store.artifacts import Store
from storage.store.contents import FOLDERS, Kind, found, total
from storage.store.lineage import label_of
from storage.store.manifests import MANIFEST, folder_of
from storage.store.runs import read_records

THREADS = 4  # hashing leaves Python's lock; more than a few wait for the disk


@dataclass(frozen=True)
class Checked:
    """What was found of one artifact."""

    stage: str
    key: str
    label: str  # the step that made it, as runs print it; only the stage where the manifest cannot be read
    files: int  # that were read
    size: int  # bytes that were read
    problems: tuple[tuple[str, str], ...]  # (file, what is wrong with it); none if the artifact is sound
    extra: tuple[str, ...] = ()  # files that lie in its folder and do not belong to it


@dataclass(frozen=True)
class Findings:
    """What was found of a store."""

    artifacts: tuple[Checked, ...]  # sorted by stage and key
    records: tuple[str, ...]  # files in `runs` that cannot be read
    leftovers: tuple[tuple[str, int], ...]  # of interrupted work, as paths below the store, with their bytes; harmless

    @property
    def damaged(self) -> list[Checked]:
        """The artifacts with which something is wrong."""
        return [checked for checked in self.artifacts if checked.problems]


def verify(store: Store, progress: Progress = silent) -> Findings:
    """Read every byte of every artifact and compare it with what was published; changes nothing."""
    sizes = {name: total(files) for name, files in store.lying().items()}
    size, done = sum(sizes.values()), 0
    artifacts: list[Checked] = []
    with ThreadPoolExecutor(THREADS) as threads:
        reading = {threads.submit(verify_artifact, store, *name): name for name in sizes}
        try:
            for read in as_completed(reading):
                checked = read.result()
                artifacts += [checked] if checked else []
                done += sizes[reading[read]]
                progress(done, size, reading[read][0])
        finally:  # who interrupts it does not wait for the rest
            threads.shutdown(cancel_futures=True)
    artifacts.sort(key=lambda checked: (checked.stage, checked.key))
    return Findings(tuple(artifacts), tuple(read_records(store)[1]), tuple(_leftovers(store)))


def verify_artifact(store: Store, stage: str, key: str) -> Checked | None:
    """Read every byte of what lies at a stage and key; None where nothing does."""
    folder = folder_of(stage, key)
    while True:
        before = store.place.listing(folder)
        checked = _read(store, stage, key)
        # what is published anew while it is read looks damaged and is not
        if checked is None or not checked.problems or store.place.listing(folder) == before:
            return checked


def drop(store: Store, findings: Findings) -> tuple[list[Checked], list[Checked]]:
    """Take what is damaged out of the store, so that the next run makes just that again.

    Returns:
        What has left the store, and what another process holds just now.
    """
    gone, busy = [], []
    for checked in findings.damaged:
        if store.is_locked(checked.stage, checked.key):
            busy.append(checked)
            continue
        with store.lock(checked.stage, checked.key, "csip verify --drop"):
            now = verify_artifact(store, checked.stage, checked.key)
            if now and now.problems:
                store.discard(checked.stage, checked.key)
                gone.append(checked)
    for name in {*findings.records} & {*read_records(store)[1]}:  # a run may have written its own anew
        store.place.remove(f"runs/{name}")
    return gone, busy


def _read(store: Store, stage: str, key: str) -> Checked | None:
    artifact, problems = store.examine(stage, key)
    if artifact is None:
        about = " ".join(problems).removeprefix(f"{MANIFEST} ").removeprefix(f"{MANIFEST}: ")
        return Checked(stage, key, stage, 0, 0, ((MANIFEST, about),)) if problems else None
    files, folder = artifact.manifest["files"], folder_of(stage, key)
    wrong = [(name, problem) for name in files if (problem := store.wrong(artifact, name))]
    # the same values in other bytes (1E-05 for 1e-05) pass the seal, and are not what was written
    original = f"{folder}/{MANIFEST}"
    if store.place.read([original]).get(original) != manifests.written(artifact.manifest).encode():
        wrong.append((MANIFEST, "is not what was written"))
    there = {f"{folder}/{name}" for name in store.place.listing(folder)}
    extra = there - {original, *(store.original(artifact, name) for name in files)}
    return Checked(
        stage,
        key,
        label_of((stage, key), artifact.manifest),
        len(files) + 1,
        sum(entry["size"] for entry in files.values()),
        tuple(wrong),
        tuple(sorted(name.removeprefix(f"{folder}/") for name in extra)),
    )


def _leftovers(store: Store) -> Iterator[tuple[str, int]]:
    there = found(store)
    busy = store.locked([*there[Kind.STAGING], *there[Kind.HALF]])
    for kind in (Kind.STAGING, Kind.DISCARDED, Kind.HALF):
        for name, files in there[kind].items():
            if name not in busy:
                yield "/".join(part for part in (FOLDERS[kind], *name) if part), total(files)
