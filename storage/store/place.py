"""What a store asks of the place where it lies, a folder of this machine or a bucket.

Files have names below the store, such as `runs/x.json`, and are there whole or not at all.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Protocol

from storage.store.manifests import Name

Listing = dict[str, tuple[int, str]]
"""Files by their path below a folder: size in bytes, and what tells a file from one that took its place."""


class Place(Protocol):
    """Where a store is; what it cannot write, and a network that fails, is a StoreError."""

    def exists(self) -> bool:
        """Whether there is a store at all; looking at one makes none."""

    def listing(self, folder: str) -> Listing:
        """All files below a folder."""

    def folders(self, top: str, first: str = "") -> dict[Name, Listing]:
        """The files of each folder two floors below `top`, such as stage and key; of all stages, or of this one."""

    def read(self, names: Iterable[str]) -> dict[str, bytes]:
        """The bytes of small files, without those that are gone; none of one that cannot be read."""

    def digest(self, name: str) -> tuple[str, int]:
        """SHA-256 and bytes of a file of any size, by reading it; an OSError where it cannot be read."""

    def put(self, name: str, content: bytes) -> None:
        """Write a small file, in place of what was there."""

    def remove(self, name: str) -> None:
        """Delete a file, if it is there."""

    def withdraw(self, folder: str) -> Callable[[], None] | None:
        """Take a folder out of sight, at once for all who look; what is returned deletes it. None if there is none."""

    def lock(self, name: str, purpose: str) -> AbstractContextManager[None]:
        """Hold a lock; waits for another holder, and says for whom. A holder that dies loses it."""

    def locked(self, names: Iterable[str]) -> set[str]:
        """Those of these locks that somebody holds."""
