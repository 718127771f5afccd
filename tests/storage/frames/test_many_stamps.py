"""Stamps of very many files are those that one process reads, whatever becomes of the helpers."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from storage.frames import many_stamps
from storage.frames.many_stamps import read_many
from storage.frames.stamps import MISSING


@pytest.fixture
def names(tmp_path: Path) -> pa.Array:
    found = []
    for number in range(23):
        name = f"camera {number % 3}/frame\n{number:03d} ä.jpg"
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * number)
        found.append(name)
    (tmp_path / found[7]).unlink()
    return pa.array([*found, "nowhere/at all.jpg"], pa.string())


@pytest.mark.parametrize("processes", [1, 2, 3, 30])
def test_each_part_is_where_it_belongs(tmp_path: Path, names: pa.Array, processes: int) -> None:
    stamps = read_many(tmp_path, names, processes=processes)
    for name, stamp in zip(names.to_pylist(), stamps.tolist(), strict=True):
        if (tmp_path / name).exists():
            stat = os.stat(tmp_path / name)
            assert stamp == [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
        else:
            assert stamp == [MISSING] * 4


@pytest.mark.parametrize("script", ["raise SystemExit(1)", "print('half')", "import time; time.sleep(0.2); 1 / 0"])
def test_what_a_helper_that_failed_should_have_read_is_read_here(
    tmp_path: Path, names: pa.Array, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    expected = read_many(tmp_path, names, processes=1)
    real = subprocess.Popen

    def failing(command: list[str], **options: object) -> "subprocess.Popen[bytes]":
        return real([sys.executable, "-c", script], **options)  # type: ignore[call-overload]

    monkeypatch.setattr(many_stamps.subprocess, "Popen", failing)
    np.testing.assert_array_equal(read_many(tmp_path, names, processes=3), expected)


def test_a_relative_root_is_the_same_for_helpers(
    tmp_path: Path, names: pa.Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path.parent)
    np.testing.assert_array_equal(
        read_many(Path(tmp_path.name), names, processes=2), read_many(tmp_path, names, processes=1)
    )


def test_progress_ends_with_all_of_them(tmp_path: Path, names: pa.Array) -> None:
    told: list[tuple[int, int]] = []
    read_many(tmp_path, names, lambda done, total, message="": told.append((done, total)), processes=2)
    assert told[-1] == (len(names), len(names))
    assert all(done <= total for done, total in told)
    assert read_many(tmp_path, names.slice(0, 0)).shape == (0, 4)
