"""A store on an object store (S3, Google Cloud Storage, ...), through fsspec: nothing is renamed there, nor locked.

leases/<name>.json    who holds a lock, see `storage.store.leases`
probes/               gone as soon as they are written
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from storage.addresses import opened, told
from storage.errors import StoreError
from storage.store import manifests
from storage.store.folder import Folder
from storage.store.leases import SECONDS, Lease
from storage.store.manifests import MANIFEST, Listing, Manifest, Name, digest_of, folder_of

BLOCK = 1 << 22  # bytes
PROBES = "probes"
"""Folder for what is written only to see whether it can be."""
UPLOADS = 16
"""Files at once: an index of many shards is many small files, and each is a wait for the service."""


class Bucket:
    """A place at an address that fsspec understands, e.g. s3://bucket/folder; a network that fails is a StoreError.

    It has the methods of `storage.store.folder.Folder` that a store asks of any place; they are described there.

    Args:
        address: of the store.
        workspace: folder on this machine for all such stores.
        lease_seconds: of silence after which a process that holds a lock is taken for dead.

    Attributes:
        anywhere: the store's folder in the workspace, as other machines are told of it: a `~` is theirs.
        here: that folder on this machine.

    Raises:
        SettingsError: there are credentials in the address.
        EnvironmentProblem: the package that speaks this protocol is not installed.
    """

    def __init__(self, address: str, workspace: Path, lease_seconds: float = SECONDS) -> None:
        self.address, self.lease_seconds = address, lease_seconds
        self.files, self.base = opened(address)
        workspace = workspace if str(workspace).startswith("~") else workspace.absolute()
        self.anywhere = workspace / hashlib.sha256(address.encode()).hexdigest()[:12]
        self.here = Folder(self.anywhere.expanduser())

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.address, self.anywhere.parent, self.lease_seconds)

    def exists(self) -> bool:
        with suppress(FileNotFoundError), self._told():
            return bool(self.files.ls(self.base, detail=False))
        return False

    def listing(self, folder: str) -> Listing:
        top = self._at(folder)
        with self._told():
            found = self.files.find(top, detail=True)
        # what tells one from another is all that the service says of it
        return {path.removeprefix(f"{top}/"): (info["size"], digest_of(info)) for path, info in found.items()}

    def folders(self, top: str, first: str = "") -> dict[Name, Listing]:
        found: dict[Name, Listing] = {}
        prefix = f"{first}/" if first else ""
        for path, entry in self.listing(f"{top}/{prefix}".rstrip("/")).items():
            parts = (prefix + path).split("/", 2)
            if len(parts) == 3:
                found.setdefault((parts[0], parts[1]), {})[parts[2]] = entry
        return found

    def read(self, names: Iterable[str]) -> dict[str, bytes]:
        names = list(names)
        with self._told():
            # many at once; `cat` would take a name with a star for a pattern
            found = self.files.cat_ranges([self._at(name) for name in names], None, None) if names else []
            for error in found:
                if isinstance(error, Exception) and not isinstance(error, FileNotFoundError):
                    raise error
        return {name: content for name, content in zip(names, found, strict=True) if isinstance(content, bytes)}

    def manifest(self, stage: str, key: str, mark: str) -> Manifest | None:
        """The manifest of an artifact, if it is one; kept on this machine, under all that the service says of it."""
        kept, original = f"cache/manifests/{stage}.{key}.{mark}", f"{folder_of(stage, key)}/{MANIFEST}"
        manifest = manifests.read(self.here.read([kept]).get(kept, b""))
        if manifest is None:
            content = self.read([original]).get(original, b"")
            manifest = manifests.read(content)
            if manifest:
                with suppress(StoreError):  # where nothing can be kept, it is read again the next time
                    self.here.put(kept, content)
        return manifest

    def digest(self, name: str) -> tuple[str, int]:
        digest, size = hashlib.sha256(), 0
        with self._told(), self.files.open(self._at(name), "rb") as stream:
            while block := stream.read(BLOCK):
                digest.update(block)
                size += len(block)
        return digest.hexdigest(), size

    def fetch(self, name: str, target: Path) -> None:
        """Copy a file of the store to this machine; a FileNotFoundError where there is none."""
        with self._told():
            self.files.get_file(self._at(name), str(target))

    def send(self, files: Mapping[str, Path]) -> None:
        """Copy files of this machine to names in the store, many at once."""

        def upload(name: str) -> None:
            self._make_folder(name)
            self.files.put_file(str(files[name]), self._at(name))

        with self._writing(), ThreadPoolExecutor(UPLOADS) as threads:
            list(threads.map(upload, files))  # an error of one is raised here

    def put(self, name: str, content: bytes) -> None:
        with self._writing():
            self._make_folder(name)
            self.files.pipe_file(self._at(name), content)

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError), self._told():
            self.files.rm_file(self._at(name))

    def withdraw(self, folder: str) -> Callable[[], None]:
        self.remove(f"{folder}/{MANIFEST}")  # without it a folder is out of sight

        def delete() -> None:
            with suppress(FileNotFoundError), self._told():
                self.files.rm(self._at(folder), recursive=True)

        return delete

    @contextmanager
    def lock(self, name: str, purpose: str) -> Iterator[None]:
        with ExitStack() as held:
            with self._writing():
                held.enter_context(self._lease(name).held(purpose))
            yield

    def locked(self, names: Iterable[str]) -> set[str]:
        there = self.listing("leases")
        asked = [name for name in names if f"{name}.json" in there]  # few are, and all of them are watched at once
        with ThreadPoolExecutor(max(1, len(asked))) as threads:
            held = threads.map(lambda name: self._lease(name).is_held(), asked)
            return {name for name, answer in zip(asked, held, strict=True) if answer}

    def _lease(self, name: str) -> Lease:
        return Lease(self.files, self._at(f"leases/{name}.json"), self.lease_seconds)

    def _at(self, name: str) -> str:
        return f"{self.base}/{name}"

    def _make_folder(self, name: str) -> None:
        """Only local files need folders; on an object store making one could mean making a bucket."""
        if "file" in (self.files.protocol if isinstance(self.files.protocol, tuple) else (self.files.protocol,)):
            self.files.makedirs(self.files._parent(self._at(name)), exist_ok=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """As `_told`; who writes needs nothing to be there but the place itself."""
        try:
            with self._told():
                yield
        except FileNotFoundError as error:
            raise StoreError(
                f"the store's place is not there: {error}",
                where=self.address,
                fix="make the bucket, or name another place with --set store=ADDRESS",
            ) from error

    def _told(self) -> AbstractContextManager[None]:
        """Errors of a network and of a service as errors of the store."""
        return told(StoreError, "the store does not do what it must", self.address)
