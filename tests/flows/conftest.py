"""A Prefect server of the tests' own, started once a session the way `csip run` starts one."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.server import ServerSettings, ensure_server, stop_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerSettings]:
    settings = ServerSettings(port=4310, home=tmp_path_factory.mktemp("prefect"))
    configured = os.environ.pop("PREFECT_API_URL", None)
    ensure_server(settings)
    yield settings
    stop_server(settings)
    if configured:
        os.environ["PREFECT_API_URL"] = configured


@pytest.fixture
def api(server: ServerSettings) -> Iterator[str]:
    url = ensure_server(server)
    with temporary_settings({PREFECT_API_URL: url}):
        yield url


@pytest.fixture
def counting_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A stage that writes its settings' text and its input, and notes in a file outside the store that it ran."""
    (tmp_path / "counting.py").write_text(
        """
from dataclasses import dataclass
from pathlib import Path

from storage.errors import DataError
from storage.settings import Settings, neutral


class CountingSettings(Settings):
    text: str = "hello"
    workers: int = neutral(1, "Workers.")
    fail: bool = neutral(False, "Fail.")


@dataclass(frozen=True)
class Inputs:
    journal: Path
    source: Path | None = None


def run(inputs, settings, out_dir, progress):
    with inputs.journal.open("a") as stream:
        stream.write(settings.text + "\\n")
    if settings.fail:
        raise DataError("asked to fail", where="settings.fail", fix="do not ask")
    progress(1, 1, "done")
    before = inputs.source.read_text() if inputs.source else ""
    (out_dir / "out.txt").write_text(before[:1] + settings.text)
"""
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return "counting"
