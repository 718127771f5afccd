"""What every kind of store does alike: a folder, and object stores in which nothing can be renamed."""

import logging
import pickle
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest

from storage.errors import DamagedError, StoreError
from storage.store.artifacts import Artifact, Store
from storage.store.bucket import Bucket
from storage.store.runs import COMPLETED, DIED, RUNNING, RunRecord, records
from tests.ports import free_port
from tests.storage.store.small_store import original, rewrite

Open = Callable[..., Store]
FACTS = {"settings": {}, "inputs": {}}


def publish(store: Store, text: str = "content", key: str = "k1") -> Artifact:
    with store.staging("stage", key, resume=False) as folder:
        (folder / "sub").mkdir()
        (folder / "data.txt").write_text(text)
        (folder / "sub" / "more.txt").write_text("more")
        return store.publish(folder, "stage", key, FACTS, 1.0)


def test_what_was_published_is_found_by_others(store: Store, open_again: Open) -> None:
    made = publish(store)
    found = open_again("elsewhere").find("stage", "k1")
    assert found == made
    assert found.file("data.txt").path.read_text() == "content"
    assert (found.path / "sub" / "more.txt").read_text() == "more"
    assert open_again("elsewhere").find("stage", "other") is None
    assert open_again("elsewhere").names() == [("stage", "k1")]
    assert open_again("elsewhere").all() == [made]


def test_the_same_bytes_have_the_same_digest_in_every_store(store: Store, tmp_path: Path) -> None:
    assert publish(store).digest == publish(Store(tmp_path / "another")).digest


def test_an_artifact_made_anew_replaces_the_one_before(store: Store, open_again: Open) -> None:
    publish(store, "one")
    publish(store, "two")
    found = open_again("elsewhere").find("stage", "k1")
    assert found is not None
    assert found.file("data.txt").path.read_text() == "two"


@pytest.mark.parametrize("harm", ["removed", "shorter", "manifest"])
def test_visible_damage_is_named_and_the_artifact_made_again(store: Store, open_again: Open, harm: str) -> None:
    made = publish(store)
    if harm == "removed":
        store.place.remove(original(made, "data.txt"))
    elif harm == "shorter":
        rewrite(store, original(made, "data.txt"), b"cont")
    else:
        rewrite(store, "artifacts/stage/k1/manifest.json", b'{"half": ')
    other = open_again("elsewhere")
    assert other.find("stage", "k1") is None
    assert ("manifest.json" if harm == "manifest" else "data.txt") in other.examine("stage", "k1")[1][0]
    assert publish(other).digest == made.digest
    assert open_again("third").find("stage", "k1") == made


def test_other_bytes_of_the_same_size_are_found_when_they_are_read(store: Store, open_again: Open) -> None:
    made = publish(store)
    rewrite(store, original(made, "data.txt"), b"Content")
    assert open_again("elsewhere").damage(made) == ["data.txt"]
    assert open_again("elsewhere").check(made, made.manifest["files"]) == ["data.txt"]


def test_a_discarded_artifact_is_gone_for_all(store: Store, open_again: Open) -> None:
    publish(store)
    publish(store, key="k2")
    store.discard("stage", "k1")
    assert open_again("elsewhere").names() == [("stage", "k2")]
    store.discard("stage", "k1")


def test_one_works_and_the_others_wait_and_are_told_for_whom(
    store: Store, open_again: Open, caplog: pytest.LogCaptureFixture
) -> None:
    inside, most, entered = 0, 0, []

    def work(number: int) -> None:
        nonlocal inside, most
        with open_again(f"machine {number}").lock("stage", "k1", "skeletons train-003"):
            inside += 1
            most = max(most, inside)
            entered.append(number)
            time.sleep(0.1)
            inside -= 1

    with caplog.at_level(logging.INFO, logger="csip"):
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert most == 1
    assert sorted(entered) == [0, 1, 2, 3]
    assert "does: skeletons train-003" in caplog.text
    assert not store.is_locked("stage", "k1")


def test_a_run_is_known_to_be_going_on_and_to_have_died(store: Store, open_again: Open) -> None:
    with RunRecord(store, "first", {"name": "demo"}).alive():
        pass  # no word at its end, as one that was killed
    run = RunRecord(store, "second", {"name": "demo"})
    with run.alive():
        assert [r["status"] for r in records(open_again("elsewhere"))] == [DIED, RUNNING]
        run.finish(COMPLETED)
    assert [r["status"] for r in records(open_again("elsewhere"))] == [DIED, COMPLETED]


def test_a_failed_stage_publishes_nothing(store: Store, open_again: Open) -> None:
    def fail() -> None:
        with store.staging("stage", "k1", resume=False) as folder:
            (folder / "half.txt").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert open_again("elsewhere").names() == []


def test_a_stage_that_makes_nothing_is_an_error(store: Store) -> None:
    with pytest.raises(StoreError, match="made no file"), store.staging("stage", "k1", resume=False) as folder:
        store.publish(folder, "stage", "k1", FACTS, 1.0)


