"""Which parts of a module may be mutated.

Left out is what no test can notice, or should: annotations and names of types, docstrings, `__repr__`, protocols,
imports, the arguments of `@dataclass`, `raise AssertionError`, what only the type checker sees, and the prose of errors
and log lines, to which the name of an AWS operation in `validating` belongs.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace

_LOG_METHODS = frozenset({"event", "warning", "exception"})
_ANNOTATIONS = frozenset({"annotation", "returns", "type_params", "format_spec"})


@dataclass(frozen=True, slots=True)
class Site:
    """A node, the name of its function or class, and its statement.

    ``in_function`` is false for what runs at import. ``is_condition`` is true if only the truth of the node counts.
    """

    node: ast.AST
    name: str = ""
    statement: ast.AST | None = None
    in_function: bool = False
    is_condition: bool = False
    in_prose: bool = False

    @property
    def lines(self) -> range:
        """The lines of the statement, without the body of a compound one."""
        first = getattr(self.statement, "lineno", 1)
        last = getattr(self.statement, "end_lineno", first)
        body = getattr(self.statement, "body", None)
        return range(first, max(first, body[0].lineno - 1 if isinstance(body, list) and body else last) + 1)


def sites(tree: ast.Module) -> Iterator[Site]:
    """Every node that may be mutated, always in the same order."""
    return _below(Site(tree))


def _below(site: Site) -> Iterator[Site]:
    for field, child in _children(site.node):
        if field in _ANNOTATIONS or _is_left_out(child, site.node):
            continue
        below = _site(child, field, site)
        yield below
        yield from _below(below)


def _children(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    for field, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield field, child


def _site(child: ast.AST, field: str, above: Site) -> Site:
    site = replace(above, node=child, is_condition=_is_condition(field, above))
    if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
        site = replace(site, statement=child, in_prose=isinstance(child, ast.Raise))
    if isinstance(child, ast.Call) and isinstance(child.func, ast.Attribute) and child.func.attr in _LOG_METHODS:
        site = replace(site, in_prose=True)
    if isinstance(above.node, ast.FunctionDef | ast.ClassDef) and field == "body":
        site = replace(site, in_function=above.in_function or isinstance(above.node, ast.FunctionDef))
    if isinstance(child, ast.FunctionDef | ast.ClassDef):
        site = replace(site, name=f"{above.name}.{child.name}".removeprefix("."))
    return site


def _is_condition(field: str, above: Site) -> bool:
    if isinstance(above.node, ast.BoolOp | ast.UnaryOp):
        return above.is_condition
    return field in ("test", "ifs", "guard")


def _is_left_out(node: ast.AST, above: ast.AST) -> bool:
    match node:
        case ast.Import() | ast.ImportFrom() | ast.TypeAlias():
            return True
        case ast.Expr(value=ast.Constant()):  # a docstring, or the `...` of an empty body
            return True
        case ast.FunctionDef(name="__repr__"):
            return True
        case ast.ClassDef(bases=bases):
            return any(isinstance(base, ast.Name) and base.id == "Protocol" for base in bases)
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.Raise(exc=ast.Call(func=ast.Name(id="AssertionError"))):
            return True
        case ast.Call(func=ast.Name(id="dataclass" | "validating")):
            return True
        case ast.Assign(value=ast.Subscript(value=ast.Name(id="Literal" | "Callable"))):
            return True
        case ast.Assign(targets=[ast.Name(id="__all__" | "__slots__")]):
            return True
    return isinstance(above, ast.Call) and _is_type(node, above)


def _is_type(node: ast.AST, call: ast.Call) -> bool:
    """Whether this is the type argument of `cast` or `isinstance`."""
    match call.func:
        case ast.Name(id="cast"):
            return node is call.args[0]
        case ast.Name(id="isinstance"):
            return node is call.args[1]
    return False
