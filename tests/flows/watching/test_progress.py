import logging
import re
import threading
from typing import Any

import pytest
from prefect import flow, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from rich.console import Console

from flows.commands.options.console import StepBars
from flows.watching import progress as reporting
from flows.watching.progress import RunProgress, StepProgress, bars, pace


@pytest.fixture(autouse=True)
def no_server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "api" not in request.fixturenames:
        monkeypatch.setattr(reporting, "create_progress_artifact", lambda *_, **__: None)


def test_a_step_draws_its_bar_while_it_runs_and_takes_it_away() -> None:
    drawing = StepBars(Console(width=100, force_terminal=True, record=True))
    bars.addHandler(drawing)
    try:
        with StepProgress("finetuned") as progress:
            progress(3, 12, "epoch 1/4  loss 4.200  lr 5.0e-05  40 clips/s")
            (task,) = drawing.bars.tasks
            assert (task.description, task.completed, task.total) == ("finetuned", 3, 12)
            drawing.bars.console.print(drawing.bars.get_renderable())
        assert drawing.bars.tasks == []
    finally:
        bars.removeHandler(drawing)
    said = drawing.bars.console.export_text()
    assert re.search(r"finetuned.*25%.*loss 4\.200.*40 clips/s", said)


def test_two_steps_at_once_have_two_bars() -> None:
    drawing = StepBars(Console(width=100, force_terminal=True))
    bars.addHandler(drawing)
    try:
        with StepProgress("skeletons train-000") as one, StepProgress("skeletons train-001") as two:
            one(1, 10)
            two(5, 10)
            assert [(t.description, t.completed) for t in drawing.bars.tasks] == [
                ("skeletons train-000", 1),
                ("skeletons train-001", 5),
            ]
    finally:
        bars.removeHandler(drawing)


def test_the_log_gets_a_line_now_and_then_with_the_time_left(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(reporting.time, "monotonic", lambda: now)
    with caplog.at_level(logging.INFO, logger="csip"), StepProgress("visual") as progress:
        for done in range(1, 13):
            now += 1.0
            progress(done, 20, "loss 1.000")
    assert [record.getMessage() for record in caplog.records if record.name == "csip"] == [
        "visual 25 %  loss 1.000  15 s left",
        "visual 50 %  loss 1.000  10 s left",
    ]


def test_a_server_that_cannot_be_reached_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(reporting, "create_progress_artifact", refused)
    with StepProgress("visual", every=0.0) as progress:
        progress(1, 2)


def shown(run: str) -> list[tuple[str | None, Any, str | None]]:
    """Key, percent and description of the bars of a flow run, as somebody else sees them."""
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run])))
    return [(bar.key, bar.data, bar.description) for bar in found]


def test_the_more_tasks_are_done_at_once_the_more_rarely_each_tells_of_itself() -> None:
    assert [pace(tasks) for tasks in (1, 25, 200, 1000)] == [5.0, 5.0, 40.0, 200.0]


def test_the_bar_of_a_step_moves_in_the_ui_while_it_runs(api: str) -> None:
    seen = []

    @task(cache_policy=NO_CACHE, persist_result=False)
    def long() -> None:
        with StepProgress("visual", every=0.0) as progress:
            for done in range(1, 5):
                progress(done, 5, f"epoch {done}/5")
                seen.extend(shown(runtime.flow_run.id))

    @flow(persist_result=False)
    def run() -> str:
        long()
        return str(runtime.flow_run.id)

    last = run()
    assert seen == [(None, 20.0 * done, f"visual: epoch {done}/5") for done in range(1, 5)]
    assert shown(last) == [(None, 100.0, "visual")]


def test_the_bar_of_a_run_counts_its_steps_whoever_finishes_them(api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "RUN_SECONDS", 0.01)
    seen = []

    @flow(persist_result=False)
    def run() -> str:
        me = str(runtime.flow_run.id)
        with RunProgress() as run_progress:
            seen.extend(shown(me))
            run_progress.total = 4
            for number in range(3):
                thread = threading.Thread(target=run_progress.done.add, args=(f"step {number}",))
                thread.start()
                thread.join()
                while (bar := shown(me)[0]) in seen:
                    pass
                seen.append(bar)
            run_progress.done.add("step 2")  # a second time, after damage
            run_progress.done.add("step 3")
        return me

    last = run()
    assert seen == [("progress", 0.0, "looking at the data")] + [
        ("progress", 25.0 * done, f"{done} of 4 steps") for done in (1, 2, 3)
    ]
    assert shown(last) == [("progress", 100.0, "4 of 4 steps")]


def test_a_bar_is_not_moved_more_often_than_a_person_can_look(monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[str | None] = []
    monkeypatch.setattr(reporting.UiBar, "show", lambda _, percent, told=None: moved.append(told))
    with RunProgress() as run_progress:
        run_progress.total = 10_000
        for number in range(10_000):
            run_progress.done.add(str(number))
    assert len(moved) <= 3, "it took no three seconds"
    assert moved[-1] == "10000 of 10000 steps"
