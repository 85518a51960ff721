"""CloudWatch's metric math, as far as our alarms and widgets use it, for one period.

A value is a number, or None where a metric has no data. Operators and functions are those of CloudWatch ("Using math
expressions with CloudWatch metrics"): a number from None and anything is None, except that `FILL` replaces None.
"""

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

type Value = float | None
_BINARY: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: lambda left, right: left / right if right else None,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
}


def value_of(expression: str, known: Mapping[str, Value], metrics: Mapping[str, Value]) -> Value:
    """What ``expression`` comes to. ``metrics`` are the values that METRICS() means, by id, and ``known`` has all ids.

    Raises `ValueError` for what is not known here.
    """
    # The words of CloudWatch for Python's operators. Everything else is read alike.
    tree = ast.parse(expression.replace(" AND ", " and ").replace(" OR ", " or "), mode="eval")
    result = _Reader(known, metrics).read(tree.body)
    if isinstance(result, list):
        raise ValueError(f"{expression} is a list")
    return None if result is None else float(result)


class _Reader:
    def __init__(self, known: Mapping[str, Value], metrics: Mapping[str, Value]) -> None:
        self._known = known
        self._metrics = metrics

    def read(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=int() | float() as number):
                return number
            case ast.Name(id=name):
                return self._known[name]
            case ast.List(elts=members):
                return [self.read(each) for each in members]
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                return self._both(op, left, right)
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _BINARY:
                return self._both(op, left, right)
            case ast.BoolOp(op=ast.And(), values=values):
                return self._all(values)
            case ast.Call(func=ast.Name(id=function), args=arguments):
                return self._call(function, arguments)
        raise ValueError(f"{ast.unparse(node)} is not known here")

    def _both(self, op: ast.AST, left: ast.expr, right: ast.expr) -> Any:
        one, other = self.read(left), self.read(right)
        return None if one is None or other is None else _BINARY[type(op)](one, other)

    def _all(self, nodes: list[ast.expr]) -> Any:
        values = [self.read(each) for each in nodes]
        return None if None in values else all(values)

    def _call(self, function: str, nodes: list[ast.expr]) -> Any:
        arguments = [self.read(each) for each in nodes]
        match function, arguments:
            case "METRICS", []:
                return list(self._metrics.values())
            case "FILL", [list() as values, filler]:
                return [filler if each is None else each for each in values]
            case "FILL", [value, filler]:
                return filler if value is None else value
            case "SUM", [list() as values]:
                present = [each for each in values if each is not None]
                return sum(present) if present else None
            case "MAX", [list() as values]:
                return max((each for each in values if each is not None), default=None)
            case "IF", [condition, yes, no]:
                return None if condition is None else yes if condition else no
        raise ValueError(f"{function} is not known here")
