"""What commands that load no model import: nothing that takes seconds, and `csip --help` a known set of packages."""

import json
import os
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from storage.store.artifacts import Store
from tests.flows.commands.conftest import FIRST, SECOND

PROJECT = Path(__file__).parents[3]
SLOW = ("torch", "torchvision", "timm", "mmpose", "mmengine", "mmcv", "matplotlib", "sklearn", "onnx", "onnxruntime")
HELP_MAY_IMPORT = {
    *("typer", "shellingham", "rich", "markdown_it", "mdurl", "pygments"),  # the command line and its console
    *("yaml", "fsspec", "numpy", "pyarrow", "pydantic", "pydantic_core"),  # configurations, stores, tables, settings
    *("annotated_types", "annotated_doc", "typing_extensions", "typing_inspection"),  # what these import
    *("attr", "cloudpickle"),  # rich and pyarrow use them where they are installed
}
PROGRAM = """
import json, sys
before = {name.partition(".")[0] for name in sys.modules}
from typer.testing import CliRunner
from flows.commands.app import app
cases, slow = json.load(sys.stdin)
found = []
for words, status in cases:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == status, (words, done.output)
    packages = {name.partition(".")[0] for name in sys.modules}
    found.append([words, sorted(packages & set(slow)), sorted(packages - before)])
print(json.dumps(found))
"""


def imported(folder: Path, *cases: tuple[list[str], int], forbidden: tuple[str, ...] = SLOW) -> list[list[str]]:
    """Packages that each command adds to one process of its own; checks statuses, and that none is a forbidden one.

    Args:
        folder: where the commands run.
        cases: words of a command and its exit status, one after another: those that may import least come first.
        forbidden: packages that none of them may import.
    """
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps([cases, forbidden]),
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(PROJECT), "HOME": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [(words, slow) for words, slow, _ in found if slow] == []
    return [packages for _, _, packages in found]


def test_help_imports_a_known_set_of_packages(tmp_path: Path) -> None:
    packages, *_ = imported(tmp_path, (["--help"], 0), (["data", "--help"], 0), forbidden=(*SLOW, "prefect", "cv2"))
    ours = {"flows", "extraction", "training", "evaluation", "storage"}
    assert (packages_distributions().keys() & set(packages)) - ours <= HELP_MAY_IMPORT


def test_looking_at_past_runs_waits_for_no_model_library(past_runs: Store, tmp_path: Path) -> None:
    cases = [
        (["runs"], 0),
        (["diff", FIRST, SECOND], 0),
        (["show", "artifact", "index"], 0),
        (["show", "artifact", "nothing"], 1),
        (["verify"], 0),
        (["gc"], 0),
    ]
    imported(tmp_path, *cases, forbidden=(*SLOW, "prefect"))


def test_settings_plans_and_weights_wait_for_no_model_library(tmp_path: Path) -> None:
    config = str(PROJECT / "configs" / "demo.yaml")
    cases = [(["settings", "pretrain"], 0), (["weights", "list", config], 0), (["plan", config], 0)]
    imported(tmp_path, *cases, (["plan", "absent.yaml"], 1), forbidden=(*SLOW, "prefect"))


def test_a_wrong_command_line_is_refused_before_a_model_library_is_imported(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("name: one\nstore: empty\n")
    for folder in ("model", "crops"):
        (tmp_path / folder).mkdir()
    model, config = ["--model", "model"], ["--config", "config.yaml"]
    refused = [
        *(["embed", "crops", *words] for words in ([], [*model, *config], ["--model", "absent"], config)),
        ["embed", "absent", *model],
        ["embed", "crops", *model, "--out", "found.csv"],
        ["embed", "crops", *model, "--layout", "mars", "--camid", "1"],
        *(["search", "crops", *words] for words in ([], model, ["--model", "absent"], config)),
        ["search", "crops", *model, "--gallery", "absent.parquet"],
        *(["export", *words] for words in ([], ["model", *config], ["absent"], config)),
        ["export", "model", "--format", "tflite"],
        ["export", "model", "--out", "model.pt"],
        *(["evaluate", *words] for words in (["absent.parquet"], ["absent.parquet", "--gallery", "no"])),
        ["evaluate", "absent.parquet", "--set", "embed.sampling=rrs"],
        *(["extract", *words] for words in (["absent"], ["crops", "--out", "found.csv"])),
    ]
    missing = [([command], 2) for command in ("embed", "search", "evaluate", "extract")]
    imported(tmp_path, *missing, *((words, 1) for words in refused), forbidden=(*SLOW, "prefect"))


def test_looking_at_a_store_imports_neither_torch_nor_prefect(store: Store, tmp_path: Path) -> None:
    if store.address.startswith("memory:"):
        pytest.skip("no other process sees this one's memory")
    looks = (["verify"], ["gc"], ["runs"], ["diff", "last", "previous"], ["show", "artifact", "index"])
    cases = [([*words, "--store", store.address], 0) for words in looks]
    imported(tmp_path, *cases, forbidden=("torch", "prefect", "mmpose"))
