"""The artifact store on an object store (S3, Google Cloud Storage, ...), through fsspec.

    <address>/artifacts/<stage>/<key>/<digest>/<file>    what an artifact holds
    <address>/artifacts/<stage>/<key>/manifest.json      written last, at once: with it the artifact exists
    <address>/leases/<stage>.<key>.json                  who makes it
    <address>/trainings/<stage>/<lineage>/               states of trainings, see storage.store.remote_states
    <address>/runs/<run>.json
    <address>/probes/                                    gone as soon as they are written

Nothing is renamed there, and no object is written twice with other bytes: files lie under the digest of what they are
together. A folder on this machine holds what is being made and copies of what steps read, each compared with the
manifest when it arrives.
"""

import hashlib
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from storage.addresses import is_address
from storage.errors import DamagedError, StoreError, as_store_error
from storage.store import manifests
from storage.store.artifact_stamps import Listing
from storage.store.artifacts import Artifact, Store, opened_here
from storage.store.leases import SECONDS, is_leased, leased
from storage.store.manifests import MANIFEST, file_digest
from storage.store.remote_states import RemoteStates
from storage.store.small_files import SmallFiles

BLOCK = 1 << 22  # bytes
PROBES = "probes"
"""Folder for what is written only to see whether it can be."""
LOOKS = 32
"""Artifacts that are looked for at once: each is a wait for the service, and a run has thousands."""
UPLOADS = 16
"""Files at once: an index of many shards is many small files, and each is a wait for the service."""


