"""Files and folders that several processes use: held by one at a time, and there whole or not at all."""

import fcntl
import json
import logging
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from uuid import uuid4

log = logging.getLogger("csip")
NEW = ".new"
"""How the names of files end that are not whole yet, or whose writer was killed."""


@contextmanager
def locked(
    path: Path, purpose: str = "", *, wait: bool = True, stays: bool = True, waiting: Callable[[], object] | None = None
) -> Iterator[bool]:
    """Hold the lock of a file, which the kernel frees when its holder dies; an OSError where there is none to be had.

    Args:
        path: of the lock; made, with its folder, if it does not exist.
        purpose: what the holder does; it is written into the file, and who waits says it in the log.
        wait: for another holder; else, where there is one, False is given and nothing is held.
        stays: the file is left there when the lock is freed; else those who wait for it look again.
        waiting: called if one must wait.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("a+") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not wait:
                    yield False
                    return
                if waiting:
                    waiting()
                if purpose:
                    stream.seek(0)
                    log.info("waiting for %s", holder(stream.read()))
                fcntl.flock(stream, fcntl.LOCK_EX)
            if not _is_at(path, stream):
                continue
            try:
                if purpose:
                    stream.truncate(0)
                    stream.write(about(purpose))
                    stream.flush()
                yield True
            finally:
                if not stays:
                    with suppress(OSError):
                        path.unlink()
                fcntl.flock(stream, fcntl.LOCK_UN)  # closing does not, where a child process has the file open too
            return


def is_locked(path: Path) -> bool:
    """Whether somebody holds the lock of a file."""
    try:
        with path.open("r+") as stream:
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


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Another name beside `path`, for a file or folder that takes its place once the block has written all of it.

    Of several writers at once each has its own, and the last one's stays. A folder replaces none but an empty one.
    After an error what was at `path` is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{uuid4().hex}{NEW}")
    try:
        yield fresh
        fresh.replace(path)
    finally:
        if fresh.is_dir():
            shutil.rmtree(fresh, ignore_errors=True)
        else:
            with suppress(OSError):
                fresh.unlink()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file in place of what was there; after an error, that is still there."""
    with whole(path) as fresh:
        fresh.write_bytes(content)


def sync(path: Path) -> None:
    """Return once a file's bytes, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_at(path: Path, stream: IO[str]) -> bool:
    """Whether others would open this very file: the holder that was waited for may have removed it."""
    try:
        return os.path.samestat(path.stat(), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False
