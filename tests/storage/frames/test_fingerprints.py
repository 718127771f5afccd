import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import storage.frames.fingerprints
import storage.frames.stamps
from storage.datasets import mars
from storage.errors import DataError
from storage.frames.files import DataFiles
from storage.frames.fingerprints import Fingerprinted, fingerprint, unchanged
from storage.tables.tracklets import Tracklet

Make = Callable[..., Path]
FRAME = "bbox_train/0001/0001C1T0001F002.jpg"
pytestmark = pytest.mark.usefixtures("settled_files")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were read."""
    names: list[str] = []
    digest = storage.frames.fingerprints._digest

    def counted(files: DataFiles, name: str) -> bytes:
        names.append(Path(name).name)
        return digest(files, name)

    monkeypatch.setattr(storage.frames.fingerprints, "_digest", counted)
    return names


def scan(root: Path, cache: Path) -> Fingerprinted:
    files = DataFiles(root)
    return fingerprint(files, mars.read(files), cache)


def prints(root: Path, cache: Path) -> dict[str, str]:
    return {t.tracklet_id: t.fingerprint for t in scan(root, cache).tracklets}


def differing(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def flip_a_byte(path: Path) -> None:
    """Another content of the same size, in the same file."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    with path.open("r+b") as stream:
        stream.write(content)


def test_unchanged_data_reads_no_bytes(make_mars: Make, tmp_path: Path, read: list[str]) -> None:
    root = make_mars()
    first = scan(root, tmp_path / "cache")
    assert len(read) == len(first.digests)
    read.clear()
    second = scan(root, tmp_path / "cache")
    assert read == []
    assert (second.tracklets, second.cache_digest) == (first.tracklets, first.cache_digest)
    assert np.array_equal(second.digests, first.digests)


