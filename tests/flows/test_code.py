from pathlib import Path

import pytest

from flows.code import code_digests, module_digest, reachable

SOURCE = '''
"""A module."""


def double(x: int) -> int:
    """Twice x."""
    return 2 * x  # doubled
'''


def digest(tmp_path: Path, name: str, source: str) -> str:
    path = tmp_path / f"{name}.py"
    path.write_text(source)
    return module_digest(path)


@pytest.mark.parametrize(
    "edit",
    [
        ("# doubled", "# two times"),
        ("Twice x.", "x, twice."),
        ("\n\n\ndef", "\n\n\n\n\ndef"),
        ("2 * x  #", "(2 * x)  #"),
    ],
)
def test_comments_docstrings_and_formatting_are_not_code(tmp_path: Path, edit: tuple[str, str]) -> None:
    assert edit[0] in SOURCE
    assert digest(tmp_path, "before", SOURCE) == digest(tmp_path, "after", SOURCE.replace(*edit))


def test_a_changed_constant_is_code(tmp_path: Path) -> None:
    assert digest(tmp_path, "before", SOURCE) != digest(tmp_path, "after", SOURCE.replace("2 *", "3 *"))


def test_code_three_imports_away_is_reachable() -> None:
    assert "storage.skeleton" in reachable("extraction.extract")
    assert "storage.tables" in reachable("evaluation.evaluate")


def test_stages_do_not_depend_on_each_other_or_on_orchestration() -> None:
    for module in ("training.finetune", "extraction.extract", "evaluation.evaluate"):
        layer = module.split(".")[0]
        assert {name.split(".")[0] for name in code_digests(module)} == {layer, "storage"}
    assert "training.finetune" not in reachable("training.pretrain")
    assert "evaluation.report" not in reachable("evaluation.evaluate")
