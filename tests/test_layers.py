"""How the house is built, read from the syntax trees: imports inside functions and for type checkers count too.

Layers import downwards only, no imports go in a circle, and whoever stands outside a folder uses of it what its door
names: the names below `Door:` in the docstring of its `__init__`.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
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
MOST_MODULES = 22  # flows/commands: app, and its commands
MOST_LINES = 400
GENERATED = "extraction/models"  # configs of mmengine, which no module imports
GERUNDS = {"looping", "planning", "running", "watching", "deploying"}  # of streets, which are what goes on there
WORDS = {
    "drawing",
    "lifting",
    "listing",
    "ranking",
    "reranking",
    "sampling",
    "training",
    "wording",
}  # nouns of the field
DOOR_LINE = re.compile(r"^    (\w+): (.+)$")


def name_of(path: Path, root: Path = ROOT) -> str:
    """`storage.store` for storage/store/__init__.py."""
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def sources(root: Path = ROOT) -> dict[str, str]:
    """Module -> its source, for all that the wheel holds."""
    paths = sorted(path for layer in BELOW for path in (root / layer).rglob("*.py"))
    return {name_of(path, root): path.read_text() for path in paths if GENERATED not in path.as_posix()}


def imported(source: str) -> Iterator[tuple[str, str]]:
    """(module, name) of every import, wherever it stands; an empty name for a whole module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the layer"
            yield from ((node.module or "", alias.name) for alias in node.names)


def targets(source: str, modules: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """(module of ours, name) of every import of ours."""
    for module, name in imported(source):
        if f"{module}.{name}" in modules:
            yield f"{module}.{name}", ""
        elif module in modules:
            yield module, name


def forbidden(layer: str, source: str) -> set[str]:
    names = {module.split(".")[0] for module, _ in imported(source)}
    wrong = (names & BELOW.keys()) - BELOW[layer] | (names & {"tests"})
    return wrong if layer == "flows" else wrong | (names & ONLY_IN_FLOWS)


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """Names that import each other in a circle; the first that is found, empty if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def imports_among(modules: Mapping[str, str]) -> dict[str, set[str]]:
    return {module: {t for t, _ in targets(source, modules)} - {module} for module, source in modules.items()}


def folder_of(module: str, modules: Mapping[str, str]) -> str:
    """The folder that a module lies in; itself if it is one."""
    return module if any(other.startswith(module + ".") for other in modules) else module.rpartition(".")[0]


def room(module: str, modules: Mapping[str, str]) -> str:
    """A street is one room; modules on the ground floor of a layer are rooms of their own."""
    folder = folder_of(module, modules)
    return folder if "." in folder else module


def door(source: str) -> dict[str, set[str]]:
    """Module -> names, of the lines `    module: name, name` below `Door:` in a docstring."""
    _, _, below = (ast.get_docstring(ast.parse(source), clean=False) or "").partition("\nDoor:\n")
    joined = re.sub(r"\n {8,}", " ", below).splitlines()
    found = {m[1]: set(re.split(r",\s*", m[2].strip())) for line in joined if (m := DOOR_LINE.match(line))}
    return {module: names - {""} for module, names in found.items()}


def used_from_outside(modules: Mapping[str, str]) -> dict[str, dict[str, set[str]]]:
    """Folder -> its module -> names that modules outside the folder import of it; the module itself as `*`."""
    used: dict[str, dict[str, set[str]]] = {}
    for module, source in modules.items():
        for target, name in targets(source, modules):
            folder = folder_of(target, modules)
            if target != folder and not f"{module}.".startswith(f"{folder}."):
                used.setdefault(folder, {}).setdefault(target.rpartition(".")[2], set()).add(name or "*")
    return used


@pytest.fixture(scope="module")
def ours() -> dict[str, str]:
    return sources()


@pytest.mark.parametrize("layer", BELOW)
def test_no_import_goes_up_or_sideways_or_to_the_tests(layer: str, ours: dict[str, str]) -> None:
    inside = {module: source for module, source in ours.items() if module.split(".")[0] == layer}
    assert inside
    assert not {module: found for module, source in inside.items() if (found := forbidden(layer, source))}


@pytest.mark.parametrize(
    ("layer", "source"),
    [
        ("storage", "from training.losses import supcon"),
        ("extraction", "def f():\n    import evaluation.metrics"),
        ("training", "from flows import cli"),
        ("evaluation", "import prefect"),
        ("flows", "from tests.small_run import run"),
    ],
)
def test_the_check_sees_imports_that_go_up_or_sideways(layer: str, source: str) -> None:
    assert forbidden(layer, source)


def test_no_modules_import_each_other_in_a_circle(ours: dict[str, str]) -> None:
    assert circle(imports_among(ours)) == []


def test_no_streets_import_each_other_in_a_circle(ours: dict[str, str]) -> None:
    rooms: dict[str, set[str]] = {}
    for module, imports in imports_among(ours).items():
        here = room(module, ours)
        rooms.setdefault(here, set()).update({room(other, ours) for other in imports} - {here})
    assert circle(rooms) == []


@pytest.mark.parametrize(
    "late",
    [
        "import a.one",
        "def f():\n    from a import one",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from a.one import X",
    ],
)
def test_the_check_sees_circles_wherever_the_import_stands(late: str) -> None:
    modules = {"a": "", "a.one": "from a.two import Y\n", "a.two": late}
    assert set(circle(imports_among(modules))) == {"a.one", "a.two"}


def test_streets_are_entered_through_their_doors(ours: dict[str, str]) -> None:
    used = used_from_outside(ours)
    doors = {folder: door(ours[folder]) for folder in used}
    assert used == {folder: doors[folder] for folder in used}, "names used from outside, and names at the door"


def test_the_check_of_doors_reads_lines_and_what_goes_on_in_the_next() -> None:
    text = '"""A street.\n\nDoor:\n    one: X, Y,\n        Z\n    two: *\n\nNot here: the rest.\n"""'
    assert door(text) == {"one": {"X", "Y", "Z"}, "two": {"*"}}
    modules = {"a": text, "a.one": "", "a.two": "", "b": "from a.one import X\nfrom a import two\n"}
    assert used_from_outside(modules) == {"a": {"one": {"X"}, "two": {"*"}}}


def test_every_folder_says_what_lives_there_and_holds_few_modules(ours: dict[str, str]) -> None:
    folders = {folder_of(module, ours) for module in ours} - {""}
    for folder in sorted(folders):
        assert len((ast.get_docstring(ast.parse(ours[folder])) or "").splitlines()) >= 2, folder
        here = [module for module in ours if module.rpartition(".")[0] == folder and module not in folders]
        assert len(here) <= MOST_MODULES, folder


def test_modules_are_nouns_and_of_a_readable_length(ours: dict[str, str]) -> None:
    words = {word for module in ours for word in module.split(".")}
    assert {word for word in words if word.endswith("ing")} <= GERUNDS | WORDS
    assert not words & {"utils", "util", "helpers", "helper", "manager", "base", "misc", "common"}
    assert not {module: n for module, source in ours.items() if (n := source.count("\n")) > MOST_LINES}
