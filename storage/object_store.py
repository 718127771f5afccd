"""The artifact store on an object store (S3, Google Cloud Storage, ...), through fsspec.

    <address>/artifacts/<stage>/<key>/<digest>/<file>    what an artifact holds
    <address>/artifacts/<stage>/<key>/manifest.json      written last, at once: with it the artifact exists
    <address>/leases/<stage>.<key>.json                  who makes it
    <address>/runs/<run>.json

Nothing is renamed there, and no object is written twice with other bytes: files lie under the digest of what they are
together. A folder on this machine holds what is being made and copies of what steps read, each compared with the
manifest when it arrives.
"""

import hashlib
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec

from storage import manifests
from storage.artifacts import Artifact, Store, as_store_error
from storage.errors import CsipError, DamagedError, EnvironmentProblem, StoreError
from storage.leases import SECONDS, is_leased, leased
from storage.manifests import MANIFEST, file_digest

BLOCK = 1 << 22  # bytes


class ObjectStore(Store):
    """Artifacts at an address that fsspec understands, e.g. s3://bucket/folder.

    Args:
        address: of the store.
        workspace: folder on this machine for all such stores.
        lease_seconds: of silence after which a process that makes an artifact is taken for dead.

    Raises:
        EnvironmentProblem: the package that speaks this protocol is not installed.
    """

    def __init__(self, address: str, workspace: Path, lease_seconds: float = SECONDS) -> None:
        own = hashlib.sha256(address.encode()).hexdigest()[:12]
        super().__init__(workspace / own)
        self.address, self.lease_seconds = address, lease_seconds
        try:
            # listings must be fresh: others publish while this process looks
            self.files, self.base = fsspec.core.url_to_fs(address, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            raise EnvironmentProblem(
                f"this address cannot be used: {error}",
                where=address,
                fix="install what speaks it, e.g. pip install csip-reid[s3] or csip-reid[gcs]",
            ) from error

    def examine(self, stage: str, key: str) -> tuple[Artifact | None, list[str]]:
        """The published artifact, if there is one, and what is wrong with it, file by file; compares sizes."""
        with _told(self.address):
            try:
                text = self.files.cat_file(self._at("artifacts", stage, key, MANIFEST))
            except FileNotFoundError:
                return None, []
            manifest = manifests.read(text)
            if manifest is None or manifest.get("key") != key:
                return None, [f"{MANIFEST} is not what was written"]
            sizes = self._sizes(self._at("artifacts", stage, key, manifest["digest"]))
        problems = []
        for name, entry in manifest["files"].items():
            if name not in sizes:
                problems.append(f"{name} is missing")
            elif sizes[name] != entry["size"]:
                problems.append(f"{name} has {sizes[name]} bytes in place of {entry['size']}")
        return Artifact(self, stage, key, manifest["digest"], manifest), problems

    def names(self, stage: str | None = None) -> list[tuple[str, str]]:
        """Stage and key of all that lies where artifacts do, sound or not; sorted."""
        top = self._at("artifacts", *([stage] if stage else []))
        with _told(self.address):
            found = self._sizes(top)
        parts = ((f"{stage}/{name}" if stage else name).split("/") for name in found)
        return sorted({(part[0], part[1]) for part in parts if len(part) > 2})

    def damage(self, artifact: Artifact) -> list[str]:
        """Names of the artifact's files whose bytes are not what was published; reads every byte of the original."""
        bad = []
        for name, entry in artifact.manifest["files"].items():
            digest = hashlib.sha256()
            try:
                with _told(self.address), self.files.open(self._file(artifact, name), "rb") as stream:
                    while block := stream.read(BLOCK):
                        digest.update(block)
            except FileNotFoundError:
                bad.append(name)
                continue
            if digest.hexdigest() != entry["sha256"]:
                bad.append(name)
        return bad

    def check(self, artifact: Artifact, names: Iterable[str], *, again: bool = False) -> list[str]:
        """Which of these files do not hold what was published; brings them to this machine."""
        bad = []
        for name in names:
            copy = self.path(artifact.stage, artifact.key) / name
            if super().check(artifact, [name], again=again):
                copy.unlink(missing_ok=True)  # a damaged copy says nothing of the original
            try:
                self.fetch(artifact, [name])
            except DamagedError:
                bad.append(name)
        return bad

    def fetch(self, artifact: Artifact, names: Iterable[str]) -> Path:
        """The artifact's folder on this machine, with sound copies of these files in it.

        Raises:
            DamagedError: the store no longer holds what was published.
        """
        folder = self.path(artifact.stage, artifact.key)
        for name in names:
            entry = artifact.manifest["files"][name]
            if (folder / name).is_file() and not super().check(artifact, [name]):
                continue
            fresh = self.root / "staging" / f"fetched-{uuid.uuid4().hex}"
            try:
                fresh.parent.mkdir(parents=True, exist_ok=True)
                with _told(self.address):
                    self.files.get_file(self._file(artifact, name), str(fresh))
                if file_digest(fresh) != entry["sha256"]:
                    raise FileNotFoundError
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                fresh.replace(folder / name)
            except FileNotFoundError as error:
                raise DamagedError(
                    f"{name} of {artifact.stage} is gone, or no longer holds what was published",
                    where=f"{self.address}/artifacts/{artifact.stage}/{artifact.key}",
                    fix="run again: it is made anew",
                ) from error
            except OSError as error:
                raise as_store_error(error, fresh) from error
            finally:
                fresh.unlink(missing_ok=True)
        return folder

    def discard(self, stage: str, key: str) -> None:
        """Take an artifact out of the store: its manifest first."""
        folder = self._at("artifacts", stage, key)
        with _told(self.address):
            for path in (f"{folder}/{MANIFEST}", folder):
                try:
                    self.files.rm(path, recursive=True)
                except FileNotFoundError:
                    continue
        super().discard(stage, key)

    @contextmanager
    def lock(self, stage: str, key: str, purpose: str = "") -> Iterator[None]:
        """Hold the key's lease; waits for another holder, and says for whom. A holder that dies loses it."""
        with leased(self.files, self._lease(stage, key), purpose or f"{stage} {key}", self.lease_seconds):
            yield

    def is_locked(self, stage: str, key: str) -> bool:
        """Whether somebody holds the key's lease."""
        return is_leased(self.files, self._lease(stage, key), self.lease_seconds)

    def _publish_files(self, artifact: Artifact) -> None:
        """Upload the files, and then the manifest."""
        folder = self.path(artifact.stage, artifact.key)
        with _told(self.address):
            for name in artifact.manifest["files"]:
                self._make_folder(self._file(artifact, name))
                self.files.put_file(str(folder / name), self._file(artifact, name))
            manifest = self._at("artifacts", artifact.stage, artifact.key, MANIFEST)
            self.files.pipe_file(manifest, (folder / MANIFEST).read_bytes())

    def put_text(self, name: str, text: str) -> None:
        """Write a small object, in place of what was there."""
        with _told(self.address):
            self._make_folder(self._at(name))
            self.files.pipe_file(self._at(name), text.encode())

    def texts(self, folder: str, suffix: str) -> list[bytes]:
        """The bytes of all small objects below a folder whose names end so, in the order of their names."""
        with _told(self.address):
            return [
                self.files.cat_file(self._at(folder, name))
                for name in sorted(self._sizes(self._at(folder)))
                if name.endswith(suffix)
            ]

    def _at(self, *parts: str) -> str:
        return "/".join([self.base.rstrip("/"), *parts])

    def _file(self, artifact: Artifact, name: str) -> str:
        return self._at("artifacts", artifact.stage, artifact.key, artifact.digest, name)

    def _lease(self, stage: str, key: str) -> str:
        return self._at("leases", f"{stage}.{key}.json")

    def _sizes(self, folder: str) -> dict[str, int]:
        """Size of every object below a folder, by its path from there."""
        found = self.files.find(folder, detail=True)
        return {path.removeprefix(f"{folder}/"): info["size"] for path, info in found.items()}

    def _make_folder(self, path: str) -> None:
        """Only local files need folders; on an object store making one could mean making a bucket."""
        if "file" in (self.files.protocol if isinstance(self.files.protocol, tuple) else (self.files.protocol,)):
            self.files.makedirs(self.files._parent(path), exist_ok=True)


@contextmanager
def _told(address: str) -> Iterator[None]:
    """Errors of a network and of a service as errors of the store."""
    try:
        yield
    except (CsipError, FileNotFoundError, FileExistsError):
        raise
    except Exception as error:  # each service has its own exceptions
        raise StoreError(
            f"the store does not do what it must: {type(error).__name__}: {error}",
            where=address,
            fix="check the address, the network and your credentials, and run again; finished artifacts are kept",
        ) from error


def open_store(address: str, workspace: Path) -> Store:
    """The store at a path of this machine or at an address of fsspec.

    Args:
        address: a path, or e.g. s3://bucket/folder.
        workspace: folder on this machine for what an object store needs.
    """
    return ObjectStore(address, workspace.expanduser()) if "://" in address else Store(Path(address))
