"""Copies on this machine of files that lie elsewhere: each is there whole or not at all, and fetched by one at a time.

A copy is known by a key that holds all that the service says of the original, so that it is never out of date. The
folder may be deleted at any time; where nothing can be kept, files are fetched again.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from storage.disk import locked, whole, write_whole
from storage.frames.local import read_whole

log = logging.getLogger("csip")


class FileCache:
    """Copies in a folder of this machine, by their keys: any number of threads and processes may use it at once.

    Args:
        folder: made once something is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.expanduser()
        self._warned = False

    def path(self, key: str) -> Path:
        """Where a copy lies, or would."""
        return self.folder / key[:2] / key

    def has(self, key: str, size: int) -> bool:
        """Whether there is a copy of so many bytes."""
        try:
            return os.stat(self.path(key)).st_size == size
        except OSError:
            return False

    def read(self, key: str, size: int) -> bytes | None:
        """The bytes of a copy; None if there is none, or one of another length (a disk that lost its end)."""
        try:
            content = read_whole(f"{self.folder}/{key[:2]}/{key}")  # a Path costs as much as reading
        except OSError:
            return None
        return content if len(content) == size else None

    def keep(self, key: str, content: bytes) -> None:
        """Make a copy, if the disk lets us."""
        try:
            write_whole(self.path(key), content)
        except OSError as error:
            if not self._warned:
                log.warning("fetched frames cannot be kept, and are fetched again each time: %s", error)
            self._warned = True

    def fresh(self, key: str) -> AbstractContextManager[Path]:
        """A file to write that becomes the copy once all of it was written."""
        return whole(self.path(key))

    @contextmanager
    def claimed(self, key: str, *, wait: bool) -> Iterator[bool]:
        """Be the one on this machine who fetches a file; False where another is, and we do not wait for him.

        Who waited looks first whether the copy is there now. A holder that dies loses his claim.
        """
        with ExitStack() as claim:
            try:
                mine = claim.enter_context(locked(self.path(f"{key}.lock"), wait=wait, stays=False))
            except OSError:  # nothing can be kept here: everybody fetches for himself
                mine = True
            yield mine
