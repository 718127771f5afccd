"""Digests of the code that a stage can reach inside our own packages.

Modules are compared as syntax trees without docstrings, so comments and formatting do not count as code.
"""

import ast
import hashlib
import importlib.util
from functools import cache
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("flows", "extraction", "training", "evaluation", "storage")
LIBRARIES = (
    "torch",
    "torchvision",
    "timm",
    "mmpose",
    "mmengine",
    "mmcv-lite",
    "numpy",
    "opencv-python-headless",
    "pyarrow",
)
"""Third-party packages whose major.minor version can change results."""


@cache
def module_digest(source: Path) -> str:
    """Digest of one module's normalised syntax tree."""
    tree = ast.parse(source.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [s for s in node.body if not _is_text(s)]
    return hashlib.sha256(ast.dump(tree, include_attributes=False).encode()).hexdigest()


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


@cache
def reachable(module: str) -> tuple[str, ...]:
    """Names of our modules that `module` can import, directly or not, itself included; sorted."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        source = module_source(name)
        if source is None:
            continue
        seen.add(name)
        waiting.extend(_imports(source))
        parent = name.rpartition(".")[0]
        if parent:
            waiting.append(parent)
    return tuple(sorted(seen))


@cache
def _imports(source: Path) -> tuple[str, ...]:
    found: list[str] = []
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in PACKAGES]
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in PACKAGES:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(found)


@cache
def module_source(name: str) -> Path | None:
    """The file of one of our modules, or None if there is no such module; imports nothing."""
    top, *inner = name.split(".")
    spec = importlib.util.find_spec(top)
    for depth, _ in enumerate(inner, start=2):
        # importlib.util.find_spec would import the parents, and with them torch
        places = spec.submodule_search_locations if spec else None
        spec = PathFinder.find_spec(".".join(name.split(".")[:depth]), places) if places else None
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


@cache
def code_digests(module: str) -> dict[str, str]:
    """Module name -> digest, for every module of ours that `module` can reach."""
    return {name: module_digest(source) for name in reachable(module) if (source := module_source(name))}


@cache
def library_versions() -> dict[str, str]:
    """Library -> major.minor, for the installed ones of `LIBRARIES`."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = ".".join(version(name).split("+")[0].split(".")[:2])
        except PackageNotFoundError:
            continue
    return found
