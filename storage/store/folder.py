"""A store in a folder of this machine; and where other stores keep here what is being made and copies of what is read.

locks/<name>.lock          who holds a lock: the kernel frees it when he dies
staging/discarded-<...>    what has left the store and is being deleted
cache/stamps/              how files of artifacts looked when they were last compared with their manifests
"""

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from storage.disk import is_locked, locked, write_whole
from storage.errors import DISK_ERRORS, StoreError, as_store_error
from storage.store.manifests import Listing, Name, file_digest

NEARLY_FULL = 1 << 20  # bytes
DISCARDED = "discarded-"
"""How folders in `staging` begin that hold what has left the store."""


class Folder:
    """A place of a store on this machine: what it cannot write is a StoreError.

    Files have names below the store, such as `runs/x.json`, and are there whole or not at all.

    Args:
        root: the folder; made once something is written.

    Attributes:
        anywhere: the folder as other machines are told of it.
        address: how a configuration names it.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.anywhere, self.address = root, root.absolute(), str(root)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.anywhere,)

    def exists(self) -> bool:
        """Whether there is a store at all; looking at one makes none."""
        return self.root.is_dir()

    def listing(self, folder: str) -> Listing:
        """All files below a folder."""
        found: Listing = {}
        folders = [(os.fspath(self.root / folder), "")]
        while folders:
            path, prefix = folders.pop()
            with suppress(OSError), os.scandir(path) as entries:  # it may vanish meanwhile, and so may each file
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append((entry.path, f"{prefix}{entry.name}/"))
                    else:
                        with suppress(OSError):
                            found[prefix + entry.name] = mark(entry)
        return found

    def names(self, top: str, first: str = "") -> list[Name]:
        """The folders two floors below `top`, sorted."""
        return sorted((path.parent.name, path.name) for path in (self.root / top).glob(f"{first or '*'}/*"))

    def folders(self, top: str, first: str = "") -> dict[Name, Listing]:
        """The files of each folder two floors below `top`, such as stage and key; of all stages, or of this one."""
        return {name: self.listing(f"{top}/{'/'.join(name)}") for name in self.names(top, first)}

    def read(self, names: Iterable[str]) -> dict[str, bytes]:
        """The bytes of small files, without those that are gone; none of one that cannot be read."""
        found = {}
        for name in names:
            try:
                found[name] = (self.root / name).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError:
                found[name] = b""
        return found

    def digest(self, name: str) -> tuple[str, int]:
        """SHA-256 and bytes of a file of any size, by reading it; an OSError where it cannot be read."""
        return file_digest(self.root / name), (self.root / name).stat().st_size

    def put(self, name: str, content: bytes) -> None:
        """Write a small file, in place of what was there."""
        try:
            write_whole(self.root / name, content)
        except OSError as error:
            raise as_store_error(error, self.root / name) from error

    def remove(self, name: str) -> None:
        """Delete a file, if it is there."""
        (self.root / name).unlink(missing_ok=True)

    def withdraw(self, folder: str) -> Callable[[], None] | None:
        """Take a folder out of sight, at once for all who look; what is returned deletes it. None if there is none."""
        aside = self.root / "staging" / f"{DISCARDED}{uuid4().hex}"
        try:
            aside.parent.mkdir(exist_ok=True)
            (self.root / folder).rename(aside)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise as_store_error(error, self.root / folder) from error
        return partial(shutil.rmtree, aside, ignore_errors=True)

    @contextmanager
    def lock(self, name: str, purpose: str) -> Iterator[None]:
        """Hold a lock; waits for another holder, and says for whom. A holder that dies loses it."""
        with ExitStack() as held:
            try:
                held.enter_context(locked(self._lock(name), purpose))
            except OSError as error:
                raise as_store_error(error, self._lock(name)) from error
            yield

    def locked(self, names: Iterable[str]) -> set[str]:
        """Those of these locks that somebody holds."""
        return {name for name in names if is_locked(self._lock(name))}

    def stamps(self, stage: str, key: str) -> Listing:
        """How an artifact's files looked when they were last compared with its manifest; nothing if that is unknown."""
        name = _stamps(stage, key)
        try:
            stamps = json.loads(self.read([name]).get(name, b""))
            return {file: (size, f"{changed} {inode}") for file, (size, changed, inode) in stamps.items()}
        except (ValueError, TypeError, AttributeError):
            return {}

    def keep_stamps(self, stage: str, key: str, files: Listing) -> None:
        """Remember how the files look; where nothing can be kept, they are read again the next time."""
        stamps = {file: [size, *map(int, mark.split())] for file, (size, mark) in files.items()}
        with suppress(StoreError):
            self.put(_stamps(stage, key), json.dumps(stamps).encode())

    @contextmanager
    def staging(self, folder: str, *, keep: bool) -> Iterator[Path]:
        """A folder to make something in: as it was left there if it is to be kept, else new, and gone at the end.

        Raises:
            StoreError: the disk is full or the store read-only, in place of the OSError.
        """
        path = self.root / folder
        try:
            if path.exists() and not keep:
                shutil.rmtree(path)
            path.mkdir(parents=True, exist_ok=True)
            yield path
        except OSError as error:
            if error.errno not in DISK_ERRORS:
                raise
            raise as_store_error(error, path) from error
        except Exception as error:
            # libraries that write in native code report a full disk as errors of their own
            if shutil.disk_usage(self.root).free > NEARLY_FULL:
                raise
            raise as_store_error(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), path) from error
        finally:
            if not keep:
                shutil.rmtree(path, ignore_errors=True)

    def _lock(self, name: str) -> Path:
        return self.root / "locks" / f"{name}.lock"


def mark(path: Path | os.DirEntry[str]) -> tuple[int, str]:
    """What a `Listing` says of a file of this machine; an OSError where there is none."""
    stat = path.stat()
    return stat.st_size, f"{stat.st_mtime_ns} {stat.st_ino}"


def _stamps(stage: str, key: str) -> str:
    return f"cache/stamps/{stage}.{key}.json"
