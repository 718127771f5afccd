"""Disks that are full, read-only or failing, files that are cut, changed or gone: told, and that alone made again."""

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

import storage.store.artifacts
from flows.config import Config, load_config, make_config
from flows.planning.plan import plan
from flows.rebuild import Result, rebuild
from storage.errors import StoreError
from storage.store.artifacts import Store
from tests.small_run import small_settings

pytestmark = pytest.mark.slow(minutes=3)

Harm = Callable[[Path], None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With config.yaml; data and store will be here."""
    folder = tmp_path_factory.mktemp("damage")
    (folder / "config.yaml").write_text(yaml.safe_dump(small_settings(folder)))
    return folder


@pytest.fixture
def config(folder: Path, api: str) -> Config:
    """Of a store in which all is made."""
    config = load_config(folder / "config.yaml")
    rebuild(config)
    return config


def digests(result: Result) -> dict[str, str]:
    """Without the report, which says when each artifact was made."""
    return {label: artifact.digest for label, artifact in result.artifacts.items() if label != "report"}


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


HARMS = {"flipped": flip, "cut": cut, "gone": Path.unlink}


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS)
@pytest.mark.parametrize("label", ["skeletons train-001", "pretrained"])
def test_what_is_damaged_is_named_by_the_plan_and_alone_made_again(config: Config, label: str, harm: Harm) -> None:
    before = rebuild(config)
    artifact = before.artifacts[label]
    name = sorted(artifact.manifest["files"])[0]
    harm(artifact.path / name)

    [line] = [line for line in plan(config) if line.verdict != "kept" and line.label == label]
    assert line.verdict == "will run"
    assert f"damaged: {name}" in line.reason
    again = rebuild(config)
    assert again.built == (label,), "the same bytes again: nothing after it runs"
    assert digests(again) == digests(before)


@pytest.mark.timeout(900)
def test_a_flipped_byte_in_any_artifact_is_noticed_and_mended(config: Config) -> None:
    before = rebuild(config)
    for label, artifact in before.artifacts.items():
        for name in [*artifact.manifest["files"], "manifest.json"]:
            flip(artifact.path / name)
            line = next(line for line in plan(config) if line.verdict != "kept")
            assert (line.label, name in line.reason) == (label, True), line
            again = rebuild(config)
            assert again.built == (label,)
            assert digests(again) == digests(before)


def test_nothing_else_in_the_store_is_needed(config: Config) -> None:
    """What is remembered to save time, said of runs or left by them may be damaged or lost."""
    before = rebuild(config)
    store = Path(config.store)
    others = [p for p in store.rglob("*") if p.is_file() and p.relative_to(store).parts[0] != "artifacts"]
    assert {path.relative_to(store).parts[0] for path in others} >= {"cache", "runs", "locks", "trainings"}
    for path in others:
        if path.stat().st_size:
            flip(path)
    again = rebuild(config)
    assert again.built == ()
    assert digests(again) == digests(before)
    for name in ("cache", "runs", "locks", "trainings", "staging"):
        shutil.rmtree(store / name)
    assert rebuild(config).built == ()


@pytest.mark.parametrize("number", [1, 9])
def test_a_disk_that_fails_halfway_is_told_with_the_file_and_loses_nothing(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    whole = rebuild(config)
    other = config.model_copy(update={"store": str(tmp_path / "store")})
    sync, calls = storage.store.artifacts.sync, []

    def failing(path: Path) -> None:
        calls.append(path)
        if len(calls) == number:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        sync(path)

    monkeypatch.setattr(storage.store.artifacts, "sync", failing)
    with pytest.raises(StoreError, match="Input/output error") as told:
        rebuild(other)
    assert str(tmp_path / "store") in str(told.value)
    store = Store(tmp_path / "store")
    finished = store.names()
    assert all(store.examine(*name)[1] == [] for name in finished)

    again = rebuild(other)
    assert len(again.built) == len(again.artifacts) - len(finished)
    assert digests(again) == digests(whole)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 40 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("this account may not mount a small file system")
    yield disk
    # lazily: what could not be written may be open as long as the error is remembered
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_full_disk_stops_the_run_and_the_next_goes_on(config: Config, small_disk: Path) -> None:
    whole = rebuild(config)
    other = make_config(config.model_dump(mode="json"), [f"store={small_disk / 'store'}", "min_free_gb=0"])
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(41_500_000))
    with pytest.raises(StoreError, match="No space left"):
        rebuild(other)
    ballast.unlink()
    again = rebuild(other)
    assert digests(again) == digests(whole)


def test_a_read_only_store_can_be_looked_at_and_says_so_when_it_is_to_be_written(
    config: Config, small_disk: Path
) -> None:
    other = make_config(config.model_dump(mode="json"), [f"store={small_disk / 'store'}", "min_free_gb=0"])
    rebuild(other)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert {line.verdict for line in plan(other)} == {"kept"}
    with pytest.raises(StoreError, match=r"(?i)read-only file system"):
        rebuild(other)
