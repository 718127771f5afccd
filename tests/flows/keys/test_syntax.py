"""What makes two definitions the same code."""

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.keys.syntax import EFFECTS, Module

ROOT = Path(__file__).parents[3]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(VALUES, VALUES)
def test_two_constants_have_the_same_digest_exactly_if_they_are_written_the_same(one: object, other: object) -> None:
    digests = {Module("training.x", f"X = {value!r}", is_package=False).unit("X").digest for value in (one, other)}
    assert (len(digests) == 1) == (repr(one) == repr(other))


@pytest.mark.parametrize("path", sorted((ROOT / "training").glob("*.py")), ids=lambda path: path.stem)
def test_formatting_and_comments_change_no_digest_of_our_own_modules(path: Path) -> None:
    """`ast.unparse` writes a module anew: no comment, no line break, no bracket as it was."""
    source = path.read_text()
    ours, anew = (Module("training.x", s, is_package=False) for s in (source, ast.unparse(ast.parse(source))))
    assert ours.definitions.keys() == anew.definitions.keys()
    for name in [*ours.definitions, *([EFFECTS] if ours.effects else [])]:
        assert ours.unit(name).digest == anew.unit(name).digest, name
