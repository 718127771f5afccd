"""`csip verify` on small stores of every kind."""

from storage.store.artifacts import Store
from tests.flows.commands.command_line import look
from tests.storage.store.small_store import flip_in, names, original


def test_a_sound_store_is_said_to_be_sound(store: Store) -> None:
    assert "3 of 3 artifacts are sound" in look(store, "verify")


def test_a_flipped_bit_in_any_file_ends_with_status_1_and_its_name(store: Store) -> None:
    made = store.all("index")[0]
    for name in ("data.txt", "deep/more.txt", "manifest.json"):
        path = f"artifacts/index/{made.key}/manifest.json" if name == "manifest.json" else original(made, name)
        flip_in(store, path)
        said = look(store, "verify", status=1)
        assert "2 of 3 artifacts are sound" in said
        assert f"\n  {name} " in said
        assert "csip verify --drop" in said
        flip_in(store, path)
    look(store, "verify")


def test_dropping_takes_the_damaged_artifact_out(store: Store) -> None:
    flip_in(store, original(store.all("metrics")[1], "data.txt"))
    flip_in(store, "runs/bbbbbbbb-new.json")
    said = look(store, "verify", "--drop", status=1)
    assert f"taken out: metrics visual  metrics/{'3' * 24}" in said
    assert "taken out: runs/bbbbbbbb-new.json" in said
    assert names(store) == {"1" * 24, "2" * 24}
    assert "2 of 2 artifacts are sound" in look(store, "verify")
