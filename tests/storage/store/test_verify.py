from collections.abc import Callable
from pathlib import Path

import pytest

from storage.store import verify as verifying
from storage.store.artifacts import Store
from storage.store.manifests import MANIFEST
from storage.store.verify import drop, verify, verify_artifact
from tests.storage.store.small_store import artifact, flip_in, names, original, rewrite, run


@pytest.fixture
def store(open_again: Callable[..., Store]) -> Store:
    store = open_again()
    index = artifact(store, "index", "k1")
    run(store, "one", [index, artifact(store, "metrics", "k2", index, part="visual", settings={"lr": 1e-05})])
    return store


def files(store: Store) -> list[str]:
    return sorted(f"artifacts/{path}" for path in store.place.listing("artifacts"))


def test_a_sound_store_is_sound_and_read_to_the_last_byte(store: Store) -> None:
    told = []
    found = verify(store, lambda done, total, message="": told.append((done, total)))
    assert found.damaged == []
    assert [(c.stage, c.key, c.label, c.files) for c in found.artifacts] == [
        ("index", "k1", "index", 3),
        ("metrics", "k2", "metrics visual", 3),
    ]
    size = sum(len(content) for content in store.place.read(files(store)).values())
    assert told[-1] == (size, size)


def test_a_flipped_bit_is_found_in_whichever_file_it_is(store: Store) -> None:
    assert len(files(store)) == 6
    for path in files(store):
        flip_in(store, path)
        [checked] = verify(store).damaged
        assert path.startswith(f"artifacts/{checked.stage}/{checked.key}/")
        [(file, _)] = checked.problems
        assert path.endswith(f"/{file}")
        flip_in(store, path)
        assert verify(store).damaged == []


def test_every_byte_of_a_manifest_counts(tmp_path: Path) -> None:
    store = Store(tmp_path / "one")
    path = artifact(store, "metrics", "k2", settings={"lr": 1e-05}).path / MANIFEST
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
    index = store.all("index")[0]
    rewrite(store, original(index, "data.txt"), b"short")
    store.place.remove(original(index, "deep/more.txt"))
    flip_in(store, f"artifacts/metrics/k2/{MANIFEST}")
    found = {checked.key: dict(checked.problems) for checked in verify(store).damaged}
    assert found["k1"]["data.txt"] == "has 5 bytes in place of 8"
    assert found["k1"]["deep/more.txt"] in (
        "cannot be read: No such file or directory",
        "cannot be read: it is gone",
    )
    assert found["k2"] == {MANIFEST: "is not what was written"}


def test_a_folder_without_a_manifest_is_damage_and_in_an_object_store_a_leftover(store: Store) -> None:
    index = store.all("index")[0]
    store.place.remove(f"artifacts/index/k1/{MANIFEST}")
    found = verify(store)
    if store.away:
        assert found.damaged == []
        assert found.leftovers == (("artifacts/index/k1", 12),)
        with store.lock("index", "k1"):
            assert verify(store).leftovers == ()
    else:
        assert [checked.problems for checked in found.damaged] == [((MANIFEST, "is missing"),)]
    assert artifact(store, "index", "k1").digest == index.digest
    assert verify(store).damaged == []


def test_files_that_do_not_belong_and_leftovers_are_told_and_are_no_damage(store: Store) -> None:
    rewrite(store, "artifacts/index/k1/extra", b"")
    for name in ("finetuned/k9", "discarded-1", "finetuned/busy"):
        (store.root / "staging" / name).mkdir(parents=True)
    (store.root / "staging/finetuned/k9/state").write_text("1234")
    with store.lock("finetuned", "busy"):
        found = verify(store)
    assert found.damaged == []
    assert found.artifacts[0].extra == ("extra",)
    assert found.leftovers == (("staging/finetuned/k9", 4), ("staging/discarded-1", 0))


def test_dropping_takes_out_what_is_damaged_and_that_alone(store: Store) -> None:
    flip_in(store, original(store.all("index")[0], "data.txt"))
    rewrite(store, "runs/bad.json", b"{")
    gone, busy = drop(store, verify(store))
    assert ([c.key for c in gone], busy) == (["k1"], [])
    assert names(store) == {"k2"}
    assert list(store.place.listing("runs")) == ["one.json"]
    assert verify(store).damaged == []


def test_what_another_process_makes_just_now_is_left_to_it(store: Store) -> None:
    flip_in(store, original(store.all("index")[0], "data.txt"))
    with store.lock("index", "k1"):
        gone, busy = drop(store, verify(store))
    assert (gone, [c.key for c in busy]) == ([], ["k1"])


def test_what_was_made_anew_since_it_was_found_damaged_is_not_dropped(store: Store) -> None:
    flip_in(store, original(store.all("index")[0], "data.txt"))
    found = verify(store)
    artifact(store, "index", "k1")
    assert drop(store, found) == ([], [])
    assert "k1" in names(store)


def test_what_is_published_anew_while_it_is_read_is_read_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    flip_in(store, original(store.all("index")[0], "data.txt"))
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
    store.discard("index", "k1")
    assert verify_artifact(store, "index", "k1") is None


def test_a_flipped_bit_in_a_record_is_damage(store: Store) -> None:
    flip_in(store, "runs/one.json")
    found = verify(store)
    assert (found.damaged, found.records) == ([], ("one.json",))
    drop(store, found)
    assert verify(store).records == ()
