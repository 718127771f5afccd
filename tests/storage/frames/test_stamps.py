"""Stamps of many files are those of each, however the threads share them."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from storage.frames import stamps
from storage.frames.stamps import MISSING, read_stamps


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


@pytest.mark.parametrize("together", [1, 2, 3, 30])
def test_each_part_is_where_it_belongs(
    tmp_path: Path, names: pa.Array, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    monkeypatch.setattr(stamps, "FILES_A_THREAD", together)
    for name, stamp in zip(names.to_pylist(), read_stamps(tmp_path, names).tolist(), strict=True):
        if (tmp_path / name).exists():
            stat = os.stat(tmp_path / name)
            assert stamp == [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
        else:
            assert stamp == [MISSING] * 4


def test_a_relative_root_is_the_same(tmp_path: Path, names: pa.Array, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path.parent)
    np.testing.assert_array_equal(read_stamps(Path(tmp_path.name), names), read_stamps(tmp_path, names))


def test_progress_ends_with_all_of_them(tmp_path: Path, names: pa.Array, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stamps, "FILES_A_THREAD", 7)
    told: list[tuple[int, int]] = []
    read_stamps(tmp_path, names, lambda done, total, message="": told.append((done, total)))
    assert told[-1] == (len(names), len(names))
    assert all(done <= total for done, total in told)
    assert read_stamps(tmp_path, names.slice(0, 0)).shape == (0, 4)
