"""The small faults: what a tired author gets wrong. Each function names one kind and yields what a node becomes.

Errors that every test would notice are not made, such as a name that does not exist. None stands for a removed node.
"""

import ast
import copy
import re
from collections.abc import Callable, Iterator
from typing import Any

from tools.mutation.source import Site

type Operator = Callable[[Site], Iterator[ast.AST | None]]

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_OPPOSITES: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE,
    ast.LtE: ast.Gt,
    ast.Gt: ast.LtE,
    ast.GtE: ast.Lt,
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
_FUNCTIONS = {"min": "max", "max": "min", "any": "all", "all": "any", "ceil": "floor", "floor": "ceil"}
_EXPRESSION = re.compile(r" AND | OR |<=|>=|<>|(?<!<)>|<(?![>=])| = |attribute_exists|attribute_not_exists")
_IN_EXPRESSION = {
    " AND ": " OR ",
    " OR ": " AND ",
    "<=": "<",
    ">=": ">",
    "<>": "=",
    ">": ">=",
    "<": "<=",
    "attribute_exists": "attribute_not_exists",
    "attribute_not_exists": "attribute_exists",
}


def comparison(site: Site) -> Iterator[ast.AST | None]:
    """A comparison becomes its opposite. For an order there is another mutant, in which the limit changes its side."""
    if isinstance(site.node, ast.Compare):
        for position, found in enumerate(site.node.ops):
            for mapping in (_COMPARISONS, _OPPOSITES):
                if type(found) in mapping:
                    changed = copy.deepcopy(site.node)
                    changed.ops[position] = mapping[type(found)]()
                    yield changed


def condition(site: Site) -> Iterator[ast.AST | None]:
    """A condition that is no comparison becomes its opposite."""
    node = site.node
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand
    elif site.is_condition and isinstance(node, ast.expr) and not isinstance(node, ast.Compare | ast.BoolOp):
        yield ast.UnaryOp(ast.Not(), node)


def connective(site: Site) -> Iterator[ast.AST | None]:
    """`and` becomes `or`, and the reverse."""
    if isinstance(site.node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(site.node.op, ast.And) else ast.And(), site.node.values)


def arithmetic(site: Site) -> Iterator[ast.AST | None]:
    """Plus becomes minus, times becomes divided by, and the reverse. A minus sign goes away."""
    node = site.node
    if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in _ARITHMETIC:
        changed = copy.copy(node)
        changed.op = _ARITHMETIC[type(node.op)]()
        yield changed
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield node.operand


def constant(site: Site) -> Iterator[ast.AST | None]:
    """A number is one more or one less, a truth value the opposite, a text another text."""
    match site.node:
        case ast.Constant(value=bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(value=int() | float() as number):
            yield ast.Constant(number + 1)
            yield ast.Constant(number - 1)
        case ast.Constant(value=str() as text) if not (site.in_prose and " " in text) and not _is_expression(text):
            # The first letter, because many tests look for a part of a text.
            yield ast.Constant("?" + text[1:])
        case ast.Constant(value=bytes() as octets):
            yield ast.Constant(b"?" + octets[1:])


def expression(site: Site) -> Iterator[ast.AST | None]:
    """One part of a DynamoDB expression changes: a comparison, `AND`, or `attribute_exists`."""
    match site.node:
        case ast.Constant(value=str() as text) if _is_expression(text) and not site.in_prose:
            for found in _EXPRESSION.finditer(text):
                if found.group() in _IN_EXPRESSION:
                    yield ast.Constant(text[: found.start()] + _IN_EXPRESSION[found.group()] + text[found.end() :])


def function(site: Site) -> Iterator[ast.AST | None]:
    """`min` becomes `max`, `any` becomes `all`, `ceil` becomes `floor`, and the reverse."""
    if not isinstance(site.node, ast.Call):
        return
    match site.node.func:
        case ast.Name(id=name) if name in _FUNCTIONS:
            yield _calling(site.node, ast.Name(_FUNCTIONS[name], ast.Load()))
        case ast.Attribute(value=value, attr=name) if name in _FUNCTIONS:
            yield _calling(site.node, ast.Attribute(value, _FUNCTIONS[name], ast.Load()))


def aws_parameter(site: Site) -> Iterator[ast.AST | None]:
    """A parameter of a call of AWS is missing, such as a condition or `ConsistentRead`."""
    if isinstance(site.node, ast.keyword) and (site.node.arg or "_")[0].isupper():
        yield None


def returned(site: Site) -> Iterator[ast.AST | None]:
    """A function returns None in place of its value."""
    match site.node:
        case ast.Return(value=None | ast.Constant(value=None | False)):  # None is as false as False.
            return
        case ast.Return():
            yield ast.Return(ast.Constant(None))


def assigned(site: Site) -> Iterator[ast.AST | None]:
    """A variable gets None in place of its value."""
    match site.node:
        case ast.Assign(value=ast.Constant()):
            return
        case ast.Assign(targets=[ast.Name()] as targets):
            yield ast.Assign(targets, ast.Constant(None))


def statement(site: Site) -> Iterator[ast.AST | None]:
    """A call for its effect, an assignment to a part of an object, a `raise` or a bare `return` is missing."""
    match site.node:
        case ast.Expr(value=ast.Call()) | ast.Raise() | ast.Return(value=None) | ast.Delete():
            yield ast.Pass()
        # Without an attribute that __init__ sets, everything fails.
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]) if not site.name.endswith("__init__"):
            yield ast.Pass()
        case ast.Continue():
            yield ast.Break()
        case ast.Break():
            yield ast.Continue()


def handler(site: Site) -> Iterator[ast.AST | None]:
    """An error is raised again in place of being handled."""
    match site.node:
        case ast.ExceptHandler(body=[ast.Raise(exc=None), *_]):
            return
        case ast.ExceptHandler(type=kind, name=name):
            yield ast.ExceptHandler(kind, name, [ast.Raise()])


OPERATORS: tuple[Operator, ...] = (
    comparison,
    condition,
    connective,
    arithmetic,
    constant,
    expression,
    function,
    aws_parameter,
    returned,
    assigned,
    statement,
    handler,
)


def _is_expression(text: str) -> bool:
    return " " in text and _EXPRESSION.search(text) is not None


def _calling(call: ast.Call, func: Any) -> ast.Call:
    return ast.Call(func, call.args, call.keywords)
