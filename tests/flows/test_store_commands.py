"""`csip verify` and `csip gc` on small stores made by hand."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from storage.artifacts import Store
from storage.runs import COMPLETED, FAILED, RunRecord
from tests.storage.small_store import artifact, flip, names, run


def csip(*words: object, status: int = 0) -> str:
    """What a command says; checks how it ends."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == status, done.output
    return done.output


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Two runs: the second made metrics anew."""
    monkeypatch.chdir(tmp_path)
    store = Store(tmp_path / "store")
    index = artifact(store, "index", "1" * 24)
    old, new = (artifact(store, "metrics", digit * 24, index, part="visual") for digit in "23")
    run(store, "aaaaaaaa-old", [index, old])
    run(store, "bbbbbbbb-new", [index, new])
    return store


def files(store: Store) -> list[Path]:
    return sorted(path for path in store.root.rglob("*") if path.is_file() and path.parent.name != "locks")


def test_a_sound_store_is_said_to_be_sound(store: Store) -> None:
    assert "3 of 3 artifacts are sound" in csip("verify")


@pytest.mark.parametrize("words", [["--store", "store"], ["config.yaml"], []])
def test_a_store_is_named_by_itself_by_a_configuration_or_is_the_one_here(store: Store, words: list[str]) -> None:
    Path("config.yaml").write_text("name: one\nstore: store\nnot_a_setting_of_today: 1\n")
    assert "3 of 3 artifacts" in csip("verify", *words)
    assert "bbbbbbbb" in csip("gc", *words)
    assert "bbbbbbbb" in csip("runs", *words)


@pytest.mark.parametrize("command", [["verify"], ["gc"], ["runs"], ["diff", "last", "last"], ["show", "artifact", "x"]])
def test_looking_at_a_store_that_is_not_there_makes_none(command: list[str], tmp_path: Path) -> None:
    said = csip(*command, "--store", tmp_path / "absent", status=1)
    assert "there is no store here" in said
    assert "to do: " in said
    assert list(tmp_path.iterdir()) == []


def test_one_store_is_looked_at(store: Store) -> None:
    assert "give one of the two" in csip("verify", "config.yaml", "--store", "store", status=1)


def test_a_flipped_bit_in_any_file_ends_with_status_1_and_its_name(store: Store) -> None:
    paths = sorted(path for path in (store.root / "artifacts").rglob("*") if path.is_file())
    for path in paths:
        flip(path)
        said = csip("verify", status=1)
        assert "2 of 3 artifacts are sound" in said
        assert f"\n  {path.relative_to(store.root / 'artifacts').as_posix().split('/', 2)[2]} " in said
        assert "csip verify --drop" in said
        flip(path)
    csip("verify")


def test_dropping_takes_the_damaged_artifact_out(store: Store) -> None:
    flip(store.path("metrics", "3" * 24) / "data.txt")
    assert f"taken out: metrics visual  metrics/{'3' * 24}" in csip("verify", "--drop", status=1)
    assert names(store) == {"1" * 24, "2" * 24}
    assert "2 of 2 artifacts are sound" in csip("verify")


def test_gc_says_what_would_go_and_what_stays_and_deletes_nothing(store: Store) -> None:
    before = [(path, path.read_bytes()) for path in files(store)]
    said = csip("gc", "--keep", 1)
    assert "metrics: 1 artifact" in said
    assert "2" * 24 in said
    assert "3" * 24 not in said
    assert "a run that stays needs it" in said
    assert "among the newest 1 of demo" in said
    assert "older than the newest 1" in said
    assert "nothing was deleted; `csip gc --delete` does it" in said
    assert [(path, path.read_bytes()) for path in files(store)] == before


def test_gc_keeps_three_runs_of_each_name_unless_told_otherwise(store: Store) -> None:
    assert "nothing else goes" in csip("gc", "--delete")
    assert len(names(store)) == 3


def test_gc_deletes_what_no_kept_run_needs(store: Store) -> None:
    assert "deleted 2 things" in csip("gc", "--keep", 1, "--delete")
    assert names(store) == {"1" * 24, "3" * 24}
    assert "2 of 2 artifacts are sound" in csip("verify")
    assert "nothing else goes" in csip("gc", "--keep", 1)


def test_gc_leaves_what_a_run_in_another_process_holds(store: Store) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from storage.artifacts import Store; from storage.runs import RunRecord\n"
        f"record = RunRecord(Store(Path({str(store.root)!r})), 'cccccccc', {{'name': 'other'}})\n"
        "with record.alive():\n"
        f"    record.hold([('metrics visual', 'metrics', {'2' * 24!r})])\n"
        "    print('holds', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout
    assert other.stdout.readline() == b"holds\n"
    said = csip("gc", "--keep", 1, "--delete")
    assert "running" in said
    assert "2" * 24 in names(store)
    other.communicate()


def test_gc_keeps_a_failed_run_and_the_last_that_completed(store: Store) -> None:
    run(store, "cccccccc", [], FAILED)
    said = csip("gc", "--keep", 1, "--delete")
    assert "the last of demo that completed" in said
    assert names(store) == {"1" * 24, "3" * 24}


def test_gc_says_what_a_beginning_run_has_saved(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from storage.sweeping import Sweep

    delete = Sweep.delete

    def begin_and_delete(sweep: Sweep, progress: object) -> object:
        record = RunRecord(store, "cccccccc", {"name": "demo"})
        with record.alive():
            record.hold([("metrics visual", "metrics", "2" * 24)])
            record.finish(COMPLETED)
        return delete(sweep)

    monkeypatch.setattr(Sweep, "delete", begin_and_delete)
    said = csip("gc", "--keep", 1, "--delete")
    assert f"stayed after all, in use or made anew since: metrics/{'2' * 24}" in said


def test_no_key_is_cut_off_where_there_is_no_room(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert "2" * 24 in csip("gc", "--keep", 1)


def test_looking_at_a_store_imports_neither_torch_nor_prefect(store: Store) -> None:
    code = (
        "import json, sys; from typer.testing import CliRunner; from flows.cli import app\n"
        f"store = ['--store', {str(store.root)!r}]\n"
        "for words in (['verify'], ['gc'], ['runs'], ['diff', 'last', 'previous'], ['show', 'artifact', 'index']):\n"
        "    assert CliRunner().invoke(app, words + store).exit_code == 0, words\n"
        "print(json.dumps([name for name in ('torch', 'prefect', 'mmpose') if name in sys.modules]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, check=True)
    assert json.loads(done.stdout) == []
