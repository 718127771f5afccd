import importlib
import shutil
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.utilities.annotations import quote

from flows.steps import Step
from flows.tasks import build_step, reference_artifact, step_task
from storage.artifacts import Artifact, Store
from storage.errors import DataError


def step(module: str, journal: Path, source: Artifact | None = None, part: str = "", **settings: Any) -> Step:
    chosen = importlib.import_module(module).CountingSettings(**settings)
    inputs = {"source": source.file("out.txt") if source else None}
    return Step("counted", module, chosen, inputs, {"journal": journal}, part)


def run_in_flow(store: Store, wanted: Step, *, refresh: bool = False) -> tuple[Artifact, str]:
    @flow(persist_result=False)
    def once() -> tuple[Artifact, str]:
        future = step_task(store, wanted.stage, refresh=refresh).submit(quote(wanted), wanted.label)
        future.wait()
        return reference_artifact(store, future.result()), future.state.name

    return once()


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
