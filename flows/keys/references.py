"""What a piece of code refers to: free names with the attributes taken of them, imports, and strings."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeGuard

Function = ast.FunctionDef | ast.AsyncFunctionDef
Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
NESTED = Function | ast.ClassDef | ast.Lambda | Comprehension
Chain = tuple[str, ...]


@dataclass(frozen=True)
class Import:
    """One name bound by an import."""

    bound: str  # the name, or `*`
    runs: str  # the module that the import runs
    module: str  # the module that the name comes from, or stands for
    name: str = ""  # what is taken of `module`; empty if the module itself is


@dataclass
class References:
    """All that some statements refer to."""

    chains: set[Chain] = field(default_factory=set)
    """Names that are not local, each with the attributes taken of it: `a.b.c` is `("a", "b", "c")`."""

    imports: list[Import] = field(default_factory=list)  # inside of functions
    texts: set[str] = field(default_factory=set)  # strings that could be dotted names


def imports_of(statement: ast.Import | ast.ImportFrom, package: str) -> Iterator[Import]:
    """The names that an import statement in a module of `package` binds."""
    if isinstance(statement, ast.Import):
        for alias in statement.names:
            top = alias.name.partition(".")[0]
            yield Import(alias.asname or top, alias.name, alias.name if alias.asname else top)
        return
    module = statement.module or ""
    if statement.level:
        parents = package.split(".")
        module = ".".join([*parents[: len(parents) - statement.level + 1], *([module] if module else [])])
    for alias in statement.names:
        yield Import(alias.asname or alias.name, module, module, alias.name)


def references(statements: Iterable[ast.AST], package: str) -> References:
    """What statements refer to; local variables and parameters of functions do not count."""
    found = References()
    for statement in statements:
        _visit(statement, frozenset(), found, package)
    return found


def is_text(statement: object) -> bool:
    """Whether a statement is a docstring, or any other string that does nothing."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def chain_of(node: ast.AST) -> Chain | None:
    """`("a", "b", "c")` for the expression `a.b.c`; None if it does not begin with a name."""
    attributes = []
    while isinstance(node, ast.Attribute):
        attributes.append(node.attr)
        node = node.value
    return (node.id, *reversed(attributes)) if isinstance(node, ast.Name) else None


def _visit(node: ast.AST, local: frozenset[str], found: References, package: str) -> None:
    if isinstance(node, ast.Name | ast.Attribute):
        chain = chain_of(node)
        if chain is None:
            while isinstance(node, ast.Attribute):
                node = node.value
            _visit(node, local, found, package)
        elif chain[0] not in local:
            found.chains.add(chain)
    elif isinstance(node, ast.Constant):
        if isinstance(node.value, str) and node.value.replace(".", "").isidentifier():
            found.texts.add(node.value)
    elif isinstance(node, ast.Import | ast.ImportFrom):
        found.imports.extend(imports_of(node, package))
    elif isinstance(node, Scope):
        _visit_function(node, local, found, package)
    elif isinstance(node, Comprehension):
        # the first iterable is evaluated outside: [x for x in x]
        _visit(node.generators[0].iter, local, found, package)
        targets = {n.id for g in node.generators for n in ast.walk(g.target) if _is_stored(n)}
        _visit_children(node, local | targets, found, package)
    elif isinstance(node, ast.Global):
        found.chains.update((name,) for name in node.names)
    elif not is_text(node):
        if isinstance(node, ast.AnnAssign):
            _visit_annotation(node.annotation, local, found, package)
        _visit_children(node, local, found, package)


def _visit_children(node: ast.AST, local: frozenset[str], found: References, package: str) -> None:
    for child in ast.iter_child_nodes(node):
        _visit(child, local, found, package)


def _visit_function(node: Scope, local: frozenset[str], found: References, package: str) -> None:
    given = node.args
    arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    arguments += [argument for argument in (given.vararg, given.kwarg) if argument]
    annotations = [argument.annotation for argument in arguments]
    outside = [*given.defaults, *given.kw_defaults]
    body: list[ast.AST] = [node.body] if isinstance(node, ast.Lambda) else list(node.body)
    if isinstance(node, Function):
        outside += node.decorator_list
        annotations.append(node.returns)
    for expression in filter(None, [*outside, *annotations]):
        _visit(expression, local, found, package)
    for annotation in filter(None, annotations):
        _visit_annotation(annotation, local, found, package)
    bound, free = {argument.arg for argument in arguments}, set[str]()
    _sort_names(body, bound, free)
    inside = (local | bound) - free
    for statement in body:
        _visit(statement, inside, found, package)


def _visit_annotation(annotation: ast.AST, local: frozenset[str], found: References, package: str) -> None:
    """Names in the quoted parts of an annotation."""
    for node in ast.walk(annotation):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                quoted = ast.parse(node.value, mode="eval")
            except SyntaxError:
                continue  # a value of Literal, say
            _visit(quoted.body, local, found, package)


def _is_stored(node: ast.AST) -> TypeGuard[ast.Name]:
    return isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)


def _sort_names(nodes: Iterable[ast.AST], bound: set[str], free: set[str]) -> None:
    """Adds names that statements bind in their function to `bound`; global and imported ones (followed) to `free`."""
    for node in nodes:
        if _is_stored(node):
            bound.add(node.id)
        elif isinstance(node, Function | ast.ClassDef | ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
            if node.name:
                bound.add(node.name)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            bound.add(node.rest)
        elif isinstance(node, ast.Global):
            free.update(node.names)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            free.update(item.bound for item in imports_of(node, ""))
        if not isinstance(node, NESTED):
            _sort_names(ast.iter_child_nodes(node), bound, free)
