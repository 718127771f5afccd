import shutil
from pathlib import Path

import pytest

from storage import verifying
from storage.artifacts import Store
from storage.manifests import MANIFEST
from storage.verifying import drop, verify, verify_artifact
from tests.storage.small_store import artifact, flip, names, run


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    index = artifact(store, "index", "k1")
    run(store, "one", [index, artifact(store, "metrics", "k2", index, part="visual", settings={"lr": 1e-05})])
    return store


def files(store: Store) -> list[Path]:
    return sorted(path for path in (store.root / "artifacts").rglob("*") if path.is_file())


def test_a_sound_store_is_sound_and_read_to_the_last_byte(store: Store) -> None:
    told = []
    found = verify(store, lambda done, total, message="": told.append((done, total)))
    assert found.damaged == []
    assert [(c.stage, c.key, c.label, c.files) for c in found.artifacts] == [
        ("index", "k1", "index", 3),
        ("metrics", "k2", "metrics visual", 3),
    ]
    size = sum(path.stat().st_size for path in files(store))
    assert told[-1] == (size, size)


def test_a_flipped_bit_is_found_in_whichever_file_it_is(store: Store) -> None:
    assert len(files(store)) == 6
    for path in files(store):
        flip(path)
        [checked] = verify(store).damaged
        assert store.path(checked.stage, checked.key) in path.parents
        [(file, _)] = checked.problems
        assert path.as_posix().endswith(f"/{file}")
        flip(path)
        assert verify(store).damaged == []


def test_every_byte_of_a_manifest_counts(store: Store) -> None:
    path = store.path("metrics", "k2") / MANIFEST
    whole = path.read_bytes()
    assert b"1e-05" in whole, "a number that can be written in two ways"
    for position in range(len(whole)):
        for bit in (0, 5):  # the last makes `1E-05` of `1e-05`, which is the same number
            path.write_bytes(whole[:position] + bytes([whole[position] ^ 1 << bit]) + whole[position + 1 :])
            checked = verify_artifact(store, "metrics", "k2")
            assert checked is not None
            assert checked.problems, (position, bit)
    path.write_bytes(whole)
    assert verify(store).damaged == []


def test_what_is_wrong_is_said(store: Store) -> None:
    folder = store.path("index", "k1")
    (folder / "data.txt").write_text("short")
    (folder / "deep" / "more.txt").unlink()
    (store.path("metrics", "k2") / MANIFEST).unlink()
    found = {checked.key: dict(checked.problems) for checked in verify(store).damaged}
    assert found["k1"]["data.txt"] == "has 5 bytes in place of 8"
    assert found["k1"]["deep/more.txt"] == "cannot be read: No such file or directory"
    assert found["k2"] == {MANIFEST: "is missing"}


def test_files_that_do_not_belong_and_leftovers_are_told_and_are_no_damage(store: Store) -> None:
    (store.path("index", "k1") / "extra").touch()
    for name in ("finetuned/k9", "discarded-1", "finetuned/busy"):
        (store.root / "staging" / name).mkdir(parents=True)
    (store.root / "staging/finetuned/k9/state").write_text("1234")
    with store.lock("finetuned", "busy"):
        found = verify(store)
    assert found.damaged == []
    assert found.artifacts[0].extra == ("extra",)
    assert found.leftovers == (("staging/finetuned/k9", 4), ("staging/discarded-1", 0))


def test_dropping_takes_out_what_is_damaged_and_that_alone(store: Store) -> None:
    flip(store.path("index", "k1") / "data.txt")
    (store.root / "runs" / "bad.json").write_text("{")
    gone, busy = drop(store, verify(store))
    assert ([c.key for c in gone], busy) == (["k1"], [])
    assert names(store) == {"k2"}
    assert sorted(path.name for path in (store.root / "runs").glob("*.json")) == ["one.json"]
    assert verify(store).damaged == []


def test_what_another_process_makes_just_now_is_left_to_it(store: Store) -> None:
    flip(store.path("index", "k1") / "data.txt")
    with store.lock("index", "k1"):
        gone, busy = drop(store, verify(store))
    assert (gone, [c.key for c in busy]) == ([], ["k1"])


def test_what_was_made_anew_since_it_was_found_damaged_is_not_dropped(store: Store) -> None:
    flip(store.path("index", "k1") / "data.txt")
    found = verify(store)
    artifact(store, "index", "k1")
    assert drop(store, found) == ([], [])
    assert "k1" in names(store)


def test_what_is_published_anew_while_it_is_read_is_read_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    flip(store.path("index", "k1") / "data.txt")
    first = verifying._read

    def read_and_replace(store: Store, stage: str, key: str) -> verifying.Checked | None:
        checked = first(store, stage, key)
        monkeypatch.setattr(verifying, "_read", first)
        artifact(store, stage, key)
        return checked

    monkeypatch.setattr(verifying, "_read", read_and_replace)
    checked = verify_artifact(store, "index", "k1")
    assert checked is not None
    assert checked.problems == ()


def test_what_leaves_the_store_meanwhile_is_nothing_to_tell_of(store: Store) -> None:
    shutil.rmtree(store.path("index", "k1"))
    assert verify_artifact(store, "index", "k1") is None
