import errno
import multiprocessing
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from storage.artifacts import MANIFEST, Artifact, Store, digest_of
from storage.errors import StoreError


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


def test_a_flipped_byte_is_found_by_reading_everything(tmp_path: Path) -> None:
    store = Store(tmp_path)
    made = publish(store)
    assert store.damage(made) == []
    (made.path / "data.txt").write_text("Content")
    assert store.damage(made) == ["data.txt"]


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


def _hold(root: Path, ready: Path) -> None:
    with Store(root).lock("stage", "k"):
        ready.touch()
        time.sleep(60)


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    holder = multiprocessing.get_context("spawn").Process(target=_hold, args=(tmp_path, ready))
    holder.start()
    while not ready.exists():
        assert holder.is_alive()
        time.sleep(0.01)
    os.kill(holder.pid or 0, signal.SIGKILL)
    holder.join()
    with Store(tmp_path).lock("stage", "k"):
        pass


def test_the_digest_of_a_value_does_not_depend_on_key_order() -> None:
    assert digest_of({"a": 1, "b": [1, 2]}) == digest_of({"b": [1, 2], "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": 2})