class ObjectStore(RemoteStates, Store):
    """Artifacts at an address that fsspec understands, e.g. s3://bucket/folder.

    Args:
        address: of the store.
        workspace: folder on this machine for all such stores.
        lease_seconds: of silence after which a process that makes an artifact is taken for dead.

    Raises:
        SettingsError: there are credentials in the address.
        EnvironmentProblem: the package that speaks this protocol is not installed.
    """

    def __init__(self, address: str, workspace: Path, lease_seconds: float = SECONDS) -> None:
        workspace = workspace if str(workspace).startswith("~") else workspace.absolute()
        anywhere = workspace / hashlib.sha256(address.encode()).hexdigest()[:12]
        Store.__init__(self, anywhere.expanduser())
        RemoteStates.__init__(self, address)
        self.anywhere = anywhere
        self.lease_seconds = lease_seconds

    def __reduce__(self) -> tuple[Any, ...]:
        return opened_here, (type(self), (self.address, self.anywhere.parent, self.lease_seconds))

    def prepare(self) -> None:
        """Make sure that the address and the workspace can be written.

        Raises:
            StoreError: one of them cannot.
        """
        super().prepare()
        probe = f"{PROBES}/{uuid.uuid4().hex}"
        self.put_text(probe, "")
        self.remove(probe)

    def examine(self, stage: str, key: str) -> tuple[Artifact | None, list[str]]:
        """The published artifact, if there is one, and what is wrong with it, file by file; compares sizes."""
        return self._compare(stage, key, self.listing(f"artifacts/{stage}/{key}"))

    def examine_many(self, names: Sequence[tuple[str, str]]) -> list[tuple[Artifact | None, list[str]]]:
        """What `examine` says of each stage and key; many at once."""
        with ThreadPoolExecutor(LOOKS) as threads:
            return list(threads.map(lambda name: self.examine(*name), names))

    def names(self, stage: str | None = None) -> list[tuple[str, str]]:
        """Stage and key of all that has a manifest, sound or not; sorted."""
        return sorted(self.lying(stage))

    def lying(self, stage: str | None = None) -> dict[tuple[str, str], Listing]:
        """The files of all that `names` names; one request."""
        return {name: files for name, files in self._folders(stage).items() if MANIFEST in files}

    def half(self) -> dict[tuple[str, str], Listing]:
        """Files without a manifest: they are being uploaded, or that or their deletion was interrupted."""
        return {name: files for name, files in self._folders().items() if MANIFEST not in files}

    def copies(self) -> list[tuple[str, str]]:
        """Stage and key of copies on this machine of what is not in the store."""
        return sorted({*Store.names(self)} - self._folders().keys())

    def place(self, artifact: Artifact, name: str) -> str:
        """Where, below an artifact's folder, one of its files lies."""
        return f"{artifact.digest}/{name}"

    def length(self, artifact: Artifact, name: str) -> int:
        """Bytes of one of the artifact's files in the store.

        Raises:
            OSError: there is none.
        """
        with self._told():
            return int(self.files.size(self._file(artifact, name)))

    def damage(self, artifact: Artifact) -> list[str]:
        """Names of the artifact's files whose bytes are not what was published; reads every byte of the original."""
        bad = []
        for name, entry in artifact.manifest["files"].items():
            digest = hashlib.sha256()
            try:
                with self._told(), self.files.open(self._file(artifact, name), "rb") as stream:
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
                with self._told():
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

    def withdraw(self, stage: str, key: str) -> Callable[[], None]:
        """Take an artifact out of sight, its manifest first; what is returned deletes its files."""
        delete_copy = super().withdraw(stage, key)
        self.remove(f"artifacts/{stage}/{key}/{MANIFEST}")

        def delete() -> None:
            with suppress(FileNotFoundError), self._told():
                self.files.rm(self._at("artifacts", stage, key), recursive=True)
            if delete_copy:
                delete_copy()

        return delete

    @contextmanager
    def lock(self, stage: str, key: str, purpose: str = "") -> Iterator[None]:
        """Hold the key's lease; waits for another holder, and says for whom. A holder that dies loses it."""
        with ExitStack() as held:
            with self._writing():
                held.enter_context(
                    leased(self.files, self._lease(stage, key), purpose or f"{stage} {key}", self.lease_seconds)
                )
            yield

    def is_locked(self, stage: str, key: str) -> bool:
        """Whether somebody holds the key's lease."""
        return is_leased(self.files, self._lease(stage, key), self.lease_seconds)

    def locked(self, names: Iterable[tuple[str, str]]) -> frozenset[tuple[str, str]]:
        """Those of these keys whose lease somebody holds: most have none, and all that have one are watched at once."""
        there = self.listing("leases")
        asked = [(stage, key) for stage, key in names if f"{stage}.{key}.json" in there]
        with ThreadPoolExecutor(max(1, len(asked))) as threads:
            held = threads.map(lambda name: self.is_locked(*name), asked)
            return frozenset(name for name, answer in zip(asked, held, strict=True) if answer)

    def _publish_files(self, artifact: Artifact) -> None:
        """Upload the files, and then the manifest."""
        folder = self.path(artifact.stage, artifact.key)

        def upload(name: str) -> None:
            self._make_folder(self._file(artifact, name))
            self.files.put_file(str(folder / name), self._file(artifact, name))

        with self._writing(), ThreadPoolExecutor(UPLOADS) as threads:
            list(threads.map(upload, artifact.manifest["files"]))  # an error of one is raised here
            manifest = self._at("artifacts", artifact.stage, artifact.key, MANIFEST)
            self.files.pipe_file(manifest, (folder / MANIFEST).read_bytes())

    def _examined(self, stage: str | None) -> list[tuple[Artifact | None, list[str]]]:
        return [self._compare(*name, files) for name, files in sorted(self.lying(stage).items())]

    def _compare(self, stage: str, key: str, files: Listing) -> tuple[Artifact | None, list[str]]:
        """What `examine` says of an artifact, from the listing of its folder."""
        if MANIFEST not in files:
            return None, []
        manifest = self._manifest(stage, key, files[MANIFEST][1])
        if manifest is None or manifest.get("key") != key:
            return None, [f"{MANIFEST} is not what was written"]
        artifact = Artifact(self, stage, key, manifest["digest"], manifest)
        problems = []
        for name, entry in manifest["files"].items():
            size, _ = files.get(self.place(artifact, name), (None, ""))
            if size is None:
                problems.append(f"{name} is missing")
            elif size != entry["size"]:
                problems.append(f"{name} has {size} bytes in place of {entry['size']}")
        return artifact, problems

    def _manifest(self, stage: str, key: str, mark: str) -> dict[str, Any] | None:
        """The manifest that lies there; kept on this machine, under what the service says of the object."""
        kept = f"cache/manifests/{stage}.{key}.{mark}"
        manifest = manifests.read(SmallFiles.read(self, [kept]).get(kept, b""))
        if manifest is None:
            original = f"artifacts/{stage}/{key}/{MANIFEST}"
            text = self.read([original]).get(original, b"")
            manifest = manifests.read(text)
            if manifest:
                with suppress(StoreError):  # where nothing can be kept, it is read again the next time
                    SmallFiles.put_text(self, kept, text.decode())
        return manifest

    def _folders(self, stage: str | None = None) -> dict[tuple[str, str], Listing]:
        """What lies below each stage and key."""
        found: dict[tuple[str, str], Listing] = {}
        for path, entry in self.listing(f"artifacts/{stage}" if stage else "artifacts").items():
            parts = (f"{stage}/{path}" if stage else path).split("/", 2)
            if len(parts) == 3:
                found.setdefault((parts[0], parts[1]), {})[parts[2]] = entry
        return found

    def _file(self, artifact: Artifact, name: str) -> str:
        return self._at("artifacts", artifact.stage, artifact.key, self.place(artifact, name))

    def _lease(self, stage: str, key: str) -> str:
        return self._at("leases", f"{stage}.{key}.json")


def open_store(address: str, workspace: Path) -> Store:
    """The store at a path of this machine or at an address of fsspec.

    Args:
        address: a path, or e.g. s3://bucket/folder.
        workspace: folder on this machine for what an object store needs.
    """
    return ObjectStore(address, workspace) if is_address(address) else Store(Path(address))
