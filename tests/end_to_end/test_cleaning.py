"""A store that real runs filled: cleaned and mended, it loses nothing that the kept run needs."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from flows.config import load_config
from flows.rebuild import Result, rebuild
from storage.store.artifacts import Store
from storage.store.runs import records
from tests.flows.commands.command_line import csip
from tests.small_run import SETTINGS
from tests.storage.store.small_store import flip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with config.yaml, where the data and the store will be."""
    folder = tmp_path_factory.mktemp("cleaning")
    settings = SETTINGS | {"store": str(folder / "store"), "data": SETTINGS["data"] | {"root": str(folder / "data")}}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    return folder


@pytest.fixture
def run(folder: Path, api: str) -> Callable[..., Result]:
    return lambda *overrides: rebuild(load_config(folder / "config.yaml", overrides))


def test_what_the_kept_run_needs_survives_cleaning_and_is_kept_by_the_next_run(
    run: Callable[..., Result], folder: Path
) -> None:
    first = run()
    second = run("evaluation.gallery=without_queries")
    assert set(second.built) == {"metrics visual", "metrics finetuned", "report"}

    said = csip("gc", folder / "config.yaml", "--keep", 1, "--delete")

    assert "states of trainings" in said.partition("stays  ")[2], "more epochs can still start from them"
    store = Store(folder / "store")
    left = {(artifact.stage, artifact.key) for artifact in store.all()}
    assert left == {(artifact.stage, artifact.key) for artifact in second.artifacts.values()}
    assert [record["run"] for record in records(store)] == [second.flow_run_id]
    assert run("evaluation.gallery=without_queries").built == ()
    again = run()
    assert set(again.built) == {"metrics visual", "metrics finetuned", "report"}
    assert again.artifacts["metrics finetuned"].digest == first.artifacts["metrics finetuned"].digest


def test_what_verify_drops_is_made_again_and_nothing_else(run: Callable[..., Result], folder: Path) -> None:
    before = run()
    for label, file in (("skeletons train-000", "skeletons.parquet"), ("metrics visual", "manifest.json")):
        flip(before.artifacts[label].path / file)
    assert "skeletons.parquet does not hold" in csip("verify", folder / "config.yaml", status=1)
    csip("verify", folder / "config.yaml", "--drop", status=1)
    again = run()
    assert set(again.built) == {"skeletons train-000", "metrics visual"}
    assert again.artifacts["report"] == before.artifacts["report"]
    assert "artifacts are sound" in csip("verify", folder / "config.yaml")


def test_every_step_of_a_run_can_be_shown_with_what_it_is_made_from(run: Callable[..., Result], folder: Path) -> None:
    for label, artifact in run().artifacts.items():
        said = csip("show", "artifact", label, "--config", folder / "config.yaml")
        assert artifact.key in said
        if label != "index":
            assert "not an artifact of this store" not in said
