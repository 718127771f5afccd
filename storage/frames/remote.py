"""The loose files of a data root at an address: fetched many at once, and kept on this machine.

The stamp of an object is part of the name of its copy: one that changed has another, so that its old copy is not asked
for any more.
"""

import errno
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from hashlib import blake2b
from pathlib import Path
from threading import BoundedSemaphore
from typing import TypeVar

import numpy as np
import pyarrow as pa

from storage.addresses import DataAddress
from storage.errors import DataError
from storage.frames.archives import outside
from storage.frames.cache import FileCache
from storage.frames.listing import RemoteListing, parent_of, size_of
from storage.frames.stamps import MISSING, WIDTH, Stamps
from storage.progress import Progress, silent
from storage.threads import mapped

FETCHERS, FILES_A_REQUEST = 8, 32
"""Groups of files fetched at once, and files of a group: 256 files are on their way."""

FETCHING = BoundedSemaphore(FETCHERS)
"""Of all readers of a process together: a file on its way is an open one."""

AHEAD = 8
"""Items whose files are fetched before they are asked for."""

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
FRAMES_AT_ONCE = 1 << 15
T = TypeVar("T")


class RemoteData:
    """What lies at an address; the same methods as `storage.frames.local.LocalFiles`, where they are described.

    Raises:
        SettingsError: there are credentials in the address.
        EnvironmentProblem: the package that speaks its protocol is not installed.
        DataError: the service cannot be asked.
    """

    def __init__(self, root: DataAddress) -> None:
        self.root = root
        self.listing = RemoteListing(root)
        self.copies = FileCache(root.cache)
        self._place = blake2b(f"{self.listing.files.protocol}\0{self.listing.base}\0".encode(), digest_size=20)

    def there(self) -> bool:
        return self.is_archive() or bool(self.top())

    def is_archive(self) -> bool:
        return self.listing.itself is not None

    def top(self) -> list[str]:
        if self.is_archive():
            return []
        folder = self.listing.folder("")
        return [*folder.files, *folder.folders]

    def read(self, name: str) -> bytes:
        """The bytes of a file: of its copy, or fetched.

        Raises:
            FileNotFoundError: there is none.
            DataError: the service cannot be asked.
        """
        stamp = self.listing.stamp(name)
        if stamp is None:
            raise FileNotFoundError(name)
        key, size = self._key(name, stamp), size_of(stamp)
        content = self.copies.read(key, size)
        if content is None:
            content = self._bring([name]).get(name)
        if content is None:  # another has fetched it meanwhile
            content = self.copies.read(key, size)
        if content is None:
            raise FileNotFoundError(name)
        return content

    def exists(self, name: str) -> bool:
        if outside(name):
            return False
        parent, _, last = name.rpartition("/")
        folder = self.listing.folder(parent)
        return folder.stamp(last) is not None or last in folder.folders

    def below(self, name: str) -> Iterator[str]:
        if self.listing.stamp(name) is not None:
            yield name
        level = [name]
        while level:
            self.listing.look(level)
            for folder in level:
                yield from (f"{folder}/{file}" for file in self.listing.folder(folder).files)
            level = [f"{folder}/{inner}" for folder in level for inner in sorted(self.listing.folder(folder).folders)]

    def stamps(self, names: pa.Array, progress: Progress = silent) -> Stamps:
        """Stamps of files, in the order given; a listing of each of their folders."""
        missing = np.full(WIDTH, MISSING, np.int64).tobytes()
        parts = []
        for start in range(0, len(names), FRAMES_AT_ONCE):
            some = names.slice(start, FRAMES_AT_ONCE).to_pylist()
            self.listing.look({parent_of(name) for name in some})
            parts.append(b"".join(self.listing.stamp(name) or missing for name in some))
            progress(start + len(some), len(names), "frames")
        return np.frombuffer(b"".join(parts), np.int64).reshape(-1, WIDTH).copy()

    def settled(self, stamps: Stamps, since_ns: int) -> Stamps:
        """The stamps: a service tells each object from the one before, whatever the time."""
        return stamps

    def stamp(self, name: str) -> tuple[int, int, int, int] | None:
        stamp = self.listing.stamp(name)
        if stamp is None:
            return None
        size, *mark = np.frombuffer(stamp, np.int64).tolist()
        return size, mark[0], mark[1], mark[2]

    def path(self, name: str) -> Path:
        """Where a file, or the root itself (an empty name), can be read on this machine: fetched whole, once.

        Raises:
            FileNotFoundError: there is none.
            DataError: it cannot be fetched, or there is no room for it.
        """
        stamp = self.listing.stamp(name)
        if stamp is None:
            raise FileNotFoundError(name)
        key = self._key(name, stamp)
        try:
            with self.copies.claimed(key, wait=True):
                if not self.copies.has(key, size_of(stamp)):
                    with self.copies.fresh(key) as file, self.listing.told():
                        self.listing.files.get_file(self.listing.at(name), str(file))
        except (OSError, DataError) as error:
            cause = error.__cause__ or error
            if isinstance(error, DataError) and getattr(cause, "errno", None) not in FULL:
                raise
            raise DataError(
                f"this cannot be brought to this machine: {cause}",
                where=self.where(name),
                fix=f"make sure that it is still there, and of room in {self.copies.folder}, or set another data.cache",
            ) from error
        return self.copies.path(key)

    def where(self, name: str) -> str:
        return f"{self.root.address.rstrip('/')}/{name}" if name else self.root.address

    def fetch(self, names: Iterable[str], progress: Progress = silent) -> None:
        """Bring files to this machine, many at once, those that are not here yet; what is not there is left out.

        Args:
            names: of files; empty ones are left out.
            progress: told of files that were fetched.

        Raises:
            DataError: the service cannot be asked.
        """
        names = [name for name in dict.fromkeys(names) if name]
        self.listing.look({parent_of(name) for name in names})
        absent = [name for name in names if self._is_absent(name)]
        starts = range(0, len(absent), FILES_A_REQUEST)
        groups = [absent[start : start + FILES_A_REQUEST] for start in starts]
        if len(groups) == 1:
            self._bring(groups[0])
            return
        for number, _ in enumerate(mapped(self._bring, groups, FETCHERS), start=1):
            progress(min(number * FILES_A_REQUEST, len(absent)), len(absent), "files fetched")

    def ahead(self, items: Iterable[T], names: Callable[[T], Iterable[str]]) -> Iterator[T]:
        """The items in their order; while one is used, the files of the next are fetched.

        Args:
            items: such as tracklets.
            names: of the files that an item needs.

        Raises:
            DataError: the service cannot be asked.
        """

        def brought(item: T) -> T:
            self.fetch(names(item))
            return item

        yield from mapped(brought, items, AHEAD)

    def _bring(self, names: Sequence[str], *, wait: bool = False) -> dict[str, bytes]:
        """Fetch and keep files that others do not fetch just now, and then wait for those; what was fetched here."""
        stamps = {name: stamp for name in names if (stamp := self.listing.stamp(name))}
        keys = {name: self._key(name, stamp) for name, stamp in stamps.items()}
        with FETCHING, ExitStack() as claims:
            held = {n: claims.enter_context(self.copies.claimed(key, wait=wait)) for n, key in keys.items()}
            found = self._get({n: size_of(stamps[n]) for n, mine in held.items() if mine and self._is_absent(n)})
            for name, content in found.items():
                if len(content) == size_of(stamps[name]):  # else it changed since it was listed
                    self.copies.keep(keys[name], content)
        for name, mine in held.items():
            if not mine:  # none is held while one is waited for, so that two never wait for each other
                found |= self._bring([name], wait=True)
        return found

    def _get(self, sizes: Mapping[str, int]) -> dict[str, bytes]:
        """The bytes of objects of known sizes, without those that are gone."""
        asked = [name for name, size in sizes.items() if size]
        found = dict.fromkeys(sizes.keys() - set(asked), b"")
        if asked:
            # with their ends, since s3fs first asks how long an object is if it is not told
            ends = [sizes[name] for name in asked]
            with self.listing.told():
                places = [self.listing.at(name) for name in asked]
                answers = self.listing.files.cat_ranges(places, [0] * len(asked), ends)
                for answer in answers:
                    if isinstance(answer, Exception) and not isinstance(answer, FileNotFoundError):
                        raise answer
            found |= {name: answer for name, answer in zip(asked, answers, strict=True) if isinstance(answer, bytes)}
        return found

    def _is_absent(self, name: str) -> bool:
        """Whether a file is there, and no copy of it here."""
        stamp = self.listing.stamp(name)
        return stamp is not None and not self.copies.has(self._key(name, stamp), size_of(stamp))

    def _key(self, name: str, stamp: bytes) -> str:
        key = self._place.copy()
        key.update(f"{name}\0".encode() + stamp)
        return key.hexdigest()
