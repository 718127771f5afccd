import hashlib
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from storage.stop import Stopped
from storage.store import manifests
from storage.store.artifacts import Store
from storage.store.bucket import Bucket
from storage.store.contents import Kind, found
from storage.store.garbage import Thing
from storage.store.runs import PREEMPTED, RunRecord
from storage.store.sweep import Sweep
from storage.store.trainings import (
    WORK,
    Done,
    done_of,
    fetch_state,
    keep_training,
    kept_states,
    saved_states,
    sending_states,
    state_name,
    take_training,
)
from tests.storage.store.small_store import rewrite


def finished(folder: Path, state: str) -> Path:
    work = folder / WORK
    work.mkdir(parents=True, exist_ok=True)
    (work / f"{state}.pth").write_text(state)
    (work / "log.txt").write_text("one line\n")
    return folder


def test_a_longer_training_finds_the_states_of_a_shorter_one_and_leaves_them_as_they_are(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    keep_training(store, "finetuned", "abc", finished(tmp_path / "one", "state-1"))
    assert not (tmp_path / "one" / WORK).exists(), "what is published holds no states"
    two = tmp_path / "two"
    two.mkdir()
    take_training(store, "finetuned", "abc", two)
    with (two / WORK / "log.txt").open("a") as stream:
        stream.write("another\n")
    three = tmp_path / "three"
    three.mkdir()
    take_training(store, "finetuned", "abc", three)
    assert (three / WORK / "state-1.pth").read_text() == "state-1"
    assert (three / WORK / "log.txt").read_text() == "one line\n"
    keep_training(store, "finetuned", "abc", finished(two, "state-2"))
    assert sorted(p.name for p in (tmp_path / "store/trainings/finetuned").iterdir()) == ["abc"]
    assert (tmp_path / "store/trainings/finetuned/abc/state-2.pth").exists()


@pytest.mark.parametrize("kept", [True, False])
def test_a_training_with_states_of_its_own_takes_no_others(tmp_path: Path, kept: bool) -> None:
    store = Store(tmp_path / "store")
    if kept:
        keep_training(store, "finetuned", "abc", finished(tmp_path / "one", "state-1"))
    own = finished(tmp_path / "own", "state-own")
    take_training(store, "finetuned", "abc", own)
    assert sorted(p.name for p in (own / WORK).iterdir()) == ["log.txt", "state-own.pth"]


def test_where_nothing_was_kept_nothing_is_taken(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    take_training(store, "finetuned", "abc", tmp_path)
    assert not (tmp_path / WORK).exists()


def test_names_of_states_say_what_was_done_and_newer_ones_come_first(tmp_path: Path) -> None:
    moments = [(9, 0), (12, 34), (12, 0), (10, 0), (12, 5)]
    for done in moments:
        name = state_name(done, "0123456789abcdef" * 4)
        assert done_of(name) == done
        (tmp_path / name).touch()
    (tmp_path / "state-x.pth").touch()
    assert [done for done, _ in saved_states(tmp_path)] == sorted(moments, reverse=True)
    assert [done_of(name) for name in ("../state-000001-0123456789abcdef.pth", "state.new", "manifest.json")] == [
        None
    ] * 3


def save(work: Path, done: Done, content: bytes) -> Path:
    work.mkdir(parents=True, exist_ok=True)
    path = work / state_name(done, hashlib.sha256(content).hexdigest())
    path.write_bytes(content)
    return path


@pytest.fixture
def machines(s3_address: str, tmp_path: Path) -> Callable[[str], Store]:
    return lambda name: Store(Bucket(s3_address, tmp_path / name, lease_seconds=1.5))


def names(work: Path) -> list[str]:
    return sorted(path.name for path in work.glob("*"))


def test_a_state_goes_to_the_address_and_comes_to_a_machine_that_has_an_older_one(
    machines: Callable[[str], Store], tmp_path: Path
) -> None:
    one, work = machines("one"), tmp_path / "work"
    until = time.monotonic() + 20
    with suppress(Stopped), sending_states(one, "pretrained", "abc", work):
        old = save(work, (1, 0), b"one epoch")
        name = ("pretrained", "abc")
        while "manifest.json" not in found(one)[Kind.SENT].get(name, {}) and time.monotonic() < until:
            time.sleep(0.05)
        (files,) = found(one)[Kind.SENT].values()
        assert sorted(files) == ["manifest.json", old.name], "while the training goes on"
        new = save(work, (1, 7), b"and seven steps")
        raise Stopped("in the middle of the second epoch")
    (files,) = found(one)[Kind.SENT].values()
    assert sorted(files) == ["manifest.json", new.name], "the older one is gone"

    two = machines("two")
    elsewhere = tmp_path / "elsewhere"
    save(elsewhere, (1, 6), b"six steps")
    fetch_state(two, "pretrained", "abc", elsewhere)
    assert (elsewhere / new.name).read_bytes() == b"and seven steps"
    save(elsewhere, (2, 0), b"two epochs")
    before = names(elsewhere)
    (elsewhere / new.name).unlink()
    fetch_state(two, "pretrained", "abc", elsewhere)
    assert names(elsewhere) == [name for name in before if name != new.name], "what is newer here stays the newest"
    fetch_state(two, "pretrained", "another", tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("harm", ["cut", "gone", "no manifest", "half a manifest", "a name that leads elsewhere"])
def test_what_was_not_sent_whole_is_not_used(
    machines: Callable[[str], Store], tmp_path: Path, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    one = machines("one")
    with sending_states(one, "pretrained", "abc", tmp_path / "work"):
        state = save(tmp_path / "work", (3, 0), b"three epochs")
    folder = "trainings/pretrained/abc"
    if harm == "cut":
        rewrite(one, f"{folder}/{state.name}", b"three")
    elif harm == "gone":
        one.place.remove(f"{folder}/{state.name}")
    elif harm == "no manifest":
        one.place.remove(f"{folder}/manifest.json")
    elif harm == "half a manifest":
        rewrite(one, f"{folder}/manifest.json", one.place.read([f"{folder}/manifest.json"]).popitem()[1][:-9])
    else:
        entry = {"size": 12, "sha256": hashlib.sha256(b"three epochs").hexdigest()}
        rewrite(one, f"{folder}/manifest.json", manifests.written({"files": {f"../{state.name}": entry}}).encode())
    fetch_state(machines("two"), "pretrained", "abc", tmp_path / "deep" / "work")
    assert not [path for path in (tmp_path / "deep").rglob("*") if path.is_file()]


def test_more_epochs_on_another_machine_begin_with_the_states_of_a_finished_training(
    machines: Callable[[str], Store], tmp_path: Path
) -> None:
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
    with kept_states(machines("one"), "finetuned", "abc", folders[0]):
        state = save(folders[0] / WORK, (5, 0), b"five epochs")
    with kept_states(machines("two"), "finetuned", "abc", folders[1]):
        assert names(folders[1] / WORK) == [state.name]


def test_gc_keeps_a_sent_state_while_a_run_has_its_stage_to_make(
    machines: Callable[[str], Store], tmp_path: Path
) -> None:
    one = machines("one")
    for stage in ("pretrained", "finetuned"):
        with sending_states(one, stage, "abc", tmp_path / stage):
            save(tmp_path / stage, (3, 0), b"three epochs")
    record = RunRecord(one, "run", {"name": "demo"})
    with record.alive():
        record.hold([("pretrained", "pretrained", "key")])
        record.finish(PREEMPTED)
    gone = Sweep(machines("two"), keep=1).delete()
    assert gone == [Thing(Kind.SENT, "finetuned", "abc")]
    assert list(found(one)[Kind.SENT]) == [("pretrained", "abc")]
