"""Imports go down only: flows -> {extraction, training, evaluation} -> storage."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BELOW = {
    "storage": {"storage"},
    "extraction": {"extraction", "storage"},
    "training": {"training", "storage"},
    "evaluation": {"evaluation", "storage"},
    "flows": {"flows", "extraction", "training", "evaluation", "storage"},
}
ONLY_IN_FLOWS = {"prefect", "typer", "rich"}


def imported(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the layer"
            yield (node.module or "").split(".")[0]


def forbidden(layer: str, source: str) -> set[str]:
    names = set(imported(source))
    wrong = (names & BELOW.keys()) - BELOW[layer]
    return wrong if layer == "flows" else wrong | (names & ONLY_IN_FLOWS)


@pytest.mark.parametrize("layer", BELOW)
def test_no_import_goes_up_or_sideways(layer: str) -> None:
    modules = sorted((ROOT / layer).rglob("*.py"))
    assert modules
    wrong = {str(m.relative_to(ROOT)): found for m in modules if (found := forbidden(layer, m.read_text()))}
    assert not wrong


@pytest.mark.parametrize(
    ("layer", "source"),
    [
        ("storage", "from training.model.losses import supcon"),
        ("extraction", "def f():\n    import evaluation.ranking.metrics"),
        ("training", "from flows import cli"),
        ("evaluation", "import prefect"),
    ],
)
def test_the_check_sees_imports_that_go_up_or_sideways(layer: str, source: str) -> None:
    assert forbidden(layer, source)
