"""One holder at a time for a name: locks of files, which the kernel frees when their holder dies."""

import fcntl
import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger("csip")


@contextmanager
def held(path: Path, purpose: str) -> Iterator[None]:
    """Hold the lock of a file; says in the log for whom it waits, and for what.

    The file tells those who wait who holds it. It stays when the lock is freed: another may be about to open it.

    Args:
        path: of the lock; made if it does not exist.
        purpose: what the holder does, for those who wait.
    """
    with path.open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("waiting for %s", holder(path.read_text()))
            fcntl.flock(stream, fcntl.LOCK_EX)
        try:
            stream.truncate(0)
            stream.write(about(purpose))
            stream.flush()
            yield
        finally:
            fcntl.flock(stream, fcntl.LOCK_UN)


def is_held(path: Path) -> bool:
    """Whether somebody holds the lock of a file."""
    try:
        with path.open("a+") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # where no lock can be taken, nothing can be being made
        return False
    return False


def about(purpose: str) -> str:
    """What a holder says of itself, for `holder`."""
    since = time.strftime("%H:%M:%S")
    return json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "purpose": purpose, "since": since})


def holder(text: str) -> str:
    """Who holds a lock, for a person to read."""
    try:
        said = json.loads(text)
        return f"process {said['pid']} on {said['host']}, which since {said['since']} does: {said['purpose']}"
    except (ValueError, KeyError, TypeError):
        return "another process"  # it has the lock, and has not said yet who it is
