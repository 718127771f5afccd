"""The source files of our packages, split into their top-level definitions, and digests of these as syntax trees.

A digest sees neither comments, formatting and docstrings nor the descriptions of settings.
"""

import ast
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.machinery import PathFinder
from pathlib import Path

from flows.keys.references import Import, References, chain_of, imports_of, is_text, references

PACKAGES = ("flows", "extraction", "training", "evaluation", "storage")
EFFECTS, MAIN = "", "__main__"
"""Names of the units that hold what importing a module does, and what it does as a program."""

UNPACKING = ast.Tuple | ast.List | ast.Starred
DIGITS = 16
HELP = {"pydantic.Field": None, "storage.settings.neutral": 1}
"""Functions whose `description` only people read -> its place among the positional arguments."""


@dataclass(frozen=True)
class Unit:
    """A top-level definition of a module, or its import effects: what can be reached, and has a digest."""

    refers: References
    digest: str


class Module:
    """One source file, of this dotted name."""

    def __init__(self, name: str, source: str, *, is_package: bool) -> None:
        self.name = name
        self.package = name if is_package else name.rpartition(".")[0]  # that its relative imports start from
        self.definitions: dict[str, list[ast.stmt]] = {}  # of each top-level name
        self.effects: list[ast.stmt] = []  # at top level, which do something other than to define a name
        self.main: list[ast.stmt] = []  # which run only where the module is the program
        self.imports: list[Import] = []  # when the module is imported
        self._units: dict[str, Unit] = {}
        self._sort(ast.parse(source).body)

    def _sort(self, statements: Sequence[ast.stmt]) -> None:
        for statement in statements:
            if isinstance(statement, ast.Import | ast.ImportFrom):
                self.imports.extend(imports_of(statement, self.package))
            elif isinstance(statement, ast.If) and (chain_of(statement.test) or ("",))[-1] == "TYPE_CHECKING":
                self._sort(statement.orelse)  # what type checkers alone import never runs
            elif isinstance(statement, ast.If) and ast.unparse(statement.test) == "__name__ == '__main__'":
                self.main.append(statement)
            elif names := _defined(statement):
                for name in names:
                    self.definitions.setdefault(name, []).append(statement)
            elif not is_text(statement):
                self.effects.append(statement)
                self.imports.extend(_imports_below(statement, self.package))

    @cached_property
    def bound(self) -> dict[str, list[Import]]:
        """Imported name -> where it comes from; several, where a condition decides."""
        found: dict[str, list[Import]] = {}
        for item in self.imports:
            found.setdefault(item.bound, []).append(item)
        return found

    @cached_property
    def bound_by_effects(self) -> set[str]:
        """Names that are defined under a condition, in a loop, ...: changes of them change the effects."""
        return {name for statement in self.effects for name in _names_bound(statement)}

    def unit(self, name: str) -> Unit:
        """The definition of a name, or `EFFECTS`, or `MAIN`."""
        if name not in self._units:
            statements = {EFFECTS: self.effects, MAIN: self.main}.get(name) or self.definitions[name]
            refers = references(statements, self.package)
            heads = sorted({chain[0] for chain in refers.chains} & self.bound.keys())
            # the same text means something else where a name is imported from elsewhere
            origins = [f"{head} = {i.module} {i.name}" for head in heads for i in self.bound[head]]
            text = "\n".join([*(self._spelled(statement) for statement in statements), *origins])
            self._units[name] = Unit(refers, hashlib.sha256(text.encode()).hexdigest()[:DIGITS])
        return self._units[name]

    def origin(self, node: ast.AST) -> str:
        """Dotted name of what an expression such as `a.b` stands for; empty for other expressions."""
        chain = chain_of(node)
        if chain is None:
            return ""
        head, *tail = chain
        if head in self.bound:
            item = self.bound[head][0]
            return ".".join([item.module, *([item.name] if item.name else []), *tail])
        return ".".join([self.name, *chain] if head in self.definitions else chain)

    def _spelled(self, node: object) -> str:
        """A syntax tree as text; unlike that of `ast.dump` the same in all versions of Python."""
        if isinstance(node, list):
            return "[" + " ".join(self._spelled(item) for item in node if not is_text(item)) + "]"
        if isinstance(node, ast.Constant):
            return repr(node.value)
        if not isinstance(node, ast.AST):
            return repr(node)
        fields = dict(ast.iter_fields(node))
        fields.pop("ctx", None)
        if isinstance(node, ast.Call) and (help_of := self.origin(node.func)) in HELP:
            place = HELP[help_of]
            fields["args"] = [argument for i, argument in enumerate(node.args) if i != place]
            fields["keywords"] = [keyword for keyword in node.keywords if keyword.arg != "description"]
        shown = (f"{name}={self._spelled(value)}" for name, value in fields.items() if value not in (None, []))
        return f"{type(node).__name__}({' '.join(shown)})"


_parsed = lru_cache(maxsize=1024)(Module)


class Tree:
    """The modules below a folder that count as ours, and those of the package of `entry`, wherever Python finds it."""

    def __init__(self, root: Path, entry: str) -> None:
        self.root = root
        self._packages = {*PACKAGES, entry.partition(".")[0]}
        self._modules: dict[str, Module | None] = {}

    def has(self, name: str) -> bool:
        """Whether a dotted name may be a module of ours, there or not."""
        return name.partition(".")[0] in self._packages

    def module(self, name: str) -> Module | None:
        """A module of ours, or None if there is no such file."""
        if name not in self._modules:
            path = self._path(name) if self.has(name) else None
            source = path.read_text() if path else ""
            self._modules[name] = _parsed(name, source, is_package=path.name == "__init__.py") if path else None
        return self._modules[name]

    def _path(self, name: str) -> Path | None:
        base = self.root.joinpath(*name.split("."))
        for path in (base.with_name(base.name + ".py"), base / "__init__.py"):
            if path.is_file():
                return path
        if "." not in name and name not in PACKAGES and (spec := PathFinder.find_spec(name)) and spec.has_location:
            return Path(str(spec.origin))
        return None


def _defined(statement: ast.stmt) -> list[str]:
    """The names that a plain definition defines; none for other statements."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    else:
        return []
    parts = [part for target in targets for part in ast.walk(target)]
    if not all(isinstance(part, UNPACKING | ast.Name | ast.expr_context) for part in parts):
        return []  # values[0] = 1 changes what something else defines
    return [part.id for part in parts if isinstance(part, ast.Name)]


def _names_bound(statement: ast.stmt) -> Iterator[str]:
    for node in ast.walk(statement):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def _imports_below(statement: ast.AST, package: str) -> Iterator[Import]:
    """Imports of a compound statement, functions in it aside."""
    for node in ast.iter_child_nodes(statement):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imports_of(node, package)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _imports_below(node, package)
