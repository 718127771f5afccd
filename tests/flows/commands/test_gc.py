"""`csip gc` on small stores of every kind."""

import subprocess
import sys
from pathlib import Path

import pytest

from storage.store.artifacts import Store
from storage.store.runs import COMPLETED, FAILED, RunRecord
from tests.flows.commands.command_line import look
from tests.storage.store.small_store import names, rewrite, run


def test_gc_says_what_would_go_and_what_stays_and_deletes_nothing(store: Store) -> None:
    before = store.place.listing("artifacts"), store.place.listing("runs")
    said = look(store, "gc", "--keep", 1)
    assert "metrics: 1 artifact" in said
    assert "2" * 24 in said
    assert "3" * 24 not in said
    assert "a run that stays needs it" in said
    assert "among the newest 1 of demo" in said
    assert "older than the newest 1" in said
    assert "nothing was deleted; `csip gc --delete` does it" in said
    assert (store.place.listing("artifacts"), store.place.listing("runs")) == before


def test_gc_keeps_three_runs_of_each_name_unless_told_otherwise(store: Store) -> None:
    assert "nothing else goes" in look(store, "gc", "--delete")
    assert len(names(store)) == 3


def test_gc_deletes_what_no_kept_run_needs(store: Store) -> None:
    assert "deleted 2 things" in look(store, "gc", "--keep", 1, "--delete")
    assert names(store) == {"1" * 24, "3" * 24}
    assert "2 of 2 artifacts are sound" in look(store, "verify")
    assert "nothing else goes" in look(store, "gc", "--keep", 1)


def test_gc_leaves_what_a_run_in_another_process_holds(store: Store) -> None:
    if store.address.startswith("memory:"):
        pytest.skip("no other process sees this one's memory")
    code = (
        "import sys; from pathlib import Path\n"
        "from storage.store.artifacts import open_store; from storage.store.runs import RunRecord\n"
        f"store = open_store({store.address!r}, Path({str(store.root.parent / 'another')!r}))\n"
        "store.place.lease_seconds = 1.5\n"
        "record = RunRecord(store, 'cccccccc', {'name': 'other'})\n"
        "with record.alive():\n"
        f"    record.hold([('metrics visual', 'metrics', {'2' * 24!r})])\n"
        "    print('holds', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[3], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout
    assert other.stdout.readline() == b"holds\n"
    said = look(store, "gc", "--keep", 1, "--delete")
    assert "running" in said
    assert "2" * 24 in names(store)
    other.communicate()


def test_gc_keeps_a_failed_run_and_the_last_that_completed(store: Store) -> None:
    run(store, "cccccccc", [], FAILED)
    said = look(store, "gc", "--keep", 1, "--delete")
    assert "the last of demo that completed" in said
    assert names(store) == {"1" * 24, "3" * 24}


def test_gc_says_what_a_beginning_run_has_saved(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from storage.store.sweep import Sweep

    delete = Sweep.delete

    def begin_and_delete(sweep: Sweep, progress: object) -> object:
        record = RunRecord(store, "cccccccc", {"name": "demo"})
        with record.alive():
            record.hold([("metrics visual", "metrics", "2" * 24)])
            record.finish(COMPLETED)
        return delete(sweep)

    monkeypatch.setattr(Sweep, "delete", begin_and_delete)
    said = look(store, "gc", "--keep", 1, "--delete")
    assert f"stayed after all, in use or made anew since: metrics/{'2' * 24}" in said


def test_no_key_is_cut_off_where_there_is_no_room(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert "2" * 24 in look(store, "gc", "--keep", 1)


def test_gc_tells_of_interrupted_uploads_and_deletes_them(store: Store) -> None:
    if not store.away:
        pytest.skip("nothing is uploaded to a folder")
    rewrite(store, "artifacts/metrics/abcd/digest/data.txt", b"1234")
    assert "artifacts/metrics/abcd 4 B" in " ".join(look(store, "verify").split())
    assert "metrics: uploads and deletions that were interrupted" in look(store, "gc")
    assert "deleted 1 thing, 4 B" in look(store, "gc", "--delete")
    assert "nothing else goes" in look(store, "gc")
