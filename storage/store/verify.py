"""Reading every byte of a store, to find what its disk has changed without a trace."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from storage.progress import Progress, silent
from storage.store import contents, manifests
from storage.store.artifacts import Artifact, Store
from storage.store.manifests import MANIFEST
from storage.store.runs import unreadable

THREADS = 4  # hashing leaves Python's lock; more than a few wait for the disk


@dataclass(frozen=True)
class Checked:
    """What was found of one artifact.

    Attributes:
        stage: its stage.
        key: its key.
        label: the step that made it, as runs print it; only the stage where the manifest cannot be read.
        files: how many were read.
        size: bytes that were read.
        problems: (file, what is wrong with it); none if the artifact is sound.
        extra: files that lie in its folder and do not belong to it.
    """

    stage: str
    key: str
    label: str
    files: int
    size: int
    problems: tuple[tuple[str, str], ...]
    extra: tuple[str, ...] = ()


@dataclass(frozen=True)
class Findings:
    """What was found of a store.

    Attributes:
        artifacts: sorted by stage and key.
        records: files in `runs` that cannot be read.
        leftovers: of interrupted work, as paths below the store, with their bytes; harmless.
    """

    artifacts: tuple[Checked, ...]
    records: tuple[str, ...]
    leftovers: tuple[tuple[str, int], ...]

    @property
    def damaged(self) -> list[Checked]:
        """The artifacts with which something is wrong."""
        return [checked for checked in self.artifacts if checked.problems]


def verify(store: Store, progress: Progress = silent) -> Findings:
    """Read every byte of every artifact and compare it with what was published.

    Args:
        store: changed in nothing.
        progress: told of bytes.
    """
    sizes = {name: contents.total(files) for name, files in store.lying().items()}
    total, done = sum(sizes.values()), 0
    found: list[Checked] = []
    with ThreadPoolExecutor(THREADS) as threads:
        reading = {threads.submit(verify_artifact, store, *name): name for name in sizes}
        try:
            for read in as_completed(reading):
                checked = read.result()
                found += [checked] if checked else []
                done += sizes[reading[read]]
                progress(done, total, reading[read][0])
        finally:  # who interrupts it does not wait for the rest
            threads.shutdown(cancel_futures=True)
    found.sort(key=lambda checked: (checked.stage, checked.key))
    return Findings(tuple(found), tuple(unreadable(store)), tuple(_leftovers(store)))


def verify_artifact(store: Store, stage: str, key: str) -> Checked | None:
    """Read every byte of what lies at a stage and key; None where nothing does."""
    while True:
        before = store.listing(f"artifacts/{stage}/{key}")
        checked = _read(store, stage, key)
        # what is published anew while it is read looks damaged and is not
        if checked is None or not checked.problems or store.listing(f"artifacts/{stage}/{key}") == before:
            return checked


def drop(store: Store, findings: Findings) -> tuple[list[Checked], list[Checked]]:
    """Take what is damaged out of the store, so that the next run makes just that again.

    Returns:
        What has left the store, and what another process holds just now.

    Raises:
        StoreError: the store cannot be written.
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
    for name in {*findings.records} & {*unreadable(store)}:  # a run may have written its own anew
        store.remove(f"runs/{name}")
    return gone, busy


def _read(store: Store, stage: str, key: str) -> Checked | None:
    artifact, problems = store.examine(stage, key)
    if artifact is None:
        about = " ".join(problems).removeprefix(f"{MANIFEST} ").removeprefix(f"{MANIFEST}: ")
        return Checked(stage, key, stage, 0, 0, ((MANIFEST, about),)) if problems else None
    files = artifact.manifest["files"]
    wrong = [(name, _wrong(artifact, name)) for name in store.damage(artifact)]
    original = f"artifacts/{stage}/{key}/{MANIFEST}"
    # the same values in other bytes (1E-05 for 1e-05) pass the seal, and are not what was written
    if store.read([original]).get(original) != manifests.written(artifact.manifest).encode():
        wrong.append((MANIFEST, "is not what was written"))
    own = {MANIFEST, *(store.place(artifact, name) for name in files)}
    return Checked(
        stage,
        key,
        contents.label_of((stage, key), artifact.manifest),
        len(files) + 1,
        sum(entry["size"] for entry in files.values()),
        tuple(wrong),
        tuple(sorted(store.listing(f"artifacts/{stage}/{key}").keys() - own)),
    )


def _wrong(artifact: Artifact, name: str) -> str:
    entry = artifact.manifest["files"][name]
    try:
        size = artifact.store.length(artifact, name)
    except OSError as error:
        return f"cannot be read: {error.strerror or 'it is gone'}"
    if size != entry["size"]:
        return f"has {size} bytes in place of {entry['size']}"
    return "does not hold the bytes that were published"


def _leftovers(store: Store) -> Iterator[tuple[str, int]]:
    staged, half = contents.staged(store), store.half()
    busy = store.locked([*staged, *half])
    folders = ["/".join(name) for name in staged if name not in busy]
    for path in [*folders, *contents.discarded(store)]:
        yield f"staging/{path}", contents.size(store.root / "staging" / path)
    for name, files in half.items():
        if name not in busy:
            yield f"artifacts/{'/'.join(name)}", contents.total(files)