@pytest.mark.parametrize("restore", [False, True], ids=["new time", "old time restored"])
def test_one_changed_byte_changes_its_tracklet_only(
    make_mars: Make, tmp_path: Path, read: list[str], restore: bool
) -> None:
    root = make_mars()
    before = prints(root, tmp_path / "cache")
    stat = (root / FRAME).stat()
    flip_a_byte(root / FRAME)
    if restore:
        os.utime(root / FRAME, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        os.utime(root / FRAME, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    read.clear()
    assert differing(before, prints(root, tmp_path / "cache")) == {"0001C1T0001"}
    assert read == [Path(FRAME).name]


def test_a_touched_file_is_read_once_more_and_changes_nothing(make_mars: Make, tmp_path: Path, read: list[str]) -> None:
    root = make_mars()
    before = prints(root, tmp_path / "cache")
    (root / FRAME).touch()
    read.clear()
    assert prints(root, tmp_path / "cache") == before
    assert prints(root, tmp_path / "cache") == before
    assert read == [Path(FRAME).name]


def test_a_file_that_changed_in_the_tick_of_its_scan_is_read_again(
    make_mars: Make, tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_mars()
    monkeypatch.setattr(storage.frames.stamps, "TICK_NS", 10**12)
    first = scan(root, tmp_path / "cache")
    read.clear()
    assert scan(root, tmp_path / "cache").tracklets == first.tracklets
    assert len(read) == len(first.digests)
    assert not unchanged(DataFiles(root), tmp_path / "cache", first.cache_digest)


def test_a_moved_data_root_is_not_read_again(make_mars: Make, tmp_path: Path, read: list[str]) -> None:
    root = make_mars()
    first = scan(root, tmp_path / "cache")
    moved = root.rename(tmp_path / "elsewhere")
    read.clear()
    assert scan(moved, tmp_path / "cache").tracklets == first.tracklets
    assert unchanged(DataFiles(moved), tmp_path / "cache", first.cache_digest)
    assert read == []


def test_a_copied_data_root_is_read_once_and_changes_nothing(make_mars: Make, tmp_path: Path, read: list[str]) -> None:
    root = make_mars()
    first = scan(root, tmp_path / "cache")
    copy = shutil.copytree(root, tmp_path / "copy")
    assert not unchanged(DataFiles(copy), tmp_path / "cache", first.cache_digest)
    read.clear()
    assert scan(copy, tmp_path / "cache").tracklets == first.tracklets
    assert len(read) == len(first.digests)
    read.clear()
    assert scan(copy, tmp_path / "cache").tracklets == first.tracklets
    assert read == []


def test_what_stays_is_not_read_again_wherever_it_stands(tmp_path: Path, read: list[str]) -> None:
    for name in "abcd":
        (tmp_path / name).write_bytes(name.encode())
    one, two, new = (Tracklet(frames, "train", 1, 1, tuple(frames)) for frames in ("ab", "c", "d"))
    first = fingerprint(DataFiles(tmp_path), [one, two], tmp_path / "cache").tracklets
    read.clear()
    second = fingerprint(DataFiles(tmp_path), [new, two, one], tmp_path / "cache").tracklets
    assert read == ["d"]
    assert (second[2], second[1]) == first
    read.clear()
    assert fingerprint(DataFiles(tmp_path), [two], tmp_path / "cache").tracklets == first[1:]
    assert read == []


def test_missing_frames_are_listed_and_change_their_tracklet(make_mars: Make, tmp_path: Path) -> None:
    root = make_mars()
    before = prints(root, tmp_path / "cache")
    (root / "bbox_test/0003/0003C1T0001F002.jpg").unlink()
    found = scan(root, tmp_path / "cache")
    assert found.missing == ("bbox_test/0003/0003C1T0001F002.jpg",)
    assert differing(before, prints(root, tmp_path / "cache")) == {"0003C1T0001"}
    assert unchanged(DataFiles(root), tmp_path / "cache", found.cache_digest)


def test_a_missing_folder_is_missing_frames(make_mars: Make, tmp_path: Path) -> None:
    root = make_mars()
    shutil.rmtree(root / "bbox_train/0002")
    assert len(scan(root, tmp_path / "cache").missing) == 4


@pytest.mark.parametrize("damage", ["rubbish", "truncated", "one bit", "gone"])
def test_a_damaged_cache_only_costs_reading_again(
    make_mars: Make, tmp_path: Path, read: list[str], damage: str
) -> None:
    root, cache = make_mars(), tmp_path / "cache"
    first = scan(root, cache)
    content = bytearray(cache.read_bytes())
    if damage == "gone":
        cache.unlink()
    elif damage == "rubbish":
        cache.write_bytes(b"rubbish")
    elif damage == "truncated":
        cache.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 3] ^= 1
        cache.write_bytes(content)
    assert not unchanged(DataFiles(root), cache, first.cache_digest)
    read.clear()
    assert scan(root, cache).tracklets == first.tracklets
    assert len(read) in (0, len(first.digests)), "a damaged bit is found, or lies where it says nothing"
    assert unchanged(DataFiles(root), cache, scan(root, cache).cache_digest)


def test_nothing_is_left_beside_the_cache(make_mars: Make, tmp_path: Path) -> None:
    scan(make_mars(), tmp_path / "caches" / "cache")
    assert os.listdir(tmp_path / "caches") == ["cache"]


@pytest.mark.parametrize(
    "change", [flip_a_byte, Path.touch, Path.unlink, lambda path: path.write_bytes(b"longer" * 999)]
)
def test_any_new_stamp_ends_being_unchanged(make_mars: Make, tmp_path: Path, change: Callable[[Path], None]) -> None:
    root = make_mars()
    first = scan(root, tmp_path / "cache")
    assert unchanged(DataFiles(root), tmp_path / "cache", first.cache_digest)
    change(root / FRAME)
    assert not unchanged(DataFiles(root), tmp_path / "cache", first.cache_digest)


@pytest.mark.parametrize("name", ["../secret.jpg", "a/../../secret.jpg", "/etc/passwd", "a\\b.jpg", "a/..", "a\0b"])
def test_a_name_that_leaves_the_data_root_is_refused(tmp_path: Path, name: str) -> None:
    tracklet = Tracklet("t", "train", 1, 1, ("fine.jpg", name))
    with pytest.raises(DataError, match="outside the data root"):
        fingerprint(DataFiles(tmp_path), [tracklet], tmp_path / "cache")


@pytest.mark.parametrize("name", ["a..b.jpg", "..a/b.jpg", "a../b.jpg", "a/...jpg", "b"])
def test_names_with_dots_are_names(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"frame")
    assert fingerprint(DataFiles(tmp_path), [Tracklet("t", "train", 1, 1, (name,))], tmp_path / "cache").missing == ()


Contents = st.lists(st.lists(st.sampled_from([b"", b"one", b"two", None]), max_size=3), max_size=4)


@given(scans=st.lists(Contents, min_size=2, max_size=4))
def test_a_scan_after_others_finds_what_a_first_scan_would(
    tmp_path_factory: pytest.TempPathFactory, scans: Sequence[Sequence[Sequence[bytes | None]]]
) -> None:
    folder = tmp_path_factory.mktemp("scans")
    root = folder / "root"
    for number, contents in enumerate(scans):
        shutil.rmtree(root, ignore_errors=True)
        tracklets = []
        for t, frames in enumerate(contents):
            (root / str(t)).mkdir(parents=True)
            for f, content in enumerate(frames):
                if content is not None:
                    (root / f"{t}/{f}").write_bytes(content)
            tracklets.append(Tracklet(str(t), "train", 1, 1, tuple(f"{t}/{f}" for f in range(len(frames)))))
        ours = fingerprint(DataFiles(root), tracklets, folder / "cache")
        fresh = fingerprint(DataFiles(root), tracklets, folder / f"cache-{number}")
        assert (ours.tracklets, ours.missing) == (fresh.tracklets, fresh.missing)
        assert np.array_equal(ours.digests, fresh.digests)
