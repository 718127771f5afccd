"""`csip compare`: which results its names mean, what it refuses, and that terminal, JSON and page say the same."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from evaluation.results.files import FILES
from flows.planning.history import seed_groups
from storage.store.artifacts import Artifact, Store
from storage.store.runs import COMPLETED, FAILED, RunRecord
from tests.evaluation.small_results import evaluated
from tests.flows.commands.command_line import csip
from tests.storage.store.small_store import artifact, run

FIRST, SECOND, THIRD = "aa11aa11-1", "bb22bb22-2", "cc33cc33-3"


def published(store: Store, key: str, part: str, folder: Path) -> Artifact:
    with store.staging("metrics", key, resume=False) as staging:
        for name in FILES:
            shutil.copy(folder / name, staging / name)
        facts: Mapping[str, Any] = {
            "part": part,
            "settings": {},
            "inputs": {},
            "weights": {},
            "code": {},
            "libraries": {},
        }
        return store.publish(staging, "metrics", key, facts, 1.0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Evaluations: of a visual encoder, of two seeds of a model, of a much better one, and with another gallery."""
    folder = tmp_path_factory.mktemp("made")
    for name, noise, seed in (("visual", 2.0, 0), ("seed-0", 1.5, 1), ("seed-1", 1.5, 2), ("good", 0.5, 3)):
        evaluated(folder / name, noise=noise, seed=seed)
    evaluated(folder / "alone", noise=0.5, seed=3, gallery="without_queries")
    return folder


