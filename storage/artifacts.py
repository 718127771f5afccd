"""The artifact store: folders of files that appear whole or not at all, found by key, known by content.

    artifacts/<stage>/<key>/manifest.json + files     published; a folder without a manifest does not exist
    staging/<stage>/<key>/                            being made, by the holder of the key's lock
    locks/<stage>.<key>.lock                          who makes it
    runs/<run>.json                                   what a run used and made
    cache/                                            what only saves time

An artifact's *key* says what it is made from; its *digest* says what it holds. Downstream keys use digests, so a stage
that runs again and makes the same bytes changes nothing after it.
"""

import errno
import os
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from storage import locks, manifests
from storage.artifact_stamps import Stamp, read_stamps, stamp, write_stamps
from storage.errors import StoreError
from storage.manifests import MANIFEST, content_digest, file_digest
from storage.manifests import digest_of as digest_of  # keys are digests too

NEARLY_FULL = 1 << 20  # bytes
DISK_ERRORS = {
    errno.ENOSPC: "free space on this disk and run again; finished artifacts are kept",
    errno.EDQUOT: "free some of your quota and run again; finished artifacts are kept",
    errno.EROFS: "the store is on a read-only file system; set another with --set store=PATH",
    errno.EACCES: "you may not write here; set another store with --set store=PATH",
    errno.EIO: "the disk reports errors; move the store to a sound one with --set store=PATH",
}


@dataclass(frozen=True)
class Artifact:
    """A published artifact.

    Attributes:
        store: where it is kept.
        stage: the stage that made it.
        key: digest of what it is made from.
        digest: digest of its files' names and bytes.
        manifest: the manifest's contents.
    """

    store: "Store" = field(compare=False, repr=False)
    stage: str
    key: str
    digest: str
    manifest: Mapping[str, Any] = field(compare=False, repr=False)

    @property
    def path(self) -> Path:
        """Its folder on this machine, with all of its files."""
        return self.store.fetch(self, self.manifest["files"])

    def file(self, name: str) -> "ArtifactFile":
        """One file of the artifact, with the digest of that file alone."""
        entry = self.manifest["files"].get(name)
        if entry is None:
            where = f"{self.stage}/{self.key}"
            raise StoreError(
                f"the artifact holds no file {name!r}", where=where, fix="run the stage again with --force"
            )
        return ArtifactFile(self, name, entry["sha256"])


@dataclass(frozen=True)
class ArtifactFile:
    """One file of a published artifact, usable as an input of its own."""

    artifact: Artifact
    name: str
    digest: str

    @property
    def path(self) -> Path:
        """The file on this machine."""
        return self.artifact.store.fetch(self.artifact, [self.name]) / self.name


