"""Small files of a store in a folder, such as records of runs and manifests: each is written whole or not at all."""

from collections.abc import Iterable
from pathlib import Path

from storage.disk import write_whole
from storage.errors import as_store_error
from storage.store.artifact_stamps import Listing, files_below


class SmallFiles:
    """Files by their name below a folder, e.g. `runs/x.json`.

    Args:
        root: the folder; made once something is written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def exists(self) -> bool:
        """Whether there is a store at all."""
        return self.root.is_dir()

    def put_text(self, name: str, text: str) -> None:
        """Write a small file of the store whole, in place of what was there, e.g. `runs/x.json`.

        Raises:
            StoreError: the store cannot be written.
        """
        path = self.root / name
        try:
            write_whole(path, text.encode())
        except OSError as error:
            raise as_store_error(error, path) from error

    def listing(self, folder: str) -> Listing:
        """All files below a folder of the store."""
        return files_below(self.root / folder)

    def read(self, names: Iterable[str]) -> dict[str, bytes]:
        """The bytes of small files of the store; without those that are gone, and none of one that cannot be read."""
        found = {}
        for name in names:
            try:
                found[name] = (self.root / name).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError:
                found[name] = b""
        return found

    def remove(self, name: str) -> None:
        """Delete a small file of the store, if it is there."""
        (self.root / name).unlink(missing_ok=True)
