import logging
import re

import pytest
from rich.console import Console

from flows import telling
from flows.progress_bar import StepBars
from flows.telling import Told, bars


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "create_progress_artifact", lambda *_, **__: None)


def test_a_step_draws_its_bar_while_it_runs_and_takes_it_away() -> None:
    drawing = StepBars(Console(width=100, force_terminal=True, record=True))
    bars.addHandler(drawing)
    try:
        with Told("finetuned") as progress:
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
        with Told("skeletons train-000") as one, Told("skeletons train-001") as two:
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
    monkeypatch.setattr(telling.time, "monotonic", lambda: now)
    with caplog.at_level(logging.INFO, logger="csip"), Told("visual") as progress:
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

    monkeypatch.setattr(telling, "create_progress_artifact", refused)
    monkeypatch.setattr(telling, "LOG_SECONDS", 0.0)
    with Told("visual") as progress:
        progress(1, 2)
