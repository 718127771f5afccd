"""The code that a stage can reach: from its `run` and `Inputs`, along every name that a definition refers to.

Where a name cannot be followed (a module handed around as an object, a name that is not there), everything in the
module counts.
"""

import ast
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path

from flows.keys.references import Chain, Import, chain_of
from flows.keys.syntax import EFFECTS, MAIN, PACKAGES, Module, Tree

ROOT = Path(__file__).parents[2]
ENTRY = ("run", "Inputs")
HARMLESS = frozenset(
    {"property", "staticmethod", "classmethod", "abc.abstractmethod", "dataclasses.dataclass"}
    | {f"contextlib.{name}" for name in ("contextmanager", "asynccontextmanager")}
    | {f"functools.{name}" for name in ("cache", "cached_property", "lru_cache", "total_ordering", "wraps")}
    | {f"pydantic.{name}" for name in ("field_validator", "model_validator", "field_serializer", "model_serializer")}
    | {f"torch.{name}" for name in ("no_grad", "inference_mode", "enable_grad")}
    | {f"typing.{name}" for name in ("final", "no_type_check", "overload", "runtime_checkable")}
)
"""Decorators that keep no list of what they decorate."""

ACCESSORS = ("setter", "getter", "deleter")
BLIND = ("globals", "eval", "exec")


class Reach:
    """What `entry` can reach."""

    def __init__(self, entry: str, root: Path) -> None:
        self.units: dict[tuple[str, str], str] = {}  # module and definition (or `EFFECTS`) -> digest
        self.libraries: set[str] = set()  # modules not ours that are imported on the way; strings that may name some
        self._tree = Tree(root, entry)
        self._waiting: list[tuple[Module, str]] = []
        self._imported: set[str] = set()
        self._whole: set[tuple[str, bool]] = set()
        self._followed: set[tuple[str, Chain]] = set()
        module = self._tree.module(entry)
        if module is None:
            raise ModuleNotFoundError(f"there is no module {entry} below {root}", name=entry)
        if all(name in module.definitions for name in ENTRY):
            for name in ENTRY:
                self._follow(entry, (name,))
        else:
            self._take_whole(entry)
        while self._waiting:
            self._follow_unit(*self._waiting.pop())

    @cached_property
    def digests(self) -> dict[str, str]:
        """See `code_digests`."""
        return {f"{name}.{part}" if part else name: digest for (name, part), digest in sorted(self.units.items())}

    def _take(self, module: Module, name: str) -> None:
        if (module.name, name) not in self.units:
            self.units[module.name, name] = module.unit(name).digest
            self._waiting.append((module, name))

    def _follow_unit(self, module: Module, name: str) -> None:
        refers = module.unit(name).refers
        local: dict[str, list[Import]] = {}
        for item in refers.imports:
            self._run_import(item)
            local.setdefault(item.bound, []).append(item)
        for chain in refers.chains:
            if not self._resolve(module, chain, local) and chain[0] in BLIND:
                self._take_whole(module.name)
        for text in refers.texts:
            if self._tree.has(text):
                if self._tree.module(text):  # `python -m`, importlib.import_module
                    self._take_whole(text, as_program=True)
            else:
                self.libraries.add(text.partition(".")[0])

    def _resolve(self, module: Module, chain: Chain, local: Mapping[str, Sequence[Import]]) -> bool:
        """Follow a name as code in `module` means it; False if it is none of ours, nor imported."""
        head, *tail = chain
        imported = [*local.get(head, ()), *module.bound.get(head, ())]
        for item in imported:
            self._follow(item.module, (item.name, *tail) if item.name else tuple(tail))
        if head in module.definitions:
            self._take(module, head)
        return bool(imported) or head in module.definitions or head in module.bound_by_effects

    def _follow(self, name: str, chain: Chain) -> None:
        """Follow attributes taken of a module."""
        if not self._tree.has(name) or (name, chain) in self._followed:
            return
        self._followed.add((name, chain))
        self._import(name)
        if not chain:
            self._take_whole(name)
            return
        module, inner = self._tree.module(name), f"{name}.{chain[0]}"
        found = module is not None and self._resolve(module, chain, {})
        if self._tree.module(inner):
            self._follow(inner, chain[1:])
        elif not found:
            self._take_whole(name)

    def _take_whole(self, name: str, *, as_program: bool = False) -> None:
        """Everything in a module; `as_program`, also what it does when started itself."""
        module = self._tree.module(name)
        if module is None or (name, as_program) in self._whole:
            return
        self._whole.add((name, as_program))
        self._import(name)
        for definition in module.definitions:
            self._take(module, definition)
        for item in module.imports:
            self._resolve(module, (item.bound,), {})
        if as_program and module.main:
            self._take(module, MAIN)

    def _import(self, name: str) -> None:
        """Importing a module runs it, its packages, and what they import."""
        if name in self._imported:
            return
        self._imported.add(name)
        if "." in name:
            self._import(name.rpartition(".")[0])
        module = self._tree.module(name)
        if module is None:
            return
        if module.effects:
            self._take(module, EFFECTS)
        for definition, statements in module.definitions.items():
            if any(self._may_register(module, statement) for statement in statements):
                self._take(module, definition)
        for item in module.imports:
            self._run_import(item)

    def _run_import(self, item: Import) -> None:
        if not self._tree.has(item.runs):
            self.libraries.add(item.runs.partition(".")[0])
            return
        self._import(item.runs)
        if item.name == "*":
            self._take_whole(item.runs)
        elif item.name and self._tree.module(f"{item.runs}.{item.name}"):
            self._import(f"{item.runs}.{item.name}")

    def _may_register(self, module: Module, statement: ast.stmt) -> bool:
        """Whether a definition may be called without being referred to, because something keeps it in a list."""
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return False
        decorators = list(statement.decorator_list)
        if isinstance(statement, ast.ClassDef):
            if statement.keywords:  # a metaclass, or options of __init_subclass__
                return True
            decorators += [d for member in statement.body for d in getattr(member, "decorator_list", ())]
        return any(not self._is_harmless(module, decorator) for decorator in decorators)

    def _is_harmless(self, module: Module, decorator: ast.expr) -> bool:
        function = decorator.func if isinstance(decorator, ast.Call) else decorator
        chain, origin = chain_of(function), module.origin(function)
        if origin in HARMLESS or (chain and chain[-1] in ACCESSORS):
            return True
        owner, _, name = origin.rpartition(".")
        own = self._tree.module(owner) if self._tree.has(origin) else None
        return own is not None and not any(_keeps(own, definition) for definition in own.definitions.get(name, [None]))


