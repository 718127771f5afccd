import importlib
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import prefect.concurrency.services
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import TaskRun
from prefect.client.schemas.sorting import TaskRunSort
from torch import OutOfMemoryError

from flows.keys.steps import Step
from flows.running.orders import Order
from flows.running.tasks import build_step, can_pass, reference_artifacts, step_task
from storage.errors import DataError, StoreError
from storage.store.artifacts import Artifact, Store


def step(module: str, journal: Path, source: Artifact | None = None, part: str = "", **settings: Any) -> Step:
    chosen = importlib.import_module(module).CountingSettings(**settings)
    inputs = {"source": source.file("out.txt") if source else None}
    return Step("counted", module, chosen, inputs, {"journal": journal}, part)


def run_in_flow(store: Store, wanted: Step, *, refresh: bool = False) -> tuple[Artifact, str]:
    @flow(persist_result=False)
    def once() -> tuple[Artifact, str]:
        future = step_task(wanted.stage, refresh=refresh).submit(Order(wanted, store), wanted.label)
        future.wait()
        (artifact,) = reference_artifacts(store, [future.result()])
        return artifact, future.state.name

    return once()


def last_task_run(name: str) -> TaskRun:
    """As the server knows it, once it has heard of its end."""
    end = time.monotonic() + 30
    while True:
        with get_client(sync_client=True) as client:
            found = client.read_task_runs(sort=TaskRunSort.EXPECTED_START_TIME_DESC, limit=1)
        if found and found[0].name == name and found[0].state and found[0].state.is_final():
            return found[0]
        assert time.monotonic() < end, found
        time.sleep(0.05)


def lines(journal: Path) -> int:
    return len(journal.read_text().splitlines())


def test_a_step_runs_once_and_is_cached_in_the_next_flow_run(api: str, counting_stage: str, tmp_path: Path) -> None:
    store, journal = Store(tmp_path / "store"), tmp_path / "journal"
    wanted = step(counting_stage, journal)

    first, state = run_in_flow(store, wanted)
    assert (state, lines(journal)) == ("Completed", 1)
    again, state = run_in_flow(store, wanted)
    assert (state, lines(journal)) == ("Cached", 1)
    assert again == first
    _, state = run_in_flow(store, wanted, refresh=True)
    assert (state, lines(journal)) == ("Completed", 2)


def test_a_deleted_artifact_under_a_live_prefect_record_is_made_again(
    api: str, counting_stage: str, tmp_path: Path
) -> None:
    store, journal = Store(tmp_path / "store"), tmp_path / "journal"
    wanted = step(counting_stage, journal)
    first, _ = run_in_flow(store, wanted)
    shutil.rmtree(first.path)

    again, state = run_in_flow(store, wanted)

    assert (state, lines(journal)) == ("Completed", 2)
    assert again.digest == first.digest


def test_a_copied_store_reruns_nothing(api: str, counting_stage: str, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    wanted = step(counting_stage, journal)
    run_in_flow(Store(tmp_path / "store"), wanted)
    shutil.copytree(tmp_path / "store", tmp_path / "copy")

    _, state = run_in_flow(Store(tmp_path / "copy"), wanted)

    assert (state, lines(journal)) == ("Cached", 1)


def test_a_failed_step_publishes_nothing(api: str, counting_stage: str, tmp_path: Path) -> None:
    store, journal = Store(tmp_path / "store"), tmp_path / "journal"
    with pytest.raises(DataError, match="asked to fail"):
        run_in_flow(store, step(counting_stage, journal, fail=True))
    assert lines(journal) == 1, "bad input is not tried again"
    assert store.all() == []


def test_what_another_try_may_mend_is_tried_again_and_nothing_else() -> None:
    lost = StoreError("the network is gone")
    lost.passing = True
    assert [can_pass(error) for error in (lost, ConnectionError(), TimeoutError(), OutOfMemoryError())] == [True] * 4
    assert not any(
        can_pass(error) for error in (StoreError("no such bucket"), DataError("bad"), ValueError(), OSError())
    )


def test_downstream_keys_follow_content_and_not_history(counting_stage: str, tmp_path: Path) -> None:
    store, journal = Store(tmp_path / "store"), tmp_path / "journal"
    one = build_step(store, step(counting_stage, journal, text="same start"))
    other = build_step(store, step(counting_stage, journal, text="another start"))
    # each writes the first letter of its source and its own text: same letter, same bytes
    assert step(counting_stage, journal, one).key != step(counting_stage, journal, other).key
    down = [build_step(store, step(counting_stage, journal, s, text="x")) for s in (one, one)]
    assert down[0] == down[1]
    twin = build_step(store, step(counting_stage, journal, text="same start", part="twin"))
    assert twin.key != one.key
    assert twin.digest == one.digest
    assert step(counting_stage, journal, twin).key == step(counting_stage, journal, one).key


def test_settings_that_cannot_change_a_result_stay_out_of_the_key(counting_stage: str, tmp_path: Path) -> None:
    key = step(counting_stage, tmp_path).key
    assert step(counting_stage, tmp_path, workers=8).key == key
    assert step(counting_stage, tmp_path, text="other").key != key


def test_weights_enter_the_key_by_content(counting_stage: str, tmp_path: Path) -> None:
    def key(content: str, name: str) -> str:
        (tmp_path / name).write_text(content)
        plain = step(counting_stage, tmp_path)
        return Step("counted", plain.module, plain.settings, {}, weights=lambda: {"model": tmp_path / name}).key

    assert key("weights", "a") == key("weights", "b") != key("other weights", "c")


def test_task_runs_are_tagged_and_the_server_is_not_asked_for_limits(
    api: str, counting_stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[frozenset[str]] = []
    service = prefect.concurrency.services.ConcurrencySlotAcquisitionWithLeaseService
    instance = service.instance.__func__  # type: ignore[attr-defined]
    monkeypatch.setattr(
        service, "instance", classmethod(lambda cls, names: asked.append(names) or instance(cls, names))
    )
    store, journal = Store(tmp_path / "store"), tmp_path / "journal"
    wanted = replace(step(counting_stage, journal, part="finetuned test-001"), group="split 3")

    @flow(persist_result=False)
    def run(*, really: bool) -> str:
        build = step_task(wanted.stage, tags=("MARS",))
        future = (build.with_options(tags=["limited"]) if really else build).submit(Order(wanted, store), wanted.label)
        future.wait()
        return future.state.name

    for state in ("Completed", "Cached"):
        assert run(really=False) == state
        found = last_task_run(wanted.label)
        assert set(found.tags) == {"MARS", "counted", "split 3", "test"}
        assert found.state is not None
        assert found.state.name == state
    assert asked == []
    run(really=True)
    assert asked == [frozenset({"tag:limited"})], "the test would have seen it"


def test_a_failed_step_says_first_what_to_do(api: str, counting_stage: str, tmp_path: Path) -> None:
    wanted = step(counting_stage, tmp_path / "journal", fail=True)
    with pytest.raises(DataError) as failed:
        run_in_flow(Store(tmp_path / "store"), wanted)
    state = last_task_run(wanted.label).state
    assert state is not None
    assert state.message == str(failed.value) == "asked to fail\n  where: settings.fail\n  to do: do not ask"
    assert (state.type.value, state.name) == ("FAILED", "Failed")
