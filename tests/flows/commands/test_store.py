"""`csip verify` and `csip gc` on small stores of every kind, and what all that look into a store have in common."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.commands.app import app
from storage.store.artifacts import Store
from storage.store.runs import COMPLETED, FAILED, RunRecord
from tests.storage.store.small_store import artifact, flip_in, names, original, rewrite, run


def csip(*words: object, status: int = 0) -> str:
    """What a command says; checks how it ends."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == status, done.output
    return done.output


@pytest.fixture
def store(open_again: Callable[..., Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Two runs: the second made metrics anew. Commands look at it from a workspace of their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    store = open_again()
    index = artifact(store, "index", "1" * 24)
    old, new = (artifact(store, "metrics", digit * 24, index, part="visual") for digit in "23")
    run(store, "aaaaaaaa-old", [index, old])
    run(store, "bbbbbbbb-new", [index, new])
    return store


def look(store: Store, command: str, *words: object, status: int = 0) -> str:
    return csip(command, *words, "--store", store.address, status=status)


def test_a_sound_store_is_said_to_be_sound(store: Store) -> None:
    assert "3 of 3 artifacts are sound" in look(store, "verify")


@pytest.mark.parametrize("words", [["--store", "store"], ["config.yaml"], []])
def test_a_store_is_named_by_itself_by_a_configuration_or_is_the_one_here(store: Store, words: list[str]) -> None:
    if words != ["config.yaml"] and store.away:
        pytest.skip("the store here is a folder")
    workspace = store.root.parent
    Path("config.yaml").write_text(
        f"name: one\nstore: {store.address}\nworkspace: {workspace}\nnot_a_setting_of_today: 1\n"
    )
    assert "3 of 3 artifacts" in csip("verify", *words)
    assert "bbbbbbbb" in csip("gc", *words)
    assert "bbbbbbbb" in csip("runs", *words)


@pytest.mark.parametrize("command", [["verify"], ["gc"], ["runs"], ["diff", "last", "last"], ["show", "artifact", "x"]])
def test_looking_at_a_store_that_is_not_there_makes_none(
    command: list[str], open_again: Callable[..., Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    absent = open_again()
    said = csip(*command, "--store", absent.address, status=1)
    assert "there is no store here" in said
    assert absent.address in said.replace("\n", "")
    assert "to do: " in said
    assert not absent.place.exists()
    assert list(tmp_path.iterdir()) == []


def test_one_store_is_looked_at(store: Store) -> None:
    assert "give one of the two" in csip("verify", "config.yaml", "--store", "store", status=1)


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


def test_looking_at_a_store_imports_neither_torch_nor_prefect(store: Store) -> None:
    if store.address.startswith("memory:"):
        pytest.skip("no other process sees this one's memory")
    code = (
        "import json, sys; from typer.testing import CliRunner; from flows.commands.app import app\n"
        f"store = ['--store', {store.address!r}]\n"
        "for words in (['verify'], ['gc'], ['runs'], ['diff', 'last', 'previous'], ['show', 'artifact', 'index']):\n"
        "    assert CliRunner().invoke(app, words + store).exit_code == 0, words\n"
        "print(json.dumps([name for name in ('torch', 'prefect', 'mmpose') if name in sys.modules]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], capture_output=True, check=True)
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize(
    "command",
    [
        ["verify"],
        ["gc", "--keep", "1"],
        ["runs"],
        ["runs", "--json"],
        ["diff", "previous", "last"],
        ["diff", "previous", "last", "--json"],
        ["show", "artifact", "index"],
        ["show", "artifact", "metrics visual", "--json"],
        ["show", "artifact", "metrics"],
        ["show", "artifact", "9"],
    ],
)
def test_of_the_same_content_every_kind_of_store_tells_the_same(
    store: Store, tmp_path: Path, command: list[str]
) -> None:
    folder = Store(tmp_path / "folder")
    index = artifact(folder, "index", "1" * 24)
    for digit, name in (("2", "aaaaaaaa-old"), ("3", "bbbbbbbb-new")):
        run(folder, name, [index, artifact(folder, "metrics", digit * 24, index, part="visual")])
    told = []
    for held in (folder, store):
        done = CliRunner().invoke(app, [*command, "--store", held.address])
        said = re.sub(r"2\d{3}-\d\d-\d\d[T ][\d:.+Z]*(00:00)?|\d+\.\d+ s|0\.\d+|(?<= )-(?= )", "WHEN", done.output)
        told.append((done.exit_code, re.sub(r"\s+", " ", said.replace(held.address, "STORE"))))
    assert told[0] == told[1]


def test_an_address_says_which_store(store: Store) -> None:
    address = f"{store.address}/artifacts/index/{'1' * 24}"
    said = json.loads(csip("show", "artifact", address, "--json"))
    assert (said["key"], said["folder"]) == ("1" * 24, address)


def test_gc_tells_of_interrupted_uploads_and_deletes_them(store: Store) -> None:
    if not store.away:
        pytest.skip("nothing is uploaded to a folder")
    rewrite(store, "artifacts/metrics/abcd/digest/data.txt", b"1234")
    assert "artifacts/metrics/abcd 4 B" in " ".join(look(store, "verify").split())
    assert "metrics: uploads and deletions that were interrupted" in look(store, "gc")
    assert "deleted 1 thing, 4 B" in look(store, "gc", "--delete")
    assert "nothing else goes" in look(store, "gc")