@pytest.fixture
def store(tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Two runs that differ in a seed, and one with another rate; the visual encoder of the first is that of all."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    store = Store(tmp_path / "store")
    visual = published(store, "0" * 24, "visual", made / "visual")
    models = [("seed-0", 0, 0.1), ("seed-1", 1, 0.1), ("good", 0, 0.5)]
    for number, (name, (folder, seed, rate)) in enumerate(zip((FIRST, SECOND, THIRD), models, strict=True), start=1):
        model = published(store, str(number) * 24, "finetuned", made / folder)
        run(store, name, [visual, model], config={"finetune": {"seed": seed, "lr": rate}, "seed": 7})
    return store


def as_json(*words: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(csip("compare", *words, "--json"))
    return found


def compared(*words: object) -> list[str]:
    return [row["name"] for row in as_json(*words)["results"]]


def own_map(folder: Path) -> float:
    return float(json.loads((folder / "metrics.json").read_text())["mAP"])


def test_runs_are_named_as_elsewhere_and_the_first_is_the_reference(store: Store, made: Path) -> None:
    found = as_json("previous", "cc33")
    assert [row["name"] for row in found["results"]] == [SECOND[:8], THIRD[:8]]
    assert found["reference"] == SECOND[:8]
    values = [row["metrics"]["mAP"]["value"] for row in found["results"]]
    assert values == pytest.approx([own_map(made / "seed-1"), own_map(made / "good")])


def test_the_reference_can_be_chosen_among_them_or_beside_them(store: Store) -> None:
    assert compared("aa11", "bb22", "--against", "bb22") == [SECOND[:8], FIRST[:8]]
    assert compared("aa11", "bb22", "--against", "last") == [THIRD[:8], FIRST[:8], SECOND[:8]]


def test_the_finetuned_model_is_compared_unless_another_is_named(store: Store, made: Path) -> None:
    value = as_json("last:visual", "last")["results"]
    assert [row["name"] for row in value] == [f"{THIRD[:8]} visual", THIRD[:8]]
    assert value[0]["metrics"]["mAP"]["value"] == pytest.approx(own_map(made / "visual"))
    # one visual encoder stands behind all runs
    row = as_json("aa11", "last", "--model", "visual")["results"][1]["metrics"]["mAP"]
    assert (row["difference"], row["p"], row["verdict"]) == (0.0, 1.0, "the same")


def test_a_result_named_twice_is_one(store: Store, made: Path) -> None:
    assert compared("last", "aa11", "cc33", "last:finetuned") == [THIRD[:8], FIRST[:8]]
    assert "one result alone" in csip("compare", "last", "cc33", status=1)
    assert "one result alone" in csip("compare", made / "good", f"{made}/good/", status=1)


def test_of_a_run_without_finetuning_the_last_model_is_compared(store: Store, made: Path) -> None:
    artifacts = [
        published(store, d * 24, p, made / f) for d, p, f in (("8", "recordings", "seed-0"), ("9", "sequences", "good"))
    ]
    run(store, "dddddddd-4", artifacts)
    rows = as_json("dddd", "aa11")["results"]
    assert rows[0]["metrics"]["mAP"]["value"] == pytest.approx(own_map(made / "good"))


def test_of_a_run_over_all_splits_one_is_compared(store: Store, made: Path) -> None:
    artifacts = {
        f"split {number} metrics finetuned": published(store, digit * 24, "finetuned", made / name)
        for number, (digit, name) in enumerate((("8", "seed-0"), ("9", "good")))
    }
    record = RunRecord(store, "dddddddd-4", {"name": "demo"})
    with record.alive():
        record.finish(COMPLETED, artifacts)
    for words, folder in (([], "seed-0"), (["--split", 1], "good")):
        row = as_json("dddd", "bb22", *words)["results"][0]
        assert row["metrics"]["mAP"]["value"] == pytest.approx(own_map(made / folder))
    assert "has no evaluation" in csip("compare", "dddd", "bb22", "--split", 5, status=1)


def test_a_folder_that_somebody_else_evaluated_stands_beside_runs_and_needs_no_store(
    store: Store, made: Path, tmp_path: Path
) -> None:
    found = as_json("aa11", "bb22", made / "good")
    assert [row["name"] for row in found["results"]] == [FIRST[:8], SECOND[:8], "good"]
    assert found["settings"]["finetune.seed"] == [0, 1, "not known"]
    assert found["results"][2]["metrics"]["mAP"]["verdict"] == "better"
    words = (made / "seed-0", made / "good", "--store", tmp_path / "nowhere")
    assert compared(*words) == ["seed-0", "good"]


def test_folders_of_one_name_are_told_apart(store: Store, made: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "good"
    shutil.copytree(made / "seed-0", other)
    assert compared(made / "good", other) == [str(made / "good"), str(other)]


def test_settings_that_differ_and_runs_that_differ_in_seeds_are_found(store: Store, made: Path) -> None:
    found = as_json("aa11", "bb22", "cc33")
    assert found["settings"] == {"finetune.seed": [0, 1, 0], "finetune.lr": [0.1, 0.1, 0.5]}
    (group,) = found["seeds"]
    assert group["results"] == [FIRST[:8], SECOND[:8]]
    mean = (own_map(made / "seed-0") + own_map(made / "seed-1")) / 2
    assert group["metrics"]["mAP"]["mean"] == pytest.approx(mean)


def test_runs_of_the_same_seeds_or_of_other_settings_are_no_group() -> None:
    configs: list[dict[str, Any]] = [
        {"a": {"seed": 1, "lr": 0.1}},
        {"a": {"seed": 1, "lr": 0.2}},
        {"a": {"seed": 1, "lr": 0.1}},
        {"a": {"seed": 2, "lr": 0.2}},
        {"seed": 2},
        {"seed": 2, "data": {"demo": {"seed": 1}}},
        {"seed": 2, "data": {"demo": {"seed": 2}}},
        {"evaluation": {"seed": 1}},
        {"evaluation": {"seed": 2}},
    ]
    assert seed_groups(configs) == [[1, 3]]
    assert seed_groups([]) == []


def test_runs_on_other_data_are_named_though_their_queries_are_called_alike(store: Store, made: Path) -> None:
    for digit, text in (("d", "frames"), ("e", "frames"), ("f", "other frames")):
        index = artifact(store, "index", digit * 24, text=text)
        run(store, digit * 8, [index, published(store, digit * 24, "finetuned", made / "good")])
    assert not as_json("dddd", "eeee", made / "seed-0")["notices"]
    (notice,) = as_json("dddd", "eeee", "ffff")["notices"]
    assert notice.startswith("The index of the data set is not that of dddddddd in ffffffff: ")


def test_terminal_and_page_say_what_json_says(store: Store, tmp_path: Path) -> None:
    found = as_json("aa11", "bb22", "cc33")
    assert not (tmp_path / "compare.html").exists()
    said = csip("compare", "aa11", "bb22", "cc33")
    page = (tmp_path / "compare.html").read_text()
    assert "wrote compare.html" in said
    row = found["results"][2]["metrics"]["mAP"]
    assert row["verdict"] == "better"
    for value in (f"{100 * row['value']:.1f}", f"{100 * row['difference']:+.1f}", "better", "over seeds"):
        assert value.lower() in said.lower()
        assert value.lower() in page.lower()
    assert "finetune.lr" in page
    other = tmp_path / "there" / "page.html"
    assert "there is no such folder" in csip("compare", "aa11", "bb22", "--out", other, status=1)
    other.parent.mkdir()
    assert "this is a folder" in csip("compare", "aa11", "bb22", "--out", other.parent, status=1)
    assert "nothing can be written here" in csip("compare", "aa11", "bb22", "--out", "/proc/c.html", status=1)
    csip("compare", "aa11", "bb22", "--out", other, "--json")
    assert other.read_text().startswith("<!doctype html>")


def test_other_rules_are_refused_unless_forced(store: Store, made: Path) -> None:
    said = csip("compare", "last", made / "alone", status=1)
    assert "without_queries" in said
    assert "--force" in said
    assert "note: gallery" in csip("compare", "last", made / "alone", "--force")


def test_what_cannot_be_compared_is_said_plainly(store: Store, made: Path, tmp_path: Path) -> None:
    assert "there is no such run: zz" in csip("compare", "zz", "last", status=1)
    assert "evaluated no model 'sequences'" in csip("compare", "aa11", "last", "--model", "sequences", status=1)
    assert "there is no model 'best'" in csip("compare", "aa11", "last", "--model", "best", status=1)
    said = csip("compare", made / "good", "nothere", "--store", tmp_path / "nowhere", status=1)
    assert "nothere: there is no such folder, and no run can be looked for: there is no store here" in said
    assert "to do: name a configuration or --store PATH" in said
    assert f"there is no such folder\n  where: {made}/goof" in csip("compare", "last", made / "goof", status=1)
    assert "has no metrics.json" in csip("compare", "last", tmp_path, status=1)
    run(store, "eeeeeeee-5", [], status=FAILED)
    said = csip("compare", "aa11", "last", status=1)
    assert "run eeeeeeee (failed) has no evaluation" in said
    store.discard("metrics", "1" * 24)
    said = csip("compare", "aa11", "bb22", status=1)
    assert "is not in the store any more" in said
    assert "to do: " in said


def test_comparing_imports_neither_torch_nor_prefect(store: Store, made: Path) -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from flows.commands.app import app\n"
        f"words = ['compare', 'aa11', 'last', {str(made / 'good')!r}, '--store', {str(store.root)!r}, '--json']\n"
        "done = CliRunner().invoke(app, words); assert done.exit_code == 0, done.output\n"
        "print([name for name in ('torch', 'prefect', 'mmpose') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], capture_output=True, check=True)
    assert done.stdout.decode().strip() == "[]"


def test_runs_of_any_kind_of_store_are_compared(
    open_again: Callable[..., Store], made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    store = open_again()
    for digit, folder in (("1", "seed-0"), ("2", "good")):
        run(store, digit * 8, [published(store, digit * 24, "finetuned", made / folder)])
    rows = as_json("previous", "last", "--store", store.address)["results"]
    assert rows[1]["metrics"]["mAP"]["value"] == pytest.approx(own_map(made / "good"))
