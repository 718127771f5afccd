"""Which names of a function are its own, and which are its module's."""

import ast

import pytest

from flows.keys.references import references


@pytest.mark.parametrize(
    ("body", "free"),
    [
        ("return used", True),
        ("return [used for _ in values]", True),
        ("return [used for used in used]", True),
        ("return used.part.of.it", True),
        ("used = 1\n    return used", False),
        ("return [used for used in values]", False),
        ("return lambda used: used", False),
        ("def inner():\n        used = 1\n        return used\n    return used, inner", True),
        ("global used\n    used = 1", True),
        ("for used in values:\n        print(used)", False),
        ("match values:\n        case [*used]:\n            return used", False),
        ("x: 'used' = 1\n    return x", True),
        ("x: 'list[used]' = 1\n    return x", True),
        ("class used:\n        pass\n    return used", False),
        ("return f'{used}'", True),
        ("return 'used'", False),
        ("import used\n    return used", True),
        ("try:\n        import used\n    except ImportError:\n        used = None\n    return used", True),
    ],
)
def test_local_names_are_told_from_those_of_the_module(body: str, free: bool) -> None:
    source = f"def run(values):\n    {body}\n"
    chains = references(ast.parse(source).body, "training").chains
    assert any(chain[0] == "used" for chain in chains) == free


def test_names_come_with_the_attributes_taken_of_them() -> None:
    found = references(ast.parse("a.b.c(d)[e.f] = g().h").body, "training")
    assert found.chains == {("a", "b", "c"), ("d",), ("e", "f"), ("g",)}


@pytest.mark.parametrize(
    ("source", "bound", "runs", "module", "name"),
    [
        ("import a.b", "a", "a.b", "a", ""),
        ("import a.b as c", "c", "a.b", "a.b", ""),
        ("from a.b import c as d", "d", "a.b", "a.b", "c"),
        ("from . import c", "c", "training.bench", "training.bench", "c"),
        ("from ..losses import c", "c", "training.losses", "training.losses", "c"),
    ],
)
def test_an_import_says_what_its_name_stands_for(source: str, bound: str, runs: str, module: str, name: str) -> None:
    (item,) = references(ast.parse(source).body, "training.bench").imports
    assert (item.bound, item.runs, item.module, item.name) == (bound, runs, module, name)


def test_only_strings_that_could_name_a_module_are_kept() -> None:
    found = references(ast.parse("f('training.looping.launch', 'two words', '1.5', f'x{y}')").body, "training")
    assert found.texts == {"training.looping.launch", "x"}
