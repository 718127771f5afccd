"""Files in archives are those that were packed, however they were packed; what is damaged is never taken for whole."""

import io
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import DataError
from storage.frames.archives import Archive

Files = dict[str, bytes]
RNG = np.random.default_rng(0)
CONTENT: Files = {
    "bbox_train/0001/0001C1T0001F001.jpg": RNG.bytes(3000),
    "bbox_train/0001/0001C1T0001F002.jpg": b"a" * 100_000,
    "empty.jpg": b"",
    f"long/{'x' * 180}.png": b"long name",
    "info/train name.txt": b"0001C1T0001F001.jpg\n",
}


def packed(path: Path, files: Files, how: str) -> Path:
    if how == "tar":
        with tarfile.open(path, "w") as archive:
            archive.add(path.parent, "a folder", recursive=False)
            for name, content in files.items():
                info = tarfile.TarInfo(f"./{name}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    else:
        method = zipfile.ZIP_DEFLATED if how == "deflated" else zipfile.ZIP_STORED
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.mkdir("a folder")
            for name, content in files.items():
                with archive.open(name, "w", force_zip64=how == "zip64") as member:
                    member.write(content)
    return path


KINDS = ("stored", "deflated", "zip64", "tar")


@pytest.fixture(params=KINDS)
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Archive:
    return Archive(packed(tmp_path / "some.archive", CONTENT, request.param))


def read(archive: Archive, name: str) -> bytes | None:
    row = archive.find(name)
    return None if row is None else archive.read(row)


def read_all(path: Path) -> Files:
    archive = Archive(path)
    return {name: archive.read(row) for row, name in enumerate(archive.names.to_pylist())}


def test_every_file_is_found_by_its_name(archive: Archive) -> None:
    assert archive.names.to_pylist() == sorted(CONTENT)
    for name, content in CONTENT.items():
        assert read(archive, name) == content
    assert archive.sizes.tolist() == [len(CONTENT[name]) for name in sorted(CONTENT)]


def test_no_other_name_is_found(archive: Archive) -> None:
    for name in ("", "a folder", "bbox_train", "0001C1T0001F001.jpg", "bbox_train/0001/0001c1T0001F001.jpg"):
        assert archive.find(name) is None


def test_many_threads_read_at_once(archive: Archive) -> None:
    names = list(CONTENT) * 50
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda name: read(archive, name), names)) == [CONTENT[name] for name in names]


@given(st.dictionaries(st.from_regex(r"[a-z]{1,3}(/[a-z]{1,3})?\.jpg", fullmatch=True), st.binary(max_size=99)))
@pytest.mark.parametrize("how", KINDS)
def test_any_files(tmp_path_factory: pytest.TempPathFactory, how: str, files: Files) -> None:
    assert read_all(packed(tmp_path_factory.mktemp("any") / "some.archive", files, how)) == files


@given(at=st.integers(0, 10**6), bit=st.integers(0, 7))
@pytest.mark.parametrize("how", ["stored", "deflated"])
def test_a_changed_bit_is_seen_or_means_nothing(
    tmp_path_factory: pytest.TempPathFactory, how: str, at: int, bit: int
) -> None:
    files = {name: content[:500] for name, content in CONTENT.items()}
    path = packed(tmp_path_factory.mktemp("bit") / "some.zip", files, how)
    content = bytearray(path.read_bytes())
    content[at % len(content)] ^= 1 << bit
    path.write_bytes(content)
    try:
        found = read_all(path)
    except (DataError, OSError):
        return
    # a name in the directory may have changed, never the bytes of a file
    assert sorted(found.values()) == sorted(files.values()) or set(found.items()) <= set(files.items())


@pytest.mark.parametrize("how", ["stored", "tar"])
@pytest.mark.parametrize("name", ["../out.jpg", "a/../../out.jpg", "/etc/passwd", "a\\b.jpg"])
def test_an_archive_with_files_outside_of_it_is_refused(tmp_path: Path, how: str, name: str) -> None:
    path = packed(tmp_path / "bad.archive", {"good.jpg": b"", name: b""}, how)
    with pytest.raises(DataError, match="lies outside of it") as caught:
        Archive(path)
    assert "bad.archive" in str(caught.value)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_with_two_files_of_one_name_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as archive:
        for content in ("one", "other"):
            archive.writestr("a/b.jpg", content)
    with pytest.raises(DataError, match=r"'a/b.jpg' is there twice"):
        Archive(tmp_path / "twice.zip")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\3\4 the beginning of one", b"x" * 5000])
def test_what_is_no_archive_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.zip").write_bytes(content)
    with pytest.raises(DataError, match="cannot be read") as caught:
        Archive(tmp_path / "bad.zip")
    assert "bad.zip" in str(caught.value)


def test_an_unusual_way_of_packing_is_told(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "odd.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.jpg", "content" * 100)
    with pytest.raises(DataError, match=r"a.jpg is encrypted, or packed in an unusual way"):
        Archive(tmp_path / "odd.zip")


@pytest.mark.parametrize("how", ["stored", "tar"])
def test_an_archive_that_lost_its_end_is_not_taken_for_whole(tmp_path: Path, how: str) -> None:
    path = packed(tmp_path / "half.archive", {f"{n}.jpg": b"x" * 5000 for n in range(9)}, how)
    path.write_bytes(path.read_bytes()[:23_000])
    with pytest.raises((DataError, OSError)):
        read_all(path)
