"""Stores of every kind, on this machine: folders, fsspec's memory and local files, and S3 that moto serves."""

from collections.abc import Callable
from pathlib import Path

import pytest

from storage.store.artifacts import Store
from storage.store.bucket import Bucket

KINDS = ("folder", "memory", "file", "s3")
SECONDS = 1.5
"""Of silence after which a holder of a lease is taken for dead: short, so that tests need not wait."""


@pytest.fixture(params=KINDS)
def open_again(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Store]:
    """Opens the same store as another process would; with another `workspace`, as another machine would."""
    if request.param == "folder":
        return lambda workspace="": Store(tmp_path / "store")
    address = {
        "memory": lambda: f"memory://{tmp_path.name}-{abs(hash(tmp_path))}",
        "file": lambda: f"file://{tmp_path}/remote",
        "s3": lambda: request.getfixturevalue("s3_address"),
    }[request.param]()
    return lambda workspace="here": Store(Bucket(address, tmp_path / workspace, SECONDS))


@pytest.fixture
def store(open_again: Callable[..., Store]) -> Store:
    return open_again()
