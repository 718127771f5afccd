"""One holder at a time for a name on an object store, which knows no locks: a lease that its holder keeps renewing.

A lease is an object that is made only where there is none. Its holder writes it anew every few seconds; who waits, and
sees it unchanged for longer than `SECONDS` by its own clock, takes it over: no clock is compared with another.
Two who take over in the same moment could both go on where the store makes objects without asking whether there is
one; then a key is computed twice and published once more, with the same bytes.
"""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from uuid import uuid4

from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from storage.disk import about, holder
from storage.threads import repeating

log = logging.getLogger("csip")
SECONDS = 30.0
"""For so long a holder may be silent."""


@dataclass(frozen=True)
class Lease:
    """The lease at a path of an object store; of silence for so many seconds, its holder is taken for dead."""

    files: AbstractFileSystem
    path: str
    seconds: float = SECONDS
    token: str = field(default_factory=lambda: uuid4().hex)

    @contextmanager
    def held(self, purpose: str) -> Iterator[None]:
        """Hold it; waits for another holder, says for what purpose that has it, and takes over from one that died."""
        self._acquire(purpose)
        try:
            with repeating(partial(self._renew, purpose), self.seconds / 4):
                yield
        finally:
            try:
                if self._is_mine():
                    self.files.rm_file(self.path)
            except Exception as error:  # whatever a network may raise: nobody renews it any more, and so it ends
                log.debug("the lease %s could not be given back: %s", self.path, error)

    def is_held(self) -> bool:
        """Whether somebody holds it; watches it for as long as a living holder could be silent."""
        first = self._read()
        until = time.monotonic() + self.seconds
        while first is not None and time.monotonic() < until:
            time.sleep(self.seconds / 30)
            if self._read() != first:
                return True
        return False

    def _acquire(self, purpose: str) -> None:
        last, since, told = None, time.monotonic(), None
        while not self._create(purpose) or not self._is_mine():
            text = self._read()
            if text is None or text != last:
                last, since = text, time.monotonic()
            elif time.monotonic() - since > self.seconds:
                log.warning("taking over from %s: nothing was heard of it for %g s", holder(text), self.seconds)
                with suppress(FileNotFoundError):
                    self.files.rm_file(self.path)
                continue
            if text and _token(text) != told:
                told = _token(text)
                log.info("waiting for %s", holder(text))
            time.sleep(min(1.0, self.seconds / 30))

    def _renew(self, purpose: str) -> None:
        try:
            if self._is_mine():
                self.files.pipe_file(self.path, self._body(purpose))
        except Exception as error:  # whatever a network may raise: the next renewal may pass
            log.debug("the lease %s could not be renewed: %s", self.path, error)

    def _create(self, purpose: str) -> bool:
        """Make the object; False where there is one."""
        try:
            if isinstance(self.files, LocalFileSystem):  # its pipe_file asks first and writes then
                self.files.makedirs(self.files._parent(self.path), exist_ok=True)
                with self.files.open(self.path, "xb") as stream:
                    stream.write(self._body(purpose))
            else:
                self.files.pipe_file(self.path, self._body(purpose), mode="create")
        except FileExistsError:
            return False
        except OSError as error:
            if "recondition" not in str(error) and "ConditionalRequestConflict" not in str(error):
                raise
            return False
        return True

    def _body(self, purpose: str) -> bytes:
        return json.dumps(json.loads(about(purpose)) | {"token": self.token, "renewed": time.time()}).encode()

    def _read(self) -> str | None:
        with suppress(FileNotFoundError):
            return bytes(self.files.cat_file(self.path)).decode()
        return None

    def _is_mine(self) -> bool:
        return _token(self._read()) == self.token


def _token(text: str | None) -> str | None:
    try:
        return str(json.loads(text or "")["token"])
    except (ValueError, KeyError, TypeError):
        return None
