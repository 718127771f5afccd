"""One holder at a time for a name on an object store, which knows no locks: a lease that its holder keeps renewing.

A lease is an object that is made only where there is none. Its holder writes it anew every few seconds; who waits, and
sees it unchanged for longer than `SECONDS` by its own clock, takes it over: no clock is compared with another.
Two who take over in the same moment could both go on where the store makes objects without asking whether there is
one; then a key is computed twice and published once more, with the same bytes.
"""

import json
import logging
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from storage.disk import about, holder

log = logging.getLogger("csip")
SECONDS = 30.0
"""For so long a holder may be silent."""


@contextmanager
def leased(files: AbstractFileSystem, path: str, purpose: str, seconds: float = SECONDS) -> Iterator[None]:
    """Hold the lease at a path; waits for another holder, says for whom, and takes over from one that died.

    Args:
        files: the object store.
        path: of the lease.
        purpose: what the holder does, for those who wait.
        seconds: of silence after which a holder is taken for dead.
    """
    token = uuid.uuid4().hex
    _acquire(files, path, token, purpose, seconds)
    over = threading.Event()
    renewing = threading.Thread(target=_renew, args=(files, path, token, purpose, seconds, over), daemon=True)
    renewing.start()
    try:
        yield
    finally:
        over.set()
        renewing.join()
        try:
            if _token(_read(files, path)) == token:
                files.rm_file(path)
        except Exception as error:  # whatever a network may raise: nobody renews it any more, and so it ends
            log.debug("the lease %s could not be given back: %s", path, error)


def is_leased(files: AbstractFileSystem, path: str, seconds: float = SECONDS) -> bool:
    """Whether somebody holds the lease at a path; watches it for as long as a living holder could be silent."""
    first = _read(files, path)
    until = time.monotonic() + seconds
    while first is not None and time.monotonic() < until:
        time.sleep(seconds / 30)
        if _read(files, path) != first:
            return True
    return False


def _acquire(files: AbstractFileSystem, path: str, token: str, purpose: str, seconds: float) -> None:
    last, since, told = None, time.monotonic(), None
    while not _create(files, path, _body(token, purpose)) or _token(_read(files, path)) != token:
        text = _read(files, path)
        if text is None or text != last:
            last, since = text, time.monotonic()
        elif time.monotonic() - since > seconds:
            log.warning("taking over from %s: nothing was heard of it for %g s", holder(text), seconds)
            with suppress(FileNotFoundError):
                files.rm_file(path)
            continue
        if text and _token(text) != told:
            told = _token(text)
            log.info("waiting for %s", holder(text))
        time.sleep(min(1.0, seconds / 30))


def _renew(
    files: AbstractFileSystem, path: str, token: str, purpose: str, seconds: float, over: threading.Event
) -> None:
    while not over.wait(seconds / 4):
        try:
            if _token(_read(files, path)) == token:
                files.pipe_file(path, _body(token, purpose))
        except Exception as error:  # whatever a network may raise: the next renewal may pass
            log.debug("the lease %s could not be renewed: %s", path, error)


def _body(token: str, purpose: str) -> bytes:
    return json.dumps(json.loads(about(purpose)) | {"token": token, "renewed": time.time()}).encode()


def _create(files: AbstractFileSystem, path: str, content: bytes) -> bool:
    """Make an object; False where there is one."""
    try:
        if isinstance(files, LocalFileSystem):  # its pipe_file asks first and writes then
            files.makedirs(files._parent(path), exist_ok=True)
            with files.open(path, "xb") as stream:
                stream.write(content)
        else:
            files.pipe_file(path, content, mode="create")
    except FileExistsError:
        return False
    except OSError as error:
        if "recondition" not in str(error) and "ConditionalRequestConflict" not in str(error):
            raise
        return False
    return True


def _read(files: AbstractFileSystem, path: str) -> str | None:
    try:
        return files.cat_file(path).decode()
    except FileNotFoundError:
        return None


def _token(text: str | None) -> str | None:
    try:
        return str(json.loads(text or "")["token"])
    except (ValueError, KeyError, TypeError):
        return None
