"""Files of a data set have the same names and bytes wherever they lie: in folders, in archives, or in both."""

import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.datasets import mars
from storage.errors import DataError
from storage.frames.files import DataFiles
from storage.frames.fingerprints import fingerprint, unchanged
from storage.index import DataSettings, scan

Make = Callable[..., Path]


def zipped(folder: Path, archive: Path, top: str = "") -> Path:
    with zipfile.ZipFile(archive, "w") as packed:
        for path in sorted(folder.rglob("*")):
            packed.write(path, f"{top}{path.relative_to(folder)}")
    return archive


@pytest.fixture(params=["folders", "one zip", "one zip with a folder in it", "one tar", "a zip a folder", "mixed"])
def root(request: pytest.FixtureRequest, make_mars: Make, tmp_path: Path) -> Path:
    """The data set of `make_mars`, each time in another way."""
    raw = make_mars()
    if request.param == "folders":
        return raw
    if request.param.startswith("one zip"):
        return zipped(raw, tmp_path / "MARS.zip", "MARS/" if "folder" in request.param else "")
    if request.param == "one tar":
        with tarfile.open(tmp_path / "MARS.tar", "w") as packed:
            packed.add(raw, ".")
        return tmp_path / "MARS.tar"
    for part in ("bbox_train", "bbox_test", "info"):
        if request.param != "mixed" or part == "bbox_test":
            zipped(raw / part, raw / f"{part}.zip", f"{part}/")
            shutil.rmtree(raw / part)
    return raw


def test_the_index_is_the_same(root: Path, make_mars: Make, tmp_path: Path) -> None:
    found = scan(DataSettings(root=root), tmp_path / "cache")
    expected = scan(DataSettings(root=make_mars()), tmp_path / "other")
    assert found.tracklets == expected.tracklets
    assert not found.missing


def test_a_second_scan_asks_for_the_archive_alone(
    root: Path, tmp_path: Path, settled_files: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = fingerprint(DataFiles(root), mars.read(DataFiles(root)), tmp_path / "cache")
    assert unchanged(DataFiles(root), tmp_path / "cache", found.cache_digest)
    monkeypatch.setattr(DataFiles, "read", lambda self, name: pytest.fail(f"{name} was read"))
    again = fingerprint(DataFiles(root), found.tracklets, tmp_path / "cache")
    assert again.tracklets == found.tracklets
    assert again.cache_digest == found.cache_digest


def test_a_changed_archive_is_read_again(root: Path, tmp_path: Path, settled_files: None) -> None:
    archives = DataFiles(root).archive_stamps()
    found = fingerprint(DataFiles(root), mars.read(DataFiles(root)), tmp_path / "cache")
    name = "bbox_test/0003/0003C1T0001F002.jpg"
    if not archives:
        (root / name).write_bytes(b"other")
    else:
        path = root if root.is_file() else root / "bbox_test.zip"
        content = path.read_bytes()
        old = DataFiles(root).read(name)
        path.unlink()
        path.write_bytes(content.replace(old, old[::-1]))
    assert not unchanged(DataFiles(root), tmp_path / "cache", found.cache_digest)
    after = {
        t.tracklet_id: t.fingerprint
        for t in fingerprint(DataFiles(root), found.tracklets, tmp_path / "cache").tracklets
    }
    before = {t.tracklet_id: t.fingerprint for t in found.tracklets}
    assert {name for name in before if before[name] != after[name]} == {"0003C1T0001"}


def test_a_folder_hides_the_archive_that_it_came_from(make_mars: Make) -> None:
    root = make_mars()
    name = "bbox_train/0001/0001C1T0001F001.jpg"
    zipped(root / "bbox_train", root / "bbox_train.zip", "bbox_train/")
    (root / name).write_bytes(b"corrected")
    assert DataFiles(root).read(name) == b"corrected"
    (root / name).unlink()
    with pytest.raises(FileNotFoundError):
        DataFiles(root).read(name)


def test_archives_that_nothing_is_read_from_may_be_broken(make_mars: Make) -> None:
    root = make_mars()
    (root / "bbox_train.zip").write_bytes(b"half a download")
    (root / "backup.tar.gz").write_bytes(b"")
    assert len(mars.read(DataFiles(root))) == 7


@pytest.mark.parametrize("name", ["../secret.txt", "/etc/passwd", "bbox_train/../../secret.txt", "a\0b"])
def test_no_name_leads_outside(root: Path, name: str) -> None:
    with pytest.raises(DataError, match="points outside the data root"):
        DataFiles(root).read(name)


def test_names_are_sorted_and_whole(root: Path) -> None:
    files = DataFiles(root)
    assert files.names("info") == sorted(mars.LISTS)
    assert files.names("bbox_train/0002") == [f"bbox_train/0002/0002C1T0001F{n:03d}.jpg" for n in (1, 2, 3, 4)]
    assert files.names("bbox") == []
    assert set(files.names("info")) < set(files.names())
    assert files.exists("bbox_test/0004")
    assert files.exists(mars.LISTS[0])
    assert not files.exists("bbox_test/0009")


@pytest.mark.parametrize("suffix", [".tar.gz", ".7z", ".rar", ".tgz"])
def test_an_archive_of_the_wrong_kind_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"MARS{suffix}"
    path.write_bytes(b"")
    with pytest.raises(DataError, match="from the middle of this kind of archive"):
        mars.read(DataFiles(path))
