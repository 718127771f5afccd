"""Addresses of stores and data sets elsewhere: what may stand in one, how it is opened, and how its errors read."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import fsspec
from fsspec import AbstractFileSystem

from storage.errors import CsipError, EnvironmentProblem, SettingsError
from storage.secrets import without_secrets

FETCHED = Path("~/.cache/csip/frames")
"""Folder of each machine for what is fetched of data sets elsewhere, expanded where it is used."""

SECRET = re.compile(r"(?i)token|secret|passw|signature|credential|api.?key|^sig$|^key$")
"""Names of parameters that let whoever has the address in."""

CONNECTIONS = 64
"""To one S3 service at once, in place of botocore's 10: of small objects at 30 ms twice as many came in a second."""

LINK = "::"  # between the parts of an address within another


@dataclass(frozen=True)
class DataAddress:
    """A data set that lies elsewhere.

    Attributes:
        address: that fsspec understands, e.g. s3://bucket/MARS.
        cache: folder of the machine that reads it, for what was fetched; `~` is that machine's.
        seen: who names the same share one listing in a process; who names nothing lists for himself.
    """

    address: str
    cache: Path = FETCHED
    seen: str = ""

    def __str__(self) -> str:
        return self.address


DataRoot = Path | DataAddress
"""Where a data set lies: a folder or an archive of this machine, or an address."""


def data_root(root: Path | str, cache: Path = FETCHED) -> DataRoot:
    """Where a data set lies, from what a user says.

    Raises:
        SettingsError: it is an address with credentials in it.
    """
    return DataAddress(checked(root), cache) if isinstance(root, str) and is_address(root) else Path(root)


def seen_once(root: DataRoot) -> DataRoot:
    """The same place, for readers that all follow one scan: each process lists what lies at an address once for all."""
    return replace(root, seen=uuid4().hex) if isinstance(root, DataAddress) else root


def is_address(text: str) -> bool:
    """Whether a text is an address of fsspec, and not a path."""
    return "://" in text


def checked(address: str) -> str:
    """The address, if nothing in it is a secret: it is written into manifests, logs and reports.

    Raises:
        SettingsError: there is a password or a signature in it; the message shows neither.
    """
    for part in address.split(LINK):
        pieces = urlsplit(part)
        user, at, host = pieces.netloc.rpartition("@")
        signed = any(SECRET.search(name) for name, _ in parse_qsl(pieces.query, keep_blank_values=True))
        if (at and ":" in user) or signed:
            raise SettingsError(
                "an address must not hold credentials: it is written into manifests, logs and reports",
                where=f"{pieces.scheme}://{host}{pieces.path}",
                fix="take them out, and put them where the service's library looks for them, "
                "e.g. AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or ~/.aws",
            )
    return address


def opened(address: str) -> tuple[AbstractFileSystem, str]:
    """The file system of an address, and the address's path in it.

    Raises:
        SettingsError: there are credentials in it.
        EnvironmentProblem: the package that speaks this protocol is not installed.
    """
    try:
        # listings must be fresh: others write while this process looks
        files, base = fsspec.core.url_to_fs(checked(address), use_listings_cache=False, **_options(address))
    except (ImportError, ValueError) as error:
        raise EnvironmentProblem(
            f"this address cannot be used: {error}",
            where=address,
            fix="install what speaks it, e.g. pip install csip-reid[s3] or csip-reid[gcs]",
        ) from error
    return files, base.rstrip("/")


def _options(address: str) -> dict[str, Any]:
    """What the file systems of an address are opened with; what the user's configuration of fsspec says comes first."""
    options = {}
    for protocol in ("s3", "s3a"):
        if f"{protocol}://" in address:
            configured = fsspec.config.conf.get(protocol, {}).get("config_kwargs", {})
            options[protocol] = {"config_kwargs": {"max_pool_connections": CONNECTIONS, **configured}}
    return options


PASSING = ("Connect", "Timeout", "Disconnected", "IncompleteRead", "SlowDown", "ServiceUnavailable")
"""In the names of exceptions of services and their libraries: botocore, aiohttp, gcsfs."""


@contextmanager
def told(kind: type[CsipError], what: str, where: str) -> Iterator[None]:
    """Errors of a network and of a service as errors of ours; of what is not there, as Python's.

    Args:
        kind: of error.
        what: cannot be done, for the message.
        where: the address.
    """
    try:
        yield
    except (CsipError, FileNotFoundError, FileExistsError):
        raise
    except Exception as error:  # each service has its own exceptions
        ours = kind(
            f"{what}: {type(error).__name__}: {without_secrets(str(error))}",
            where=where,
            fix="check the address, the network and your credentials, and run again; finished artifacts are kept",
        )
        ours.passing = isinstance(error, ConnectionError | TimeoutError) or any(
            word in type(error).__name__ for word in PASSING
        )
        raise ours from error
