"""Deleting while others use the store, of whichever kind it is."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.errors import StoreError
from storage.store.artifacts import Artifact, Store
from storage.store.bucket import Bucket
from storage.store.contents import Kind
from storage.store.garbage import Thing
from storage.store.runs import COMPLETED, DIED, RunRecord, records
from storage.store.sweep import Sweep
from storage.store.trainings import lineage_of
from tests.storage.store.small_store import artifact, flip_in, names, original, rewrite, run

Open = Callable[..., Store]


@pytest.fixture
def old(store: Store) -> Artifact:
    """An artifact that only the first of two runs needs."""
    old, new = artifact(store, "metrics", "old"), artifact(store, "metrics", "new")
    run(store, "one", [old])
    run(store, "two", [new])
    return old


def swept(store: Store, keep: int = 1) -> set[tuple[str, str]]:
    return {(thing.kind, thing.key) for thing in Sweep(store, keep).delete()}


def test_what_no_kept_run_needs_is_deleted_with_its_traces(store: Store, old: Artifact) -> None:
    (store.root / "references").mkdir()
    for key in ("old", "new", "never"):
        (store.root / "references" / f"metrics.{key}").touch()
    assert swept(store) == {(Kind.ARTIFACT, "old"), (Kind.RUN, "one")}
    assert names(store) == {"new"}
    assert [record["run"] for record in records(store)] == ["two"]
    assert [path.name for path in (store.root / "references").iterdir()] == ["metrics.new"]
    assert [path.name for path in (store.root / "cache" / "stamps").iterdir()] == ["metrics.new.json"]
    assert list((store.root / "staging").glob("discarded-*")) == []


def test_deciding_deletes_nothing(store: Store, old: Artifact) -> None:
    before = sorted(store.root.rglob("*")), store.place.listing("artifacts"), store.place.listing("runs")
    sweep = Sweep(store, 1)
    assert (sorted(store.root.rglob("*")), store.place.listing("artifacts"), store.place.listing("runs")) == before
    assert store.place.listing("leases") == {}
    assert {thing.key for thing in sweep.decision.goes} == {"old", "one"}
    assert sum(sweep.sizes[thing] for thing in sweep.decision.goes if thing.kind == Kind.ARTIFACT) > 0


def test_a_second_sweep_finds_nothing_to_do(store: Store, old: Artifact) -> None:
    swept(store)
    assert swept(store) == set()


def test_what_a_run_that_goes_on_holds_stays(store: Store, old: Artifact) -> None:
    going = RunRecord(store, "three", {"name": "other"})
    with going.alive():
        going.hold([("metrics", "metrics", "old")])
        assert swept(store) == {(Kind.RUN, "one")}
        going.finish(COMPLETED)
    assert "old" in names(store)


def test_what_a_run_begins_to_hold_after_the_decision_stays(store: Store, old: Artifact) -> None:
    sweep = Sweep(store, 1)
    beginning = RunRecord(store, "three", {"name": "demo"})
    with beginning.alive():
        beginning.hold([("metrics", "metrics", "old")])
        assert {thing.kind for thing in sweep.delete()} == {Kind.RUN}
        assert "old" in names(store)
        beginning.finish(COMPLETED)


def test_a_run_cannot_begin_to_hold_between_the_last_look_and_the_deletion(
    store: Store, old: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, look = Sweep(store, 1), Sweep._is_needed
    found = []

    def begin() -> None:
        beginning = RunRecord(store, "three", {"name": "demo"})
        with beginning.alive():
            beginning.hold([("metrics", "metrics", "old")])
            found.append(store.find("metrics", "old"))

    run = threading.Thread(target=begin)

    def look_and_begin(sweep: Sweep, thing: Thing) -> bool:
        needed = look(sweep, thing)
        run.start()
        run.join(0.2)
        assert found == [], "it waits until the artifact is out of sight"
        return needed

    monkeypatch.setattr(Sweep, "_is_needed", look_and_begin)
    sweep.delete()
    run.join()
    assert found == [None], "so that it makes it anew"


def test_what_is_made_anew_after_the_decision_stays(store: Store, old: Artifact) -> None:
    sweep = Sweep(store, 1)
    # with other bytes: S3 tells the time of a change in whole seconds
    artifact(store, "metrics", "old", text="anew")
    artifact(store, "metrics", "fresh")
    sweep.delete()
    assert names(store) == {"old", "new", "fresh"}


def test_what_is_locked_stays(store: Store, old: Artifact) -> None:
    with store.lock("metrics", "old"):
        assert swept(store) == {(Kind.RUN, "one")}
    sweep = Sweep(store, 1)
    with store.lock("metrics", "old"):
        assert sweep.delete() == []
    assert "old" in names(store)


def test_a_run_whose_record_goes_keeps_it_if_it_is_going_on(store: Store, old: Artifact) -> None:
    sweep = Sweep(store, 1)
    again = RunRecord(store, "one", {"name": "demo"})
    with again.alive():
        sweep.delete()
        assert [record["run"] for record in records(store)] == ["two", "one"]


def test_a_killed_training_stays_while_its_run_does_and_goes_with_it(store: Store) -> None:
    state = store.root / "staging" / "finetuned" / "k" / "state.pth"
    state.parent.mkdir(parents=True)
    state.write_text("1234")
    killed = RunRecord(store, "one", {"name": "demo"})
    with killed.alive():
        killed.hold([("finetuned", "finetuned", "k")])
    assert records(store)[0]["status"] == DIED
    assert swept(store) == set()
    run(store, "two", [])
    assert swept(store) == {(Kind.STAGING, "k"), (Kind.RUN, "one")}
    assert not state.parent.exists()


def test_states_of_a_model_that_goes_go_too(store: Store) -> None:
    for key, rate in (("old", 1), ("new", 2)):
        model = artifact(store, "finetuned", key, settings={"lr": rate, "epochs": 3})
        (store.root / "trainings" / "finetuned" / lineage_of("finetuned", model.manifest)).mkdir(parents=True)
        run(store, key, [model])
    new = lineage_of("finetuned", model.manifest)
    assert {kind for kind, _ in swept(store)} == {Kind.ARTIFACT, Kind.TRAINING, Kind.RUN}
    assert [path.name for path in (store.root / "trainings" / "finetuned").iterdir()] == [new]


def test_states_that_a_beginning_run_may_start_from_stay(store: Store) -> None:
    (store.root / "trainings" / "finetuned" / "lineage").mkdir(parents=True)
    sweep = Sweep(store, 1)
    assert {thing.key for thing in sweep.decision.goes} == {"lineage"}
    beginning = RunRecord(store, "one", {"name": "demo"})
    with beginning.alive():
        beginning.hold([("finetuned", "finetuned", "to make")])
        assert sweep.delete() == []


def test_a_deletion_that_was_interrupted_is_finished(store: Store, old: Artifact) -> None:
    (store.root / "staging" / "discarded-1" / "deep").mkdir(parents=True)
    swept(store)
    assert not (store.root / "staging" / "discarded-1").exists()


def test_what_vanishes_meanwhile_is_no_error(store: Store, old: Artifact) -> None:
    sweep = Sweep(store, 1)
    store.discard("metrics", "old")
    store.place.remove("runs/one.json")
    sweep.delete()


def test_without_all_records_nothing_is_decided(store: Store, old: Artifact) -> None:
    rewrite(store, "runs/two.json", b'{"run": "two"')
    with pytest.raises(StoreError, match=r"two\.json"):
        Sweep(store, 1)


def test_a_flipped_bit_in_any_record_stops_it(store: Store, old: Artifact) -> None:
    sweep = Sweep(store, 1)
    flip_in(store, "runs/two.json")
    with pytest.raises(StoreError, match=r"two\.json"):
        Sweep(store, 1)
    with pytest.raises(StoreError, match=r"two\.json"):
        sweep.delete()
    assert names(store) == {"old", "new"}


def test_a_machine_deletes_what_another_has_made_and_keeps_what_that_one_holds(
    store: Store, old: Artifact, open_again: Open
) -> None:
    other = artifact(store, "metrics", "other")
    run(store, "zero", [other])
    run(store, "two again", [store.find("metrics", "new") or old])
    going = RunRecord(store, "three", {"name": "other"})
    with going.alive():
        going.hold([("metrics", "metrics", "old")])
        assert swept(open_again("elsewhere")) >= {(Kind.ARTIFACT, "other"), (Kind.RUN, "zero")}
        assert store.find("metrics", "old") == old
        assert (old.path / "data.txt").read_text() == "metrics old"
        going.finish(COMPLETED)
    assert names(open_again("third")) == {"old", "new"}


def test_temporary_files_of_the_dead_go_and_those_of_the_living_stay(store: Store, old: Artifact) -> None:
    (store.root / "cache").mkdir(exist_ok=True)
    for name, age in (("index-demo.json.1.new", 2 * 3600), ("fresh.new", 0), ("index-demo.json", 2 * 3600)):
        (store.root / "cache" / name).write_text("half")
        os.utime(store.root / "cache" / name, (time.time() - age,) * 2)
    sweep = Sweep(store, 2)
    [thing] = sweep.delete()
    assert (thing.kind, thing.key, sweep.sizes[thing]) == (Kind.TEMPORARY, "cache/index-demo.json.1.new", 4)
    assert {p.name for p in (store.root / "cache").glob("*.*")} >= {"fresh.new", "index-demo.json"}
    assert not (store.root / "cache" / "index-demo.json.1.new").exists()


@pytest.fixture(params=["memory", "file", "s3"])
def elsewhere(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    address = {"memory": f"memory://{tmp_path.name}-half", "file": f"file://{tmp_path}/half"}.get(request.param)
    return Store(Bucket(address or request.getfixturevalue("s3_address"), tmp_path / "machine", 1.5))


def test_what_an_interrupted_upload_leaves_is_deleted_but_not_under_the_hands_of_who_uploads(
    elsewhere: Store,
) -> None:
    kept = artifact(elsewhere, "metrics", "kept")
    run(elsewhere, "one", [kept])
    rewrite(elsewhere, "artifacts/metrics/half/digest/data.txt", b"1234")
    with elsewhere.lock("metrics", "half"):
        assert Sweep(elsewhere, 1).decision.goes == {}
    sweep = Sweep(elsewhere, 1)
    with elsewhere.lock("metrics", "half"):
        assert sweep.delete() == []
    assert {(t.kind, t.key, sweep.sizes[t]) for t in sweep.decision.goes} == {(Kind.HALF, "half", 4)}
    assert swept(elsewhere) == {(Kind.HALF, "half")}
    assert {path.split("/")[1] for path in elsewhere.place.listing("artifacts")} == {"kept"}


def test_an_upload_that_was_finished_since_stays(elsewhere: Store) -> None:
    rewrite(elsewhere, "artifacts/metrics/half/digest/data.txt", b"1234")
    sweep = Sweep(elsewhere, 1)
    artifact(elsewhere, "metrics", "half")
    assert sweep.delete() == []
    assert names(elsewhere) == {"half"}


def test_a_deletion_that_was_interrupted_after_the_manifest_is_finished(elsewhere: Store) -> None:
    made = artifact(elsewhere, "metrics", "k")
    elsewhere.withdraw("metrics", "k")
    assert elsewhere.place.read([original(made, "data.txt")]) != {}
    assert elsewhere.find("metrics", "k") is None
    assert (Kind.HALF, "k") in swept(elsewhere)
    assert elsewhere.place.listing("artifacts") == {}


def test_copies_of_what_another_machine_deleted_go(elsewhere: Store, tmp_path: Path) -> None:
    for key in ("gone", "held"):
        artifact(elsewhere, "metrics", key)
        Store(Bucket(elsewhere.address, tmp_path / "another")).discard("metrics", key)
    kept = artifact(elsewhere, "metrics", "kept")
    run(elsewhere, "one", [kept])
    going = RunRecord(elsewhere, "two", {"name": "other"})
    with going.alive():
        going.hold([("metrics", "metrics", "held")])
        assert swept(elsewhere) == {(Kind.COPY, "gone")}
    assert {path.name for path in (elsewhere.root / "artifacts" / "metrics").iterdir()} == {"held", "kept"}
