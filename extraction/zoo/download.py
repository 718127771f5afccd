"""Fetching one file: continued where it stopped, by one process at a time, checked before it is there.

Beside the target, while it is not whole, lie `<name>.part` (the bytes so far), `<name>.part.json` (what the server said
of the file that they belong to) and `<name>.lock`. Which file a model needs, and where it belongs: see `weights`.

Libraries have no such downloader: torch's begins anew; the Hugging Face hub's goes on behind whatever bytes lie there,
without asking whether the file is still the same.
"""

import json
import re
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from storage.disk import locked
from storage.errors import WeightsError
from storage.progress import Progress, silent
from storage.store.manifests import file_digest

TIMEOUT = 30  # seconds without a byte
CHUNK = 1 << 20  # bytes
WHOLE_DIGEST = 64  # hex digits of a sha256
WAITING = "waiting for another process that fetches it"
CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


@dataclass(frozen=True)
class Stamp:
    """What a server said of a file, by which one sees whether it is still the same; None where it says nothing."""

    address: str
    etag: str | None
    last_modified: str | None  # as the server writes it
    length: int | None  # bytes of the whole file

    @property
    def validator(self) -> str | None:
        """What an If-Range header may hold: an ETag that is not weak, else the date."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.last_modified

    def agrees(self, other: "Stamp") -> bool:
        """Whether both can be of the same file: they contradict each other in nothing that both know."""
        mine, theirs = asdict(self), asdict(other)
        return all(mine[name] == theirs[name] for name in mine if None not in (mine[name], theirs[name]))


def fetch(address: str, target: Path, digest: str = "", progress: Progress = silent) -> Path:
    """Bring a file to this machine, going on from what an interrupted attempt left.

    A process that wants the same target waits for the one that fetches it, and then finds it.

    Args:
        address: https, or http where `digest` is a whole sha256.
        target: the file to make, and its folder if need be.
        digest: sha256 of the file or its first hex digits; nothing is checked where empty.
        progress: told bytes done of the whole file, 0 where the server does not say how many.

    Raises:
        WeightsError: the file cannot be had whole, and what came is kept for the next attempt; or it has another
            sha256, and is gone.
    """
    _demand_safe(address, digest)
    part, note, lock = (target.with_name(target.name + suffix) for suffix in (".part", ".part.json", ".lock"))
    try:
        with locked(lock, stays=False, waiting=lambda: progress(0, 0, WAITING)):
            if not target.is_file():
                _download(address, part, note, digest, progress)
                actual = file_digest(part)
                if not actual.startswith(digest):
                    _discard(part, note)
                    raise WeightsError(
                        f"weights have sha256 {actual}, expected {digest}",
                        where=address,
                        fix="try again; if it stays so, the address or the sha256 is wrong",
                    )
                part.replace(target)
                _discard(note)
    except (OSError, HTTPException) as error:  # urllib's errors are OSErrors
        raise WeightsError(
            f"weights cannot be fetched: {error}",
            where=address,
            fix="run again, and what has come is kept and continued; or "
            f"download {address} on a machine with network and put it at {target}",
        ) from error
    return target


def _demand_safe(address: str, digest: str) -> None:
    """Refuse an address whose file others could replace on its way.

    Raises:
        WeightsError: it is neither https, nor http with a whole sha256.
    """
    if address.startswith("https://") or (address.startswith("http://") and len(digest) == WHOLE_DIGEST):
        return
    raise WeightsError(
        "weights are fetched over https, or over http with a sha256", where=address, fix="set `sha256`, or use https"
    )


def _download(address: str, part: Path, note: Path, digest: str, progress: Progress) -> None:
    known = _recall(part, note, address)
    done = part.stat().st_size if known else 0
    with _ask(address, known, done) as answer:
        _demand_safe(answer.url, digest)  # it may have led elsewhere
        start, now = _stamp(answer, address)
        if answer.status == 200:
            part.write_bytes(b"")  # before the stamp: old bytes must never pass for this file's
            note.write_text(json.dumps(asdict(now)))
            _receive(answer, part, now.length, progress)
            return
        if known and answer.status == 206 and start == done and known.agrees(now):
            _receive(answer, part, known.length or now.length, progress)
            return
        if answer.status == 416 and digest and file_digest(part).startswith(digest):
            return  # it was whole already
    if not done:
        raise HTTPException(f"the server answered {answer.status} to a plain request")
    _discard(part, note)
    _download(address, part, note, digest, progress)


def _recall(part: Path, note: Path, address: str) -> Stamp | None:
    """What the server said of a part's file; None where it cannot be continued."""
    try:
        stamp = Stamp(**json.loads(note.read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return stamp if part.is_file() and stamp.address == address and stamp.validator else None


def _ask(address: str, known: Stamp | None, done: int) -> Any:  # urllib's answer, or its error, which is one as well
    headers = {"Range": f"bytes={done}-", "If-Range": known.validator or ""} if known and done else {}
    try:
        return urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=TIMEOUT)  # noqa: S310 (`_demand_safe`)
    except urllib.error.HTTPError as error:
        if error.code == 416 and done:
            return error
        raise


def _stamp(answer: Any, address: str) -> tuple[int, Stamp]:
    """Where in the file an answer starts, and what it says of the file."""
    headers = answer.headers
    start, total = 0, headers.get("Content-Length", "")
    if found := CONTENT_RANGE.match(headers.get("Content-Range", "")):
        start, total = int(found[1]), found[2]
    length = int(total) if total.isdigit() else None
    return start, Stamp(address, headers.get("ETag"), headers.get("Last-Modified"), length)


def _receive(answer: Any, part: Path, total: int | None, progress: Progress) -> None:
    """Append what comes, to the last byte."""
    of = f" of {total / 1e6:.1f}" if total else ""
    with part.open("ab") as file:
        while True:
            done = file.tell()
            progress(done, total or 0, f"{done / 1e6:.1f}{of} MB")
            # read1: what has come before a connection breaks is not lost
            chunk = answer.read1(CHUNK if total is None else min(CHUNK, total - done))
            if not chunk:
                break
            file.write(chunk)
    if total is not None and done != total:
        raise ConnectionError(f"the connection ended after {done:,} of {total:,} bytes")


def _discard(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
