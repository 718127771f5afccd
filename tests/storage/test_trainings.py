from pathlib import Path

import pytest

from storage.artifacts import Store
from storage.trainings import WORK, keep_training, take_training


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
