"""What is reached, against two independent ways to find it: a graph drawn at random, and Python's own bytecode."""

import dis
import importlib
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import CodeType, ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.keys.reach import code_digests
from flows.keys.syntax import PACKAGES

STAGES = ("extraction.extract", "training.finetune", "training.embed", "evaluation.evaluate", "evaluation.report")
QUICK = ("training.finetune", "evaluation.report")  # which reach most of what the others do
FUNCTIONS = 9
MODULES = 3
WAYS = {
    "from": ("from {module} import {name}", "", "{name}()"),
    "from as": ("from {module} import {name} as other_{name}", "", "other_{name}()"),
    "module": ("import {module}", "", "{module}.{name}()"),
    "module as": ("import {module} as {short}", "", "{short}.{name}()"),
    "inside": ("", "from {module} import {name}", "{name}()"),
    "module inside": ("", "import {module} as inner_{short}", "inner_{short}.{name}()"),
    "re-exported": ("from training.all import {name}", "", "{name}()"),
}
"""How code calls a function of another module: import of the module, import in the function, the call."""

Call = tuple[int, int, str]
CALLS = st.lists(
    st.tuples(st.integers(0, FUNCTIONS - 1), st.integers(0, FUNCTIONS - 1), st.sampled_from(sorted(WAYS))),
    max_size=14,
)


def home(function: int) -> str:
    return f"training.part{function % MODULES}"


def sources(calls: list[Call]) -> dict[str, str]:
    """Function i lies in module i modulo 3, and calls what `calls` says; the stage calls function 0."""
    tops: dict[str, set[str]] = {f"training.part{m}": set() for m in range(MODULES)}
    bodies: dict[int, list[str]] = {i: [] for i in range(FUNCTIONS)}
    for caller, called, way in calls:
        if home(caller) == home(called):
            bodies[caller].append(f"f{called}()")
            continue
        names = {"module": home(called), "name": f"f{called}", "short": home(called)[-5:]}
        top, inside, call = (part.format(**names) for part in WAYS[way])
        tops[home(caller)].add(top)
        bodies[caller] += [inside, call]
    written = {module: "\n".join(sorted(top)) + "\n" for module, top in tops.items()}
    for function, lines in bodies.items():
        body = "".join(f"    {line}\n" for line in lines if line)
        written[home(function)] += f"\n\ndef f{function}():\n{body}    return {function}\n"
    written["training.all"] = "".join(f"from {home(i)} import f{i} as f{i}\n" for i in range(FUNCTIONS))
    written["training.stage"] = f"from {home(0)} import f0\n\n\nclass Inputs: ...\n\n\ndef run():\n    f0()\n"
    return written


def reached_from_the_first(calls: list[Call]) -> set[int]:
    reached: set[int] = set()
    waiting = [0]
    while waiting:
        function = waiting.pop()
        if function not in reached:
            reached.add(function)
            waiting += [called for caller, called, _ in calls if caller == function]
    return reached


@given(CALLS)
def test_what_is_reached_is_what_is_called_however_it_is_imported(calls: list[Call]) -> None:
    with TemporaryDirectory() as folder:
        (Path(folder) / "training").mkdir()
        for module, source in sources(calls).items():
            (Path(folder) / (module.replace(".", "/") + ".py")).write_text(source)
        found = code_digests("training.stage", Path(folder))
    expected = {f"{home(i)}.f{i}" for i in reached_from_the_first(calls)}
    assert found.keys() == expected | {"training.stage.Inputs", "training.stage.run"}


def codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes(constant)


def code_of(thing: Any) -> Iterator[CodeType]:
    """The bytecode of a function, or of a class's methods."""
    thing = inspect.unwrap(thing) if callable(thing) else thing
    if inspect.isfunction(thing):
        yield from codes(thing.__code__)
    elif inspect.isclass(thing):
        for member in vars(thing).values():
            inner = getattr(member, "__func__", getattr(member, "fget", member))
            if inspect.isfunction(inner) and inner.__module__ == thing.__module__:
                yield from code_of(inner)


def globals_used(module: ModuleType, thing: Any) -> set[str]:
    """Global names that the bytecode of a definition loads."""
    loaded = {
        instruction.argval
        for code in code_of(thing)
        for instruction in dis.get_instructions(code)
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    return {name for name in loaded & vars(module).keys() if not inspect.ismodule(vars(module)[name])}


@cache
def defined_in(module: ModuleType) -> set[str]:
    """Names that a module itself assigns or defines at its top."""
    code = compile(Path(str(module.__file__)).read_text(), "module", "exec")
    stored = [i.argval for i in dis.get_instructions(code) if i.opname == "STORE_NAME"]
    imported = [i.argval for i in dis.get_instructions(code) if i.opname == "IMPORT_FROM"]
    return set(stored) - set(imported)


def homes(value: Any, name: str) -> set[str]:
    """Dotted names of the definitions of ours that an imported name may stand for."""
    ours = [module for full, module in list(sys.modules.items()) if full.split(".")[0] in PACKAGES]
    return {f"{m.__name__}.{name}" for m in ours if name in defined_in(m) and vars(m).get(name) is value}


@pytest.mark.parametrize("stage", [s if s in QUICK else pytest.param(s, marks=pytest.mark.slow) for s in STAGES])
def test_every_global_that_the_bytecode_of_reached_code_loads_is_reached(stage: str) -> None:
    reached = code_digests(stage)
    checked = 0
    for unit in reached:
        owner, _, name = unit.rpartition(".")
        module = importlib.import_module(owner)
        if name not in vars(module):
            continue  # import effects, and what runs as a program only
        for used in globals_used(module, vars(module)[name]):
            if used in defined_in(module):
                assert f"{owner}.{used}" in reached, f"{unit} uses {used}"
            else:
                origins = homes(vars(module)[used], used)
                assert not origins or origins & reached.keys(), f"{unit} uses {used}"
            checked += 1
    assert checked > 50