def test_what_vanishes_while_it_is_used_is_told(tmp_path: Path) -> None:
    store = Store(Bucket(f"memory://{tmp_path.name}-vanish", tmp_path / "one"))
    made = publish(store)
    elsewhere = Store(Bucket(store.address, tmp_path / "two"))
    found = elsewhere.find("stage", made.key)
    store.discard("stage", made.key)
    assert found is not None
    with pytest.raises(DamagedError, match="is gone"):
        _ = found.path


def test_a_damaged_copy_on_this_machine_is_fetched_again(tmp_path: Path) -> None:
    publish(Store(Bucket(f"memory://{tmp_path.name}-copy", tmp_path / "one")))
    elsewhere = Store(Bucket(f"memory://{tmp_path.name}-copy", tmp_path / "two"))
    found = elsewhere.find("stage", "k1")
    assert found is not None
    (found.path / "data.txt").write_text("Content")
    assert (found.path / "data.txt").read_text() == "content"


def test_a_holder_that_died_loses_its_lease(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(Bucket(f"memory://{tmp_path.name}-lease", tmp_path / "one", lease_seconds=0.5))
    store.place.put("leases/stage.k1.json", b'{"token": "of a dead one", "host": "gpu7", "pid": 7}')
    assert not store.is_locked("stage", "k1")
    with caplog.at_level(logging.INFO, logger="csip"), store.lock("stage", "k1"):
        assert "taking over" in caplog.text


def test_a_holder_that_works_for_long_keeps_its_lease(tmp_path: Path) -> None:
    store = Store(Bucket(f"memory://{tmp_path.name}-long", tmp_path / "one", lease_seconds=0.4))
    entered = threading.Event()

    def wait() -> None:
        with store.lock("stage", "k1"):
            entered.set()

    with store.lock("stage", "k1"):
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert not entered.wait(1.5)
    waiting.join(10)
    assert entered.is_set()


def test_those_of_many_keys_that_somebody_holds_are_known(store: Store, open_again: Open) -> None:
    with store.lock("stage", "k2"), store.lock("stage", "k3"):
        held = open_again("elsewhere").locked([("stage", "k1"), ("stage", "k2"), ("stage", "k3")])
    assert held == {("stage", "k2"), ("stage", "k3")}


def test_many_leases_of_the_dead_are_watched_at_once(tmp_path: Path) -> None:
    store = Store(Bucket(f"memory://{tmp_path.name}-dead", tmp_path / "one", lease_seconds=0.5))
    names = [("stage", f"k{number}") for number in range(10)]
    for name in names:
        store.place.put(f"leases/{'.'.join(name)}.json", b'{"token": "of a dead one"}')
    start = time.monotonic()
    assert store.locked(names) == frozenset()
    assert time.monotonic() - start < 2


def test_a_look_up_is_one_request_once_the_manifest_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(Bucket(f"memory://{tmp_path.name}-requests", tmp_path / "one"))
    made = publish(store)
    assert store.find("stage", "k1") == made
    asked: list[str] = []

    def counted(name: str) -> Callable[..., Any]:
        request = getattr(store.place.files, name)

        def ask(*args: Any, **options: Any) -> Any:
            asked.append(name)
            return request(*args, **options)

        return ask

    for name in ("find", "cat_file", "info", "ls", "exists"):
        monkeypatch.setattr(store.place.files, name, counted(name))
    assert Store(Bucket(store.address, tmp_path / "one")).find("stage", "k1") == made
    assert asked == ["find"]


def test_a_manifest_that_is_known_is_read_again_when_it_was_replaced(store: Store, open_again: Open) -> None:
    other = open_again("elsewhere")
    for text in ("one", "two"):
        made = publish(store, text)
        assert other.find("stage", "k1") == made


def test_looking_at_a_store_that_is_not_there_makes_none(open_again: Open, tmp_path: Path) -> None:
    store = open_again()
    assert not store.place.exists()
    assert (store.names(), store.place.listing("runs"), store.place.read(["runs/x.json"])) == ([], {}, {})
    assert store.locked([("stage", "k1")]) == frozenset()
    store.place.remove("runs/x.json")
    assert not store.place.exists()
    assert list(tmp_path.iterdir()) == []
    publish(store)
    assert store.place.exists()


def test_names_with_stars_are_names(store: Store) -> None:
    store.place.put("runs/a.json", b"a")
    store.place.put("runs/*.json", b"b")
    assert store.place.read(["runs/*.json", "runs/gone.json"]) == {"runs/*.json": b"b"}


def test_a_service_that_cannot_be_reached_may_be_mended_by_another_try_and_one_that_refuses_is_not(
    s3_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = s3_address.removesuffix("/store")
    with pytest.raises(StoreError, match="make the bucket") as refused:
        Store(Bucket(f"{bucket}-that-nobody-made/store", tmp_path)).prepare()
    assert not refused.value.passing

    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    fsspec.get_filesystem_class("s3").clear_instance_cache()  # one that is kept would still know the service
    try:
        with pytest.raises(StoreError, match="Connect") as lost:
            Store(Bucket(f"{bucket}-of-a-service-that-is-gone/store", tmp_path)).prepare()
    finally:
        fsspec.get_filesystem_class("s3").clear_instance_cache()
    assert lost.value.passing
    assert pickle.loads(pickle.dumps(lost.value)).passing  # noqa: S301 - of our own
