"""The artifact store: folders of files that appear whole or not at all, found by key, known by content.

    artifacts/<stage>/<key>/manifest.json + files     published; a folder without a manifest does not exist
    staging/<stage>/<key>/                            being made, by the holder of the key's lock
    trainings/<stage>/<lineage>/                      states of trainings, see `storage.store.trainings`
    runs/<run>.json                                   what a run used and made
    cache/                                            what only saves time

In a bucket the files of an artifact lie under the digest of what they are together, no object is written twice with
other bytes, and the manifest is written last: with it the artifact exists. What is being made, and copies of what steps
read, are then in a folder of this machine that is laid out in the same way.

An artifact's *key* says what it is made from; its *digest* says what it holds. Downstream keys use digests, so a stage
that runs again and makes the same bytes changes nothing after it.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from storage.addresses import is_address
from storage.disk import sync, whole
from storage.errors import DamagedError, StoreError, as_store_error
from storage.store import manifests
from storage.store.bucket import PROBES, Bucket
from storage.store.folder import Folder, mark
from storage.store.manifests import MANIFEST, Listing, Manifest, Name, content_digest, file_digest, folder_of

Place = Folder | Bucket
"""Where a store lies; both list, read, write what is new, replace what is as expected, and delete."""

LOOKS = 32
"""Artifacts that are looked for at once in a bucket: each is a wait for the service, and a run has thousands."""


@dataclass(frozen=True)
class Artifact:
    """A published artifact."""

    store: "Store" = field(compare=False, repr=False)
    stage: str  # that made it
    key: str  # digest of what it is made from
    digest: str  # of the names and bytes of its files
    manifest: Manifest = field(compare=False, repr=False)

    @property
    def path(self) -> Path:
        """Its folder on this machine, with all of its files."""
        return self.store.fetch(self, self.manifest["files"])

    def file(self, name: str) -> "ArtifactFile":
        """One file of the artifact, with the digest of that file alone."""
        entry = self.manifest["files"].get(name)
        if entry is None:
            where, fix = f"{self.stage}/{self.key}", "run the stage again with --force"
            raise StoreError(f"the artifact holds no file {name!r}", where=where, fix=fix)
        return ArtifactFile(self, name, entry["sha256"])


@dataclass(frozen=True)
class ArtifactFile:
    """One file of a published artifact, usable as an input of its own."""

    artifact: Artifact
    name: str
    digest: str

    def __reduce__(self) -> tuple[Any, ...]:
        # an index of 20,000 shards names 80,000 files; whoever reads one of them needs no more than that one
        of_all = self.artifact
        few = {"digest": of_all.digest, "files": {self.name: of_all.manifest["files"][self.name]}}
        return type(self), (replace(of_all, manifest=few), self.name, self.digest)

    @property
    def path(self) -> Path:
        """The file on this machine."""
        return self.artifact.store.fetch(self.artifact, [self.name]) / self.name


class Store:
    """Artifacts at a place; what cannot be written is a StoreError.

    Args:
        place: where they lie; a path is a folder of this machine.

    Attributes:
        place: where they lie.
        here: the folder on this machine: the place itself, or of copies and of what is being made.
        away: the place, where it is not on this machine.
        root: path of the folder on this machine.
        anywhere: the same as other machines are told of it: a `~` is theirs.
        address: how a configuration names the store.
    """

    def __init__(self, place: Place | Path) -> None:
        place = Folder(place) if isinstance(place, Path) else place
        self.place = place
        self.here = place if isinstance(place, Folder) else place.here
        self.away = None if isinstance(place, Folder) else place
        self.root, self.anywhere, self.address = self.here.root, place.anywhere, place.address
        self._sound: set[tuple[Path, tuple[int, str]]] = set()

    def __reduce__(self) -> tuple[Any, ...]:
        # another process opens the store for itself; all that is sent to it shares one
        return _opened_here, (self.place.__reduce__(),)

    def prepare(self) -> None:
        """Make sure that the store can be written, before work is begun that could not be kept."""
        for place, folder in ((self.here, "staging"), (self.away, PROBES)):
            if place:
                probe = f"{folder}/probe-{uuid4().hex}"
                place.put(probe, b"")
                place.remove(probe)

    def path(self, stage: str, key: str) -> Path:
        """Where the artifact of a stage and key lies, or would lie, on this machine."""
        return self.root / folder_of(stage, key)

    def where(self, stage: str, key: str) -> str:
        """Where the store itself keeps an artifact, or would, for a person to read."""
        return f"{self.address}/{folder_of(stage, key)}"

    def original(self, artifact: Artifact, name: str) -> str:
        """Where the store itself keeps a file of an artifact, as a name below the store."""
        return f"{folder_of(artifact.stage, artifact.key)}/{self._inside(artifact.digest)}{name}"

    def find(self, stage: str, key: str) -> Artifact | None:
        """The published artifact, or None if there is none or it is visibly damaged."""
        artifact, problems = self.examine(stage, key)
        return None if problems else artifact

    def examine(self, stage: str, key: str) -> tuple[Artifact | None, list[str]]:
        """The published artifact, if there is one, and what is wrong with it, file by file.

        Sizes are compared. On this machine, files are also read that do not look as they did when they were last
        compared with the manifest: while size, time of change and inode are the same, so are the bytes. A disk that
        forgets a bit leaves no such trace: `csip verify` finds that, and a step before it reads a file as its input.
        """
        return self._examine(stage, key, self.place.listing(folder_of(stage, key)))

    def examine_many(self, names: Sequence[Name]) -> list[tuple[Artifact | None, list[str]]]:
        """What `examine` says of each stage and key."""
        if not self.away:
            return [self.examine(*name) for name in names]
        with ThreadPoolExecutor(LOOKS) as threads:
            return list(threads.map(lambda name: self.examine(*name), names))

    def all(self, stage: str = "") -> list[Artifact]:
        """Every artifact, or every one of a stage, that is not visibly damaged; oldest first."""
        if self.away:  # one listing is of all
            examined = [self._examine(*name, files) for name, files in self.lying(stage).items()]
        else:
            examined = self.examine_many(self.names(stage))
        found = [artifact for artifact, problems in examined if artifact and not problems]
        return sorted(found, key=lambda a: (a.manifest["made"]["at"], a.key))

    def names(self, stage: str = "") -> list[Name]:
        """Stage and key of all that lies where artifacts do, sound or not; sorted."""
        return sorted(self.lying(stage)) if self.away else self.here.names("artifacts", stage)

    def lying(self, stage: str = "") -> dict[Name, Listing]:
        """The files of all that `names` names. In a bucket, files without a manifest are none of it."""
        folders = self.place.folders("artifacts", stage)
        return {name: files for name, files in folders.items() if not self.away or MANIFEST in files}

    def damage(self, artifact: Artifact) -> list[str]:
        """Names of the artifact's files whose bytes are not what was published; reads every byte in the store."""
        return [name for name in artifact.manifest["files"] if self.wrong(artifact, name)]

    def wrong(self, artifact: Artifact, name: str) -> str:
        """What is wrong with one of the artifact's files in the store, by reading it; nothing, if it is sound."""
        entry = artifact.manifest["files"][name]
        try:
            digest, size = self.place.digest(self.original(artifact, name))
        except OSError as error:
            return f"cannot be read: {error.strerror or 'it is gone'}"
        if size != entry["size"]:
            return f"has {size} bytes in place of {entry['size']}"
        return "" if digest == entry["sha256"] else "does not hold the bytes that were published"

    def check(self, artifact: Artifact, names: Iterable[str]) -> list[str]:
        """Which of these files do not hold what was published, by reading them on this machine.

        What this object has read, and looks as it did then, is not read again.
        """
        return [name for name in names if not self._is_here(artifact, name)]

    def fetch(self, artifact: Artifact, names: Iterable[str]) -> Path:
        """The artifact's folder on this machine, with these files in it; what comes from elsewhere is checked.

        Raises:
            DamagedError: the store no longer holds what was published.
        """
        for name in names if self.away else ():
            if not self._is_here(artifact, name):
                raise DamagedError(
                    f"{name} of {artifact.stage} is gone, or no longer holds what was published",
                    where=self.where(artifact.stage, artifact.key),
                    fix="run again: it is made anew",
                )
        return self.path(artifact.stage, artifact.key)

    def discard(self, stage: str, key: str) -> None:
        """Take an artifact out of the store: at once for all who look, then byte by byte."""
        delete = self.withdraw(stage, key)
        if delete:
            delete()

    def withdraw(self, stage: str, key: str) -> Callable[[], None] | None:
        """As `discard`, but out of sight only; what is returned deletes it. None if there is none."""
        places = [place for place in (self.here, self.away) if place]
        deletions = [deletion for place in places if (deletion := place.withdraw(folder_of(stage, key)))]
        if not deletions:
            return None

        def delete() -> None:
            for deletion in deletions:
                deletion()

        return delete

    def lock(self, stage: str, key: str, purpose: str = "") -> AbstractContextManager[None]:
        """Hold the key's lock; waits for another holder, and says for whom. A holder that dies loses it."""
        return self.place.lock(f"{stage}.{key}", purpose or f"{stage} {key}")

    def is_locked(self, stage: str, key: str) -> bool:
        """Whether somebody holds the key's lock."""
        return bool(self.locked([(stage, key)]))

    def locked(self, names: Iterable[Name]) -> frozenset[Name]:
        """Those of these keys whose lock somebody holds."""
        locks = {f"{stage}.{key}": (stage, key) for stage, key in names}
        return frozenset(locks[lock] for lock in self.place.locked(locks))

    def staging(self, stage: str, key: str, *, resume: bool) -> AbstractContextManager[Path]:
        """A folder to make an artifact in; kept after a failure only if the stage can `resume` from it.

        A disk that is full or read-only is a StoreError.
        """
        return self.here.staging(f"staging/{stage}/{key}", keep=resume)

    def publish(
        self,
        staged: Path,
        stage: str,
        key: str,
        facts: Mapping[str, Any],
        seconds: float,
        device: str = "cpu",
        run: str = "",
    ) -> Artifact:
        """Make a staged folder the artifact of (stage, key): sync, manifest, rename.

        Args:
            staged: the folder of finished files.
            stage: name of the stage.
            key: digest of what it was made from.
            facts: settings, inputs, code and versions, for the manifest.
            seconds: how long it took to make.
            device: kind of device it was made on; the same bytes are promised on one kind only.
            run: id of the run that made it.

        Raises:
            StoreError: the stage made no file, or the store cannot be written.
        """
        files = {}
        for path in sorted(p for p in staged.rglob("*") if p.is_file() and p.name != MANIFEST):
            files[path.relative_to(staged).as_posix()] = {"size": path.stat().st_size, "sha256": file_digest(path)}
        if not files:
            fix = "this is a defect of the stage; report it"
            raise StoreError(f"stage {stage} made no file", where=staged, fix=fix)
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        made = {"at": at, "seconds": round(seconds, 3), "device": device, "run": run}
        about = {"stage": stage, "key": key, "digest": content_digest(files), "files": files, **facts, "made": made}
        return self.adopt(staged, stage, key, manifests.written(about))

    def adopt(self, staged: Path, stage: str, key: str, text: str) -> Artifact:
        """As `publish`, with the text of a manifest that `manifests.written` made; for the holder of the key's lock."""
        target = self.path(stage, key)
        manifest = manifests.read(text) or {}
        try:
            (staged / MANIFEST).write_text(text)
            for name in (*manifest["files"], MANIFEST):
                sync(staged / name)
            target.parent.mkdir(parents=True, exist_ok=True)
            self.discard(stage, key)  # what lies here is damaged or forced anew: the holder of the lock decides
            staged.rename(target)
            sync(target.parent)
        except OSError as error:
            raise as_store_error(error, target) from error
        self.here.keep_stamps(stage, key, {name: mark(target / name) for name in manifest["files"]})
        artifact = Artifact(self, stage, key, manifest["digest"], manifest)
        if self.away:
            self.away.send({self.original(artifact, name): target / name for name in manifest["files"]})
            self.away.put(f"{folder_of(stage, key)}/{MANIFEST}", text.encode())
        return artifact

    def _examine(self, stage: str, key: str, files: Listing) -> tuple[Artifact | None, list[str]]:
        """What `examine` says, given the files that lie in the artifact's folder."""
        manifest, problem = self._manifest(stage, key, files)
        if manifest is None:
            return None, [problem] if problem else []
        artifact = Artifact(self, stage, key, manifest["digest"], manifest)
        stamps = {} if self.away else self.here.stamps(stage, key)
        found = {name: files.get(f"{self._inside(artifact.digest)}{name}") for name in manifest["files"]}
        problems = []
        for name, entry in manifest["files"].items():
            seen = found[name]
            if seen is None:
                problems.append(f"{name} is missing")
            elif seen[0] != entry["size"]:
                problems.append(f"{name} has {seen[0]} bytes in place of {entry['size']}")
            elif not self.away and seen != stamps.get(name) and (problem := self.wrong(artifact, name)):
                problems.append(f"{name} {problem}")
        if not self.away and not problems and found != stamps:
            self.here.keep_stamps(stage, key, {name: seen for name, seen in found.items() if seen})
        return artifact, problems

    def _manifest(self, stage: str, key: str, files: Listing) -> tuple[Manifest | None, str]:
        """The manifest of what lies at a stage and key, or None and what is wrong with it; nothing is where none is."""
        manifest: Manifest | None
        try:
            if not self.away:
                manifest = manifests.read((self.path(stage, key) / MANIFEST).read_bytes())
            elif MANIFEST in files:
                manifest = self.away.manifest(stage, key, files[MANIFEST][1])
            else:
                return None, ""
        except FileNotFoundError:
            return None, f"{MANIFEST} is missing" if self.path(stage, key).exists() else ""
        except OSError as error:
            return None, f"{MANIFEST}: {error.strerror}"
        if manifest is None or manifest.get("key") != key:
            return None, f"{MANIFEST} is not what was written"
        return manifest, ""

    def _inside(self, digest: str) -> str:
        """Before the names of files in the folder of an artifact of this digest."""
        return f"{digest}/" if self.away else ""

    def _is_here(self, artifact: Artifact, name: str) -> bool:
        """Whether this machine has a file of an artifact as it was published; brings it from where it is."""
        path = self.path(artifact.stage, artifact.key) / name
        digest = artifact.manifest["files"][name]["sha256"]
        with suppress(OSError):
            seen = (path, mark(path))
            if seen in self._sound or file_digest(path) == digest:
                self._sound.add(seen)
                return True
        if not self.away:
            return False
        try:
            with whole(path) as fresh:
                self.away.fetch(self.original(artifact, name), fresh)
                if file_digest(fresh) != digest:
                    raise FileNotFoundError
        except FileNotFoundError:
            return False
        except OSError as error:
            raise as_store_error(error, path) from error
        return True


def open_store(address: str, workspace: Path) -> Store:
    """The store at a path of this machine or at an address of fsspec.

    Args:
        address: a path, or e.g. s3://bucket/folder.
        workspace: folder on this machine for what an object store needs.
    """
    return Store(Bucket(address, workspace) if is_address(address) else Folder(Path(address)))


@lru_cache(maxsize=8)
def _opened_here(place: tuple[type[Folder] | type[Bucket], tuple[Any, ...]]) -> Store:
    """The store of a process that was sent one."""
    return Store(place[0](*place[1]))
