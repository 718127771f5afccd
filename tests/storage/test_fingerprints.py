import os
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.datasets import mars
from storage.errors import DataError
from storage.fingerprints import fingerprint
from storage.tracklets import Tracklet

Make = Callable[..., Path]


def prints(root: Path, cache: Path) -> dict[str, str]:
    tracklets, _ = fingerprint(root, mars.read(root), cache)
    return {t.tracklet_id: t.fingerprint for t in tracklets}


def test_one_changed_byte_changes_its_tracklet_only(make_mars: Make, tmp_path: Path) -> None:
    root = make_mars()
    before = prints(root, tmp_path / "cache")
    frame = root / "bbox_train/0001/0001C1T0001F002.jpg"
    frame.write_bytes(frame.read_bytes() + b"\0")
    after = prints(root, tmp_path / "cache")
    assert {name for name in before if before[name] != after[name]} == {"0001C1T0001"}


def test_unchanged_frames_are_not_read_again(make_mars: Make, tmp_path: Path) -> None:
    root = make_mars()
    before = prints(root, tmp_path / "cache")
    frame = root / "bbox_train/0001/0001C1T0001F002.jpg"
    stat = frame.stat()
    frame.write_bytes(b"x" * stat.st_size)
    os.utime(frame, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    # same size, time and inode: only a scan that reads would see it
    assert prints(root, tmp_path / "cache") == before
    assert prints(root, tmp_path / "no-cache") != before


def test_a_moved_data_root_has_the_same_fingerprints(make_mars: Make, tmp_path: Path) -> None:
    root = make_mars()
    before = prints(root, tmp_path / "cache")
    moved = root.rename(tmp_path / "elsewhere")
    assert prints(moved, tmp_path / "cache") == before


def test_missing_frames_are_listed(make_mars: Make, tmp_path: Path) -> None:
    root = make_mars()
    (root / "bbox_test/0003/0003C1T0001F002.jpg").unlink()
    _, missing = fingerprint(root, mars.read(root), tmp_path / "cache")
    assert missing == ["bbox_test/0003/0003C1T0001F002.jpg"]


def test_a_damaged_cache_only_costs_reading_again(make_mars: Make, tmp_path: Path) -> None:
    root = make_mars()
    before = prints(root, tmp_path / "cache")
    (tmp_path / "cache").write_bytes(b"rubbish")
    assert prints(root, tmp_path / "cache") == before


@pytest.mark.parametrize("name", ["../secret.jpg", "a/../../secret.jpg", "/etc/passwd"])
def test_a_name_that_leaves_the_data_root_is_refused(tmp_path: Path, name: str) -> None:
    tracklet = Tracklet("t", "train", 1, 1, (name,))
    with pytest.raises(DataError, match="outside the data root"):
        fingerprint(tmp_path, [tracklet], tmp_path / "cache")