def _keeps(module: Module, decorator: ast.stmt | None) -> bool:
    """Whether a decorator of ours may change a variable of its module; a variable as decorator may do anything."""
    if not isinstance(decorator, ast.FunctionDef | ast.ClassDef):
        return True
    for node in ast.walk(decorator):
        if isinstance(node, ast.Global):
            return True
        changed = None
        if isinstance(node, ast.Subscript | ast.Attribute) and not isinstance(node.ctx, ast.Load):
            changed = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            changed = node.func.value
        chain = chain_of(changed) if changed else None
        if chain and any(isinstance(s, ast.Assign | ast.AnnAssign) for s in module.definitions.get(chain[0], ())):
            return True
    return False


def code_digests(module: str, root: Path = ROOT) -> dict[str, str]:
    """Dotted name -> digest, for every definition that the stage in `module` can reach; sorted.

    A stage begins at `run` and `Inputs`; in a module without them, everything counts. What importing a module does
    besides defining names counts under the name of the module. Not to be changed: thousands of steps share it.
    """
    return reach(module, root).digests


def reach(module: str, root: Path = ROOT) -> Reach:
    """What a module can reach; worked out once for the code of this process, each time for any other."""
    running = root == ROOT and module.partition(".")[0] in PACKAGES
    return _reach(module, ROOT) if running else Reach(module, root)


_reach = cache(Reach)