class Store:
    """A folder of artifacts; looking at it makes and changes nothing.

    Args:
        root: the folder; made once something is written.

    Attributes:
        root: the folder on this machine.
        address: how a configuration names the store.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.address = str(root)
        self._checked: set[tuple[str, str, str, Stamp]] = set()

    def prepare(self) -> None:
        """Make sure that the store can be written, before work is begun that could not be kept.

        Raises:
            StoreError: it cannot.
        """
        try:
            (self.root / "staging").mkdir(parents=True, exist_ok=True)
            probe = self.root / "staging" / f"probe-{uuid.uuid4().hex}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise as_store_error(error, self.root) from error

    def path(self, stage: str, key: str) -> Path:
        """Where the artifact of a stage and key lies, or would lie, on this machine."""
        return self.root / "artifacts" / stage / key

    def find(self, stage: str, key: str) -> Artifact | None:
        """The published artifact, or None if there is none or it is visibly damaged."""
        artifact, problems = self.examine(stage, key)
        return None if problems else artifact

    def examine(self, stage: str, key: str) -> tuple[Artifact | None, list[str]]:
        """The published artifact, if there is one, and what is wrong with it, file by file.

        Files that look as they did when they were last compared with the manifest are not read; others are.
        """
        folder = self.path(stage, key)
        manifest, problem = _read_manifest(folder, key)
        if manifest is None:
            return None, [problem] if problem else []
        artifact = Artifact(self, stage, key, manifest["digest"], manifest)
        remembered = read_stamps(self._stamps(stage, key))
        stamps: dict[str, Stamp] = {}
        problems = []
        for name, entry in manifest["files"].items():
            try:
                stamps[name] = stamp(folder / name)
                if stamps[name][0] != entry["size"]:
                    problems.append(f"{name} has {stamps[name][0]} bytes in place of {entry['size']}")
                elif stamps[name] != remembered.get(name) and file_digest(folder / name) != entry["sha256"]:
                    problems.append(f"{name} does not hold the bytes that were published")
            except OSError as error:
                problems.append(f"{name}: {error.strerror}")
        if not problems and stamps != remembered:
            write_stamps(self._stamps(stage, key), stamps)
        return artifact, problems

    def all(self, stage: str | None = None) -> list[Artifact]:
        """Every artifact that is not visibly damaged, oldest first."""
        found = [self.find(*name) for name in self.names(stage)]
        return sorted((a for a in found if a), key=lambda a: (a.manifest["made"]["at"], a.key))

    def names(self, stage: str | None = None) -> list[tuple[str, str]]:
        """Stage and key of all that lies where artifacts do, sound or not; sorted."""
        return sorted((p.parent.name, p.name) for p in (self.root / "artifacts").glob(f"{stage or '*'}/*"))

    def damage(self, artifact: Artifact) -> list[str]:
        """Names of the artifact's files whose bytes are not what was published; reads every byte."""
        return self.check(artifact, artifact.manifest["files"], again=True)

    def check(self, artifact: Artifact, names: Iterable[str], *, again: bool = False) -> list[str]:
        """Which of these files of an artifact do not hold what was published, by reading them.

        Args:
            artifact: a published one.
            names: of its files.
            again: read even what this object has already read.
        """
        bad = []
        for name in names:
            path = self.path(artifact.stage, artifact.key) / name
            try:
                seen = (artifact.stage, artifact.key, name, stamp(path))
                if again or seen not in self._checked:
                    if file_digest(path) != artifact.manifest["files"][name]["sha256"]:
                        bad.append(name)
                    else:
                        self._checked.add(seen)
            except OSError:
                bad.append(name)
        return bad

    def fetch(self, artifact: Artifact, names: Iterable[str]) -> Path:
        """The artifact's folder on this machine, with these files in it."""
        return self.path(artifact.stage, artifact.key)

    def discard(self, stage: str, key: str) -> None:
        """Take an artifact out of the store: at once for all who look, then byte by byte.

        Raises:
            StoreError: the store cannot be written.
        """
        try:
            aside = self.root / "staging" / f"discarded-{uuid.uuid4().hex}"
            aside.parent.mkdir(exist_ok=True)
            self.path(stage, key).rename(aside)
        except FileNotFoundError:
            return
        except OSError as error:
            raise as_store_error(error, self.path(stage, key)) from error
        self._stamps(stage, key).unlink(missing_ok=True)
        shutil.rmtree(aside, ignore_errors=True)

    @contextmanager
    def lock(self, stage: str, key: str, purpose: str = "") -> Iterator[None]:
        """Hold the key's lock; waits for another holder, and says for whom. A holder that dies loses it.

        Raises:
            StoreError: the store cannot be written.
        """
        path = self._lock(stage, key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        except OSError as error:
            raise as_store_error(error, path) from error
        with locks.held(path, purpose or f"{stage} {key}"):
            yield

    def is_locked(self, stage: str, key: str) -> bool:
        """Whether somebody holds the key's lock."""
        return self._lock(stage, key).exists() and locks.is_held(self._lock(stage, key))

    @contextmanager
    def staging(self, stage: str, key: str, *, resume: bool) -> Iterator[Path]:
        """A folder to make an artifact in; kept after a failure only if the stage can `resume` from it.

        Raises:
            StoreError: the disk is full or the store read-only, in place of the OSError.
        """
        folder = self.root / "staging" / stage / key
        try:
            if folder.exists() and not resume:
                shutil.rmtree(folder)
            folder.mkdir(parents=True, exist_ok=True)
            yield folder
        except OSError as error:
            if error.errno not in DISK_ERRORS:
                raise
            raise as_store_error(error, folder) from error
        except Exception as error:
            # libraries that write in native code report a full disk as errors of their own
            if shutil.disk_usage(self.root).free > NEARLY_FULL:
                raise
            raise as_store_error(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), folder) from error
        finally:
            if not resume:
                shutil.rmtree(folder, ignore_errors=True)

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
            _sync(path)
            files[path.relative_to(staged).as_posix()] = {"size": path.stat().st_size, "sha256": file_digest(path)}
        if not files:
            raise StoreError(
                f"stage {stage} made no file", where=staged, fix="this is a defect of the stage; report it"
            )
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        text = manifests.written(
            {
                "stage": stage,
                "key": key,
                "digest": content_digest(files),
                "files": files,
                **facts,
                "made": {"at": at, "seconds": round(seconds, 3), "device": device, "run": run},
            }
        )
        target = self.path(stage, key)
        try:
            (staged / MANIFEST).write_text(text)
            _sync(staged / MANIFEST)
            target.parent.mkdir(parents=True, exist_ok=True)
            self.discard(stage, key)  # what lies here is damaged or forced anew: the holder of the lock decides
            staged.rename(target)
            _sync(target.parent)
        except OSError as error:
            raise as_store_error(error, target) from error
        write_stamps(self._stamps(stage, key), {name: stamp(target / name) for name in files})
        manifest = manifests.read(text) or {}
        artifact = Artifact(self, stage, key, manifest["digest"], manifest)
        self._publish_files(artifact)
        return artifact

    def _publish_files(self, artifact: Artifact) -> None:
        """Bring what now lies in the artifact's folder to where others find it: a store in a folder is there."""

    def put_text(self, name: str, text: str) -> None:
        """Write a small file of the store whole, in place of what was there, e.g. `runs/x.json`.

        Raises:
            StoreError: the store cannot be written.
        """
        path = self.root / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
            fresh.write_text(text)
            fresh.replace(path)
        except OSError as error:
            raise as_store_error(error, path) from error

    def texts(self, folder: str, suffix: str) -> list[bytes]:
        """The bytes of all small files of a folder whose names end so, in the order of their names."""
        found = []
        for path in sorted((self.root / folder).glob(f"*{suffix}")):
            with suppress(FileNotFoundError):  # `csip gc` of another process has just deleted it
                found.append(path.read_bytes())
        return found

    def _stamps(self, stage: str, key: str) -> Path:
        return self.root / "cache" / "stamps" / f"{stage}.{key}.json"

    def _lock(self, stage: str, key: str) -> Path:
        return self.root / "locks" / f"{stage}.{key}.lock"


def as_store_error(error: OSError, where: object) -> StoreError:
    """What a user can do about an error of the operating system."""
    fix = DISK_ERRORS.get(error.errno or 0, "check the disk, then run again; finished artifacts are kept")
    return StoreError(f"the artifact store cannot be written: {error.strerror or error}", where=where, fix=fix)


def _read_manifest(folder: Path, key: str) -> tuple[dict[str, Any] | None, str]:
    """A folder's manifest, or None and what is wrong with it; nothing is, where there is no folder."""
    try:
        text = (folder / MANIFEST).read_bytes()
    except FileNotFoundError:
        return None, f"{MANIFEST} is missing" if folder.exists() else ""
    except OSError as error:
        return None, f"{MANIFEST}: {error.strerror}"
    manifest = manifests.read(text)
    if manifest is None or manifest.get("key") != key:
        return None, f"{MANIFEST} is not what was written"
    return manifest, ""


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
