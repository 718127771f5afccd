from pathlib import Path

import pytest

from training.looping.states import NEW, keep_state, sound_states


def save(work: Path, epoch: int, content: bytes, keep: int = 2) -> None:
    (work / NEW).write_bytes(content)
    keep_state(work, (epoch, 0), keep)


def test_the_newest_states_are_kept_and_come_first(tmp_path: Path) -> None:
    for epoch in (1, 2, 9, 10):
        save(tmp_path, epoch, b"state %d" % epoch)
    assert [(done, path.read_bytes()) for done, path in sound_states(tmp_path)] == [
        ((10, 0), b"state 10"),
        ((9, 0), b"state 9"),
    ]
    assert len(list(tmp_path.iterdir())) == 2, "nothing else is left"


@pytest.mark.parametrize("damage", [b"", b"state 1", b"statf 10", b"state 10 and more"])
def test_a_damaged_newest_state_falls_back_to_the_one_before(
    tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path, 9, b"state 9")
    save(tmp_path, 10, b"state 10")
    newest = next(sound_states(tmp_path))[1]
    newest.write_bytes(damage)
    assert [done for done, _ in sound_states(tmp_path)] == [(9, 0)]
    assert newest.name in caplog.text


def test_a_state_that_was_being_written_does_not_count(tmp_path: Path) -> None:
    save(tmp_path, 1, b"state 1")
    (tmp_path / NEW).write_bytes(b"half a sta")
    assert [done for done, _ in sound_states(tmp_path)] == [(1, 0)]
