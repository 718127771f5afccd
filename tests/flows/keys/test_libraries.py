"""Which libraries' versions count for a stage, and as which."""

import importlib
from importlib.metadata import version
from pathlib import Path

import pytest

from flows.keys.libraries import LIBRARIES, all_versions, installed_versions, library_versions, major_minor
from flows.keys.steps import Step

STAGE = "class Inputs:\n    pass\n\n\ndef run():\n    {}\n"


def stage(root: Path, body: str = "pass", top: str = "", **others: str) -> Path:
    (root / "training").mkdir()
    (root / "training" / "stage.py").write_text(f"{top}\n\n\n{STAGE.format(body)}")
    for name, source in others.items():
        (root / "training" / f"{name}.py").write_text(source)
    return root


def libraries(root: Path) -> set[str]:
    return set(library_versions("training.stage", root))


def test_a_stage_that_imports_none_depends_on_none(tmp_path: Path) -> None:
    assert libraries(stage(tmp_path, top="import json")) == set()


@pytest.mark.parametrize(
    ("top", "body", "expected"),
    [
        ("import numpy as np", "pass", {"numpy"}),
        ("import pyarrow.parquet", "pass", {"pyarrow"}),
        ("from torch import nn", "pass", {"torch"}),
        ("", "import cv2", {"opencv-python-headless"}),
        ("", "import_module('mmpose')", {"mmpose", "mmcv-lite", "mmengine", "torch", "torchvision", "numpy"}),
        ("from timm.layers import Mlp", "pass", {"timm", "torch", "torchvision"}),
        ("from training.other import used", "used()", {"numpy"}),
        ("from training.other import unused", "pass", {"numpy"}),
        ("from training.lazy import used", "used()", {"pyarrow"}),
        ("from training.lazy import unused", "pass", set()),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch", "pass", set()),
    ],
)
def test_libraries_count_that_a_stage_imports_or_that_these_compute_with(
    tmp_path: Path, top: str, body: str, expected: set[str]
) -> None:
    root = stage(
        tmp_path,
        body,
        top,
        other="import numpy\n\n\ndef used():\n    pass\n",
        lazy="def used():\n    import pyarrow\n\n\ndef unused():\n    pass\n",
    )
    assert libraries(root) - {"opencv-python-headless"} == expected - {"opencv-python-headless"}
    assert ("opencv-python-headless" in libraries(root)) == ("opencv-python-headless" in expected or "mmpose" in body)


def test_stages_of_ours_depend_on_what_they_compute_with() -> None:
    assert "torch" not in library_versions("evaluation.report")
    assert "torch" not in library_versions("storage.index")
    assert "mmpose" not in library_versions("training.finetune")
    assert library_versions("extraction.extract").keys() >= {"mmpose", "mmcv-lite", "torch", "opencv-python-headless"}
    assert library_versions("training.finetune").keys() >= {"torch", "timm", "numpy"}


def test_a_version_is_major_and_minor() -> None:
    assert major_minor("2.15.1+cu130") == "2.15"
    assert major_minor("26.0.0") == "26.0"
    torch = version("torch")
    assert torch.startswith(library_versions("training.finetune")["torch"] + ".")
    assert installed_versions("training.finetune")["torch"] == torch


def test_all_are_told_whether_installed_or_not() -> None:
    assert list(all_versions()) == list(LIBRARIES.values())


def test_a_library_counts_as_the_version_that_it_is_set_to() -> None:
    pinned = library_versions("training.finetune", counted_as={"torch": "1.13", "timm": None, "mmpose": "9.9"})
    assert pinned["torch"] == "1.13"
    assert "timm" not in pinned
    assert "mmpose" not in pinned, "the stage does not use it"


def test_a_set_version_decides_the_key_and_the_installed_one_is_recorded(counting_stage: str, tmp_path: Path) -> None:
    (tmp_path / "counting.py").write_text("import torch\n" + (tmp_path / "counting.py").read_text())
    settings = importlib.import_module(counting_stage).CountingSettings()

    def step(**versions: str | None) -> Step:
        return Step("counted", counting_stage, settings, {}, versions=versions)

    installed = version("torch")
    assert step().key == step(torch=major_minor(installed)).key == step(timm="9.9").key
    assert len({step().key, step(torch="1.13").key, step(torch=None).key}) == 3
    assert len({step().lineage, step(torch="1.13").lineage, step(torch=None).lineage}) == 3
    for made in (step(), step(torch="1.13"), step(torch=None)):
        assert made.record["installed"]["torch"] == installed
        assert "installed" not in made.facts
