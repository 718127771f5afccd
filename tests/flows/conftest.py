"""A stage whose runs can be counted, and an empty folder to work in."""

from pathlib import Path

import pytest

from tests.storage.conftest import open_again as open_again


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that the test works in, for commands that write where they are started."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


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
