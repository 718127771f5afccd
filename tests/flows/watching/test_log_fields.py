import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from flows.keys.steps import Step
from flows.watching import log_fields
from flows.watching.log_fields import lines_of, log_to, stamp_records

log = logging.getLogger("csip")


def step(stage: str, part: str = "") -> Step:
    return cast(Step, SimpleNamespace(label=f"{stage} {part}".strip(), stage=stage, part=part, key=f"key-{part}"))


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(log_fields.FILE, raising=False)
    made, handlers, level = logging.getLogRecordFactory(), list(log.handlers), log.level
    stamp_records()
    yield
    logging.setLogRecordFactory(made)
    log.handlers[:] = handlers
    log.setLevel(level)
    monkeypatch.delenv(log_fields.FILE, raising=False)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_lines_of_a_step_name_it_first_and_others_are_as_they_were(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log.info("before %d", 1)
    with lines_of(step("skeletons", "train-003"), "run-1"):
        log.info("%d of %d frames cannot be read", 2, 9)
        log.info("skeletons train-003 done in %.1f s", 2.0)
        logging.getLogger("csip.extraction").info("a %% and {a brace}")
        logging.getLogger("csip-of-others.other").info("not ours")
    log.info("after")
    assert caplog.messages == [
        "before 1",
        "skeletons train-003 | 2 of 9 frames cannot be read",
        "skeletons train-003 done in 2.0 s",
        "skeletons train-003 | a %% and {a brace}",
        "not ours",
        "after",
    ]


def test_a_file_gets_each_line_as_json_with_all_fields(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "run.jsonl"
    log_to(str(path))
    log_to(str(path))
    with lines_of(step("skeletons", "train-003"), "run-1"):
        log.warning("2 frames of %s", "0001C1T0001", extra={"tracklet": "0001C1T0001"})
    try:
        raise ValueError("what it was")
    except ValueError:
        log.exception("outside")
    first, second = lines(path)
    assert first.pop("time").endswith("+00:00")
    assert first == {
        "level": "warning",
        "stage": "skeletons",
        "shard": "train-003",
        "tracklet": "0001C1T0001",
        "key": "key-train-003",
        "run": "run-1",
        "message": "2 frames of 0001C1T0001",
    }
    assert (second["stage"], second["tracklet"], second["message"]) == ("", "", "outside")
    assert "what it was" in second["error"]


def test_steps_in_threads_do_not_mix_their_lines(tmp_path: Path) -> None:
    log_to(str(tmp_path / "log"))
    meet = threading.Barrier(4)

    def build(part: str) -> None:
        with lines_of(step("features", part), "run-1"):
            for _ in range(25):
                meet.wait()
                log.info("at work on %s", part)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(build, "abcd"))
    found = lines(tmp_path / "log")
    assert len(found) == 100
    assert all(line["message"] == f"at work on {line['shard']}" for line in found)


OTHER = """
import logging, types
from flows.watching.log_fields import lines_of
with lines_of(types.SimpleNamespace(label="visual", stage="visual", part="", key="k"), "run-1"):
    logging.getLogger("csip").info("from another process")
"""


def test_a_process_that_a_run_starts_writes_to_the_same_file(tmp_path: Path) -> None:
    log_to(str(tmp_path / "log"))
    log.info("here")
    subprocess.run([sys.executable, "-c", OTHER], check=True, cwd=Path(__file__).parents[3])
    here, there = lines(tmp_path / "log")
    assert (here["stage"], here["message"]) == ("", "here")
    assert (there["stage"], there["run"], there["message"]) == ("visual", "run-1", "from another process")
