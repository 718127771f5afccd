"""Small files of a store at an address that fsspec understands, and the errors that may come of it."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

from storage.addresses import opened, told
from storage.errors import StoreError
from storage.store.artifact_stamps import Listing
from storage.store.manifests import digest_of


class RemoteFiles:
    """As `SmallFiles`, at an address.

    Args:
        address: e.g. s3://bucket/folder.

    Raises:
        SettingsError: there are credentials in the address.
        EnvironmentProblem: the package that speaks this protocol is not installed.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.files, self.base = opened(address)

    def exists(self) -> bool:
        """Whether anything lies at the address."""
        with suppress(FileNotFoundError), self._told():
            return bool(self.files.ls(self.base, detail=False))
        return False

    def listing(self, folder: str) -> Listing:
        """All files below a folder of the store; what tells one from another is all that the service says of it."""
        top = self._at(folder)
        with self._told():
            found = self.files.find(top, detail=True)
        return {path.removeprefix(f"{top}/"): (info["size"], digest_of(info)) for path, info in found.items()}

    def read(self, names: Iterable[str]) -> dict[str, bytes]:
        """The bytes of small files of the store, without those that are gone; many at once."""
        names = list(names)
        with self._told():
            # `cat` would take a name with a star for a pattern
            found = self.files.cat_ranges([self._at(name) for name in names], None, None) if names else []
            for error in found:
                if isinstance(error, Exception) and not isinstance(error, FileNotFoundError):
                    raise error
        return {name: text for name, text in zip(names, found, strict=True) if isinstance(text, bytes)}

    def put_text(self, name: str, text: str) -> None:
        """Write a small file of the store, in place of what was there."""
        with self._writing():
            self._make_folder(self._at(name))
            self.files.pipe_file(self._at(name), text.encode())

    def remove(self, name: str) -> None:
        """Delete a small file of the store, if it is there."""
        with suppress(FileNotFoundError), self._told():
            self.files.rm_file(self._at(name))

    def _at(self, *parts: str) -> str:
        return "/".join([self.base, *parts])

    def _make_folder(self, path: str) -> None:
        """Only local files need folders; on an object store making one could mean making a bucket."""
        if "file" in (self.files.protocol if isinstance(self.files.protocol, tuple) else (self.files.protocol,)):
            self.files.makedirs(self.files._parent(path), exist_ok=True)

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
