import json
from pathlib import Path

import pytest

from storage.store.artifacts import Store
from storage.store.runs import COMPLETED, DIED, FAILED, RUNNING, RunRecord, read_records, records

CONFIG = {"name": "demo", "pretrain": {"epochs": 3}}


def test_a_run_is_known_while_it_goes_on_and_when_it_is_over(tmp_path: Path) -> None:
    store = Store(tmp_path)
    run = RunRecord(store, "one", CONFIG)
    with run.alive():
        run.hold([("index", "index", "k1"), ("skeletons train-000", "skeletons", "k2")])
        [record] = records(store)
        assert record["status"] == RUNNING
        assert record["artifacts"]["skeletons train-000"] == {"stage": "skeletons", "key": "k2"}
        run.finish(COMPLETED, {}, ["index"], [{"model": "x", "mAP": 0.5}])
    [record] = records(store)
    assert (record["status"], record["config"], record["built"]) == (COMPLETED, CONFIG, ["index"])
    assert record["metrics"] == [{"model": "x", "mAP": 0.5}]


def test_a_failed_run_says_why(tmp_path: Path) -> None:
    def fail(run: RunRecord) -> None:
        with run.alive():
            raise ValueError("no such frame")

    with pytest.raises(ValueError, match="no such"):
        fail(RunRecord(Store(tmp_path), "one", CONFIG))
    [record] = records(Store(tmp_path))
    assert (record["status"], record["error"]) == (FAILED, "no such frame")


def test_a_run_whose_process_is_gone_has_died(tmp_path: Path) -> None:
    run = RunRecord(Store(tmp_path), "one", CONFIG)
    with run.alive():
        pass  # a killed process leaves its record as it was, and its lock free
    [record] = records(Store(tmp_path))
    assert record["status"] == DIED


def test_runs_come_in_the_order_in_which_they_began_and_damaged_records_do_not(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name in ("b", "a", "c"):
        with RunRecord(store, name, CONFIG).alive():
            pass
    (tmp_path / "runs" / "d.json").write_text('{"run":')
    (tmp_path / "runs" / "e.json").write_text("[]")
    assert [record["run"] for record in records(store)] == ["b", "a", "c"]


def test_every_bit_of_a_record_counts(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with RunRecord(store, "one", CONFIG).alive():
        pass
    [whole] = records(store)
    path = tmp_path / "runs" / "one.json"
    text = path.read_bytes()
    for position in range(len(text)):
        for bit in range(8):
            path.write_bytes(text[:position] + bytes([text[position] ^ 1 << bit]) + text[position + 1 :])
            assert read_records(store)[1] == ["one.json"] or records(store) == [whole], (position, bit)


def test_records_from_before_they_were_sealed_are_taken_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    old = {"run": "one", "name": "demo", "status": COMPLETED, "started": "2026", "artifacts": {}}
    (tmp_path / "runs" / "one.json").write_text(json.dumps(old))
    assert records(Store(tmp_path)) == [old]
    assert read_records(Store(tmp_path))[1] == []
