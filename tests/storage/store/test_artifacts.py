import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import storage.store.folder
from storage.errors import StoreError
from storage.store import manifests
from storage.store.artifacts import Artifact, Store
from storage.store.manifests import MANIFEST, digest_of


def publish(store: Store, text: str = "content", key: str = "k1") -> Artifact:
    with store.staging("stage", key, resume=False) as folder:
        (folder / "data.txt").write_text(text)
        return store.publish(folder, "stage", key, {"settings": {}, "inputs": {}}, 1.0)


def test_what_was_published_is_found_by_key(tmp_path: Path) -> None:
    made = publish(Store(tmp_path))
    found = Store(tmp_path).find("stage", "k1")
    assert found is not None
    assert found.digest == made.digest
    assert found.file("data.txt").path.read_text() == "content"
    assert Store(tmp_path).find("stage", "other") is None


def test_the_digest_is_of_the_content_and_not_of_the_key(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert publish(store, "same", "k1").digest == publish(store, "same", "k2").digest
    assert publish(store, "same", "k1").digest != publish(store, "other", "k3").digest


def test_a_folder_without_a_manifest_does_not_exist(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (publish(store).path / MANIFEST).unlink()
    assert store.find("stage", "k1") is None


def half_make(store: Store, key: str, resume: bool) -> None:
    with store.staging("stage", key, resume=resume) as folder:
        (folder / "half.txt").write_text("half")
        raise RuntimeError


@pytest.mark.parametrize("harm", ["delete", "truncate", "manifest"])
def test_a_visibly_damaged_artifact_does_not_exist_and_can_be_made_again(tmp_path: Path, harm: str) -> None:
    store = Store(tmp_path)
    folder = publish(store).path
    if harm == "delete":
        (folder / "data.txt").unlink()
    elif harm == "truncate":
        (folder / "data.txt").write_text("cont")
    else:
        (folder / MANIFEST).write_text((folder / MANIFEST).read_text()[:40])

    assert store.find("stage", "k1") is None
    publish(store)
    assert store.find("stage", "k1") is not None


def flip(path: Path, *, silently: bool) -> None:
    """Flip a bit of a file's first byte; silently as a disk does, which leaves the time of the last change."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)
    if silently:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_flipped_byte_is_noticed_at_once_where_the_file_was_written_to(tmp_path: Path) -> None:
    store = Store(tmp_path)
    made = publish(store)
    flip(made.path / "data.txt", silently=False)
    assert store.find("stage", "k1") is None
    assert store.examine("stage", "k1")[1] == ["data.txt does not hold the bytes that were published"]


def test_a_byte_that_a_disk_flipped_is_found_by_reading_everything(tmp_path: Path) -> None:
    store = Store(tmp_path)
    made = publish(store)
    assert store.damage(made) == []
    flip(made.path / "data.txt", silently=True)
    assert store.find("stage", "k1") is not None, "no byte is read of a file that looks as it did"
    assert store.damage(made) == ["data.txt"]
    assert Store(tmp_path).check(made, ["data.txt"]) == ["data.txt"]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_anywhere_in_a_manifest_is_noticed(tmp_path: Path, position: float, bit: int) -> None:
    store = Store(tmp_path)
    manifest = publish(store).path / MANIFEST
    sound = manifest.read_bytes()
    content = bytearray(sound)
    content[int(position * len(content))] ^= 1 << bit
    manifest.write_bytes(content)
    artifact, problems = store.examine("stage", "k1")
    # white space between values may become other white space: then it says the same
    same = manifests.read(bytes(content)) == manifests.read(sound)
    assert (problems == []) == same
    assert (artifact is None) == (not same)


def test_a_touched_a_copied_and_a_moved_artifact_are_whole(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    made = publish(store)
    (made.path / "data.txt").touch()
    assert store.find("stage", "k1") == made
    shutil.copytree(tmp_path / "store", tmp_path / "copy")
    (tmp_path / "store").rename(tmp_path / "moved")
    for name in ("copy", "moved"):
        assert Store(tmp_path / name).find("stage", "k1") == made


def test_bytes_are_read_once_after_a_copy_and_then_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(Store(tmp_path / "store"))
    shutil.copytree(tmp_path / "store", tmp_path / "copy")
    read: list[Path] = []
    digest = storage.store.folder.file_digest
    monkeypatch.setattr(storage.store.folder, "file_digest", lambda path: read.append(path) or digest(path))
    for expected in (1, 1):
        assert Store(tmp_path / "copy").find("stage", "k1") is not None
        assert len(read) == expected


def test_a_discarded_artifact_is_gone_and_can_be_made_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish(store)
    store.discard("stage", "k1")
    assert store.find("stage", "k1") is None
    assert not list((tmp_path / "staging").glob("discarded-*"))
    store.discard("stage", "k1")  # nothing is there, and that is what is wanted
    assert publish(store).digest


def test_a_failed_stage_publishes_nothing_and_keeps_only_what_it_can_resume(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for resume in (False, True):
        with pytest.raises(RuntimeError):
            half_make(store, f"r{resume}", resume)
        assert (tmp_path / f"staging/stage/r{resume}/half.txt").exists() is resume
        assert store.find("stage", f"r{resume}") is None


def test_a_full_disk_is_told_with_what_to_do(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(StoreError, match="free space"), store.staging("stage", "k", resume=False):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_really_full_disk_is_told_and_loses_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this account may not mount a small file system")
    try:
        store = Store(disk)
        kept = publish(store, "kept", "before")
        with pytest.raises(StoreError, match="No space left"), store.staging("stage", "k", resume=False) as folder:
            (folder / "big").write_bytes(b"x" * 1_000_000)
        assert store.find("stage", "before") is not None
        assert store.damage(kept) == []
        publish(store, "small", "after")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_other_errors_of_a_stage_are_not_blamed_on_the_disk(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(FileNotFoundError), store.staging("stage", "k", resume=False):
        raise FileNotFoundError(errno.ENOENT, "gone")


def test_the_digest_of_a_value_does_not_depend_on_key_order() -> None:
    assert digest_of({"a": 1, "b": [1, 2]}) == digest_of({"b": [1, 2], "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": 2})
