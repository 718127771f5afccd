"""The artifact store: folders of files that appear whole or not at all, found by key, known by content.

    artifacts/<stage>/<key>/manifest.json + files     published; a folder without a manifest does not exist
    staging/<stage>/<key>/                            being made, by the holder of the key's lock
    locks/<stage>.<key>.lock

An artifact's *key* says what it is made from; its *digest* says what it holds. Downstream keys use digests, so a stage
that runs again and makes the same bytes changes nothing after it.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.errors import StoreError

MANIFEST = "manifest.json"
FORMAT = 1
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
        path: its folder.
        stage: the stage that made it.
        key: digest of what it is made from.
        digest: digest of its files' names and bytes.
        manifest: the manifest's contents.
    """

    path: Path
    stage: str
    key: str
    digest: str
    manifest: Mapping[str, Any]

    def file(self, name: str) -> "ArtifactFile":
        """One file of the artifact, with the digest of that file alone."""
        entry = self.manifest["files"].get(name)
        if entry is None:
            raise StoreError(
                f"the artifact holds no file {name!r}", where=self.path, fix="run the stage again with --force"
            )
        return ArtifactFile(self.path / name, entry["sha256"])


@dataclass(frozen=True)
class ArtifactFile:
    """One file of a published artifact, usable as an input of its own."""

    path: Path
    digest: str


def digest_of(value: Any) -> str:
    """SHA-256 of a plain value (JSON types), independent of the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class Store:
    """A folder of artifacts.

    Args:
        root: made if it does not exist.

    Raises:
        StoreError: the folder cannot be made or written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            for name in ("artifacts", "staging", "locks", "cache"):
                (root / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _as_store_error(error, root) from error

    def path(self, stage: str, key: str) -> Path:
        """Where the artifact of a stage and key lies, or would lie."""
        return self.root / "artifacts" / stage / key

    def find(self, stage: str, key: str) -> Artifact | None:
        """The published artifact, or None if there is none or a file of it is missing or of the wrong size."""
        folder = self.path(stage, key)
        manifest = _read_manifest(folder)
        if manifest is None or manifest.get("key") != key:
            return None
        for name, entry in manifest["files"].items():
            try:
                if (folder / name).stat().st_size != entry["size"]:
                    return None
            except OSError:
                return None
        return Artifact(folder, stage, key, manifest["digest"], manifest)

    def all(self, stage: str | None = None) -> list[Artifact]:
        """Every whole artifact, oldest first."""
        pattern = f"{stage or '*'}/*/{MANIFEST}"
        found = [self.find(m.parent.parent.name, m.parent.name) for m in (self.root / "artifacts").glob(pattern)]
        return sorted((a for a in found if a), key=lambda a: (a.manifest["made"]["at"], a.key))

    def damage(self, artifact: Artifact) -> list[str]:
        """Names of the artifact's files whose bytes are not what was published; reads every byte."""
        bad = []
        for name, entry in artifact.manifest["files"].items():
            path = artifact.path / name
            if not path.is_file() or file_digest(path) != entry["sha256"]:
                bad.append(name)
        return bad

    @contextmanager
    def lock(self, stage: str, key: str) -> Iterator[None]:
        """Hold the key's lock; waits for another holder. The kernel frees the lock of a process that dies."""
        path = self.root / "locks" / f"{stage}.{key}.lock"
        with path.open("a") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(stream, fcntl.LOCK_UN)

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
            raise _as_store_error(error, folder) from error
        except Exception as error:
            # libraries that write in native code report a full disk as errors of their own
            if shutil.disk_usage(self.root).free > NEARLY_FULL:
                raise
            raise _as_store_error(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), folder) from error
        finally:
            if not resume:
                shutil.rmtree(folder, ignore_errors=True)

    def publish(
        self, staged: Path, stage: str, key: str, facts: Mapping[str, Any], seconds: float, device: str = "cpu"
    ) -> Artifact:
        """Make a staged folder the artifact of (stage, key): sync, manifest, rename.

        Args:
            staged: the folder of finished files.
            stage: name of the stage.
            key: digest of what it was made from.
            facts: settings, inputs, code and versions, for the manifest.
            seconds: how long it took to make.
            device: kind of device it was made on; the same bytes are promised on one kind only.

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
        digest = digest_of({name: entry["sha256"] for name, entry in files.items()})
        made = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "seconds": round(seconds, 3),
            "device": device,
        }
        manifest = {
            "format": FORMAT,
            "stage": stage,
            "key": key,
            "digest": digest,
            "files": files,
            **facts,
            "made": made,
        }
        target = self.path(stage, key)
        try:
            (staged / MANIFEST).write_text(json.dumps(manifest, indent=2, default=str) + "\n")
            _sync(staged / MANIFEST)
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                shutil.rmtree(target)  # what lies here is damaged or forced anew: the holder of the lock decides
            staged.rename(target)
            _sync(target.parent)
        except OSError as error:
            raise _as_store_error(error, target) from error
        return Artifact(target, stage, key, digest, manifest)


def _read_manifest(folder: Path) -> dict[str, Any] | None:
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError):
        return None
    needed = {"format", "key", "digest", "files", "made"}
    if not isinstance(manifest, dict) or not needed <= manifest.keys() or manifest["format"] != FORMAT:
        return None
    return manifest


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _as_store_error(error: OSError, where: Path) -> StoreError:
    fix = DISK_ERRORS.get(error.errno or 0, "check the disk, then run again; finished artifacts are kept")
    return StoreError(f"the artifact store cannot be written: {error.strerror or error}", where=where, fix=fix)
