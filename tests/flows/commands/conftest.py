"""Small stores that several commands look into, and a model with crops for those that embed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from storage.store.artifacts import Store
from storage.store.runs import RunRecord
from tests.storage.store.small_store import artifact, run
from tests.training.model_folders import finetuned_folder

PEOPLE = ("ann", "bob", "cleo")
FIRST, SECOND, THIRD = "aa11aa11-1", "aa22bb22-2", "cc33cc33-3"
"""Ids of past runs."""


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


@pytest.fixture
def past_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A run, one with other epochs whose evaluation gives the same bytes, and one that failed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    store = Store(tmp_path / "store")
    index = artifact(store, "index", "1" * 24)
    models = [artifact(store, "finetuned", str(e) * 24, index, settings={"epochs": e}) for e in (2, 3)]
    results = [
        artifact(store, "metrics", str(top) * 24, text="alike", settings={"top": top}, also={"truth": top})
        for top in (4, 5)
    ]
    for number, (name, value) in enumerate(((FIRST, 0.5), (SECOND, 0.625))):
        config = {"pretrain": {"epochs": number + 2, "lr": 0.1}, "seed": 7}
        run(store, name, [index, models[number], results[number]], config=config, metrics=_measured(value))
    failed = RunRecord(store, THIRD, {"name": "demo", "pretrain": {"epochs": 3, "lr": 0.1}, "seed": 7})
    with pytest.raises(ValueError, match="no data"), failed.alive():
        raise ValueError("no data [here]")
    return store


def _measured(value: float) -> list[dict[str, Any]]:
    return [{"model": "after finetuning", "mAP": value, "Rank-1": value}, {"model": "chance", "mAP": 0.1}]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return finetuned_folder(tmp_path / "model")


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """Three people of smooth noise, three frames each."""
    rng = np.random.default_rng(0)
    for name in PEOPLE:
        person = rng.integers(0, 255, (8, 4, 3), dtype=np.uint8)
        for number in range(1, 4):
            path = tmp_path / "crops" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.roll(cv2.resize(person, (20, 40)), number, axis=1))
    return tmp_path / "crops"
