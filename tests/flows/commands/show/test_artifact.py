"""`csip show artifact`: what a name means, and what is told of an artifact."""

import json
from pathlib import Path
from typing import Any

import pytest

from storage.store.artifacts import Store
from tests.flows.commands.command_line import csip
from tests.storage.store.small_store import artifact, flip, run

INDEX, TRAIN, TEST, MODEL = "aaaa" + "0" * 20, "ab12" + "0" * 20, "cd34" + "0" * 20, "ef56" + "0" * 20


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An index, two shards that read its file, and a model made from one of these."""
    monkeypatch.chdir(tmp_path)
    store = Store(tmp_path / "store")
    index = artifact(store, "index", INDEX)
    rows = {"inputs": {"index": index.file("data.txt").digest}}
    shards = [artifact(store, "skeletons", TRAIN, part="train-000", **rows)]
    shards.append(artifact(store, "skeletons", TEST, part="test-000", **rows))
    model = artifact(
        store,
        "finetuned",
        MODEL,
        shards[0],
        settings={"lr": 0.5, "losses": {"margin": 0.3}},
        weights={"clip": "d" * 64},
        also={"trainer": {"precision": "bf16"}},
    )
    run(store, "11111111-first", [index, *shards])
    run(store, "22222222-second", [index, *shards, model])
    return store


def shown(name: str, *words: str) -> dict[str, Any]:
    return json.loads(csip("show", "artifact", name, "--json", *words))


@pytest.mark.parametrize(
    "name",
    [
        TRAIN,
        "ab",
        f"skeletons/{TRAIN}",
        "skeletons/ab12",
        f"store/artifacts/skeletons/{TRAIN}",
        f"store/artifacts/skeletons/{TRAIN}/",
        "skeletons train-000",
    ],
)
def test_an_artifact_has_many_names(store: Store, name: str) -> None:
    assert shown(name)["key"] == TRAIN


def test_a_folder_says_which_store(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert shown(f"../store/artifacts/index/{INDEX}")["label"] == "index"


def test_a_label_means_the_newest_run_that_has_it(store: Store) -> None:
    newer = artifact(store, "metrics", "9" * 24, part="visual")
    older = artifact(store, "metrics", "8" * 24, part="visual")
    run(store, "33333333", [older])
    run(store, "44444444", [newer])
    run(store, "55555555", [])
    assert shown("metrics visual")["key"] == newer.key


@pytest.mark.parametrize(
    ("name", "candidates"),
    [
        ("a", [f"index/{INDEX}", f"skeletons/{TRAIN}"]),
        ("skeletons", ["skeletons test-000", "skeletons train-000"]),
        ("skeletons/", [f"skeletons/{TRAIN}", f"skeletons/{TEST}"]),
        ("", [f"index/{INDEX}", f"finetuned/{MODEL}"]),
    ],
)
def test_a_name_of_several_is_answered_with_all_of_them(store: Store, name: str, candidates: list[str]) -> None:
    said = csip("show", "artifact", name, status=1)
    assert "artifacts are called so" in said
    assert all(candidate in said for candidate in candidates)
    assert "to do: " in said


def test_an_unknown_name_is_answered_with_those_that_are_close(store: Store) -> None:
    said = csip("show", "artifact", "skeleton train-00", status=1)
    assert "there is no such artifact: skeleton train-00" in said
    assert "skeletons train-000" in said
    assert "finetuned" not in said
    assert "finetuned" in csip("show", "artifact", "nothing like it", status=1)


def test_a_step_whose_artifact_is_gone_is_answered_with_how_to_make_it(store: Store) -> None:
    store.discard("finetuned", MODEL)
    assert "csip run CONFIG" in csip("show", "artifact", "finetuned", status=1)


def test_all_that_is_known_of_it_is_told(store: Store) -> None:
    about = shown("finetuned")
    assert (about["stage"], about["part"], about["key"]) == ("finetuned", "", MODEL)
    assert [(file["name"], file["size"]) for file in about["files"]] == [("data.txt", 34), ("deep/more.txt", 4)]
    assert about["settings"] == {"lr": 0.5, "losses.margin": 0.3}
    assert about["also"] == {"trainer.precision": "bf16"}
    assert about["libraries"] == {"torch": "2.6"}
    assert (about["made"]["seconds"], about["made"]["device"]) == (1.5, "cpu")
    assert [run["run"] for run in about["built_by"]] == ["22222222-second"]
    assert about["made_from_it"] == []


def test_inputs_are_named_by_the_artifact_that_holds_them(store: Store) -> None:
    [source] = shown("finetuned")["inputs"]
    assert (source["label"], source["key"], source["file"]) == ("skeletons train-000", TRAIN, "")
    [source] = shown("skeletons train-000")["inputs"]
    assert (source["label"], source["file"]) == ("index", "data.txt")


def test_of_several_that_hold_the_same_bytes_the_one_that_a_run_used_with_it_is_named(store: Store) -> None:
    artifact(store, "skeletons", "f" * 24, part="train-000", text=f"skeletons {TRAIN}")
    assert shown("finetuned")["inputs"][0]["key"] == TRAIN


def test_an_input_from_outside_the_store_is_said_to_be_so(store: Store) -> None:
    artifact(store, "index", "7" * 24, inputs={"raw": "e" * 64})
    assert shown("7777")["inputs"] == [{"input": "raw", "digest": "e" * 64, "label": None}]
    assert "not an artifact of this store" in csip("show", "artifact", "7777")


def test_what_is_made_from_it_or_from_one_of_its_files_is_told(store: Store) -> None:
    assert {row["label"] for row in shown("index")["made_from_it"]} == {"skeletons train-000", "skeletons test-000"}
    assert [row["key"] for row in shown("skeletons train-000")["made_from_it"]] == [MODEL]


def test_runs_that_built_it_and_runs_that_only_used_it_are_told_apart(store: Store) -> None:
    about = shown("skeletons test-000")
    assert [run["run"] for run in about["built_by"]] == ["11111111-first"]
    assert [run["run"] for run in about["used_by"]] == ["11111111-first", "22222222-second"]


def test_a_person_can_read_it(store: Store) -> None:
    said = csip("show", "artifact", "finetuned")
    lines = [" ".join(line.split()) for line in said.splitlines()]
    assert f"key {MODEL}" in lines
    assert "losses.margin 0.3" in lines
    assert "code 1 modules" in lines
    assert any(line.startswith("built by 22222222 demo, ") for line in lines)
    assert any(line.endswith(f"skeletons train-000 {TRAIN}") for line in lines)
    assert "nothing in this store is made from it" in said


def test_damage_is_told(store: Store) -> None:
    (store.path("finetuned", MODEL) / "data.txt").write_text("short")
    assert "data.txt has 5 bytes in place of" in csip("show", "artifact", "finetuned")
    flip(store.path("finetuned", MODEL) / "manifest.json")
    assert "csip verify --drop" in csip("show", "artifact", "finetuned", status=1)
