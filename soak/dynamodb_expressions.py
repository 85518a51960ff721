"""The part of DynamoDB's expressions that the service uses (AWS, "Using expressions in DynamoDB").

Values are as on the wire, such as ``{"S": "text"}``. Anything else than what is understood here is an error, so that
nothing is passed over in silence; tests/soak holds it to moto.
"""

import functools
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

type Value = dict[str, Any]
type Item = dict[str, Value]

_TOKEN = re.compile(r"\s*(<>|<=|>=|[=<>(),+\-]|[#:]?\w+(?:\.#?\w+)*)")
_KEYWORDS = {"AND", "OR", "NOT", "SET", "REMOVE", "ADD", "DELETE"}


class ValidationError(Exception):
    """An expression that DynamoDB would refuse, or that this reading of it does not cover."""


class _Parser:
    def __init__(self, text: str, names: Mapping[str, str], values: Mapping[str, Value], item: Item) -> None:
        self._tokens = list(_tokens(text))
        self._names = names
        self._values = values
        self._item = item

    @property
    def next(self) -> str:
        """The token that comes, in capitals if it is a keyword; empty at the end."""
        token = self._tokens[0] if self._tokens else ""
        return token.upper() if token.upper() in _KEYWORDS else token

    def take(self, *wanted: str) -> str:
        """The next token, which has to be one of ``wanted``."""
        token = self.next
        if not token or (wanted and token not in wanted):
            raise ValidationError(f"{token or 'the end'} where {wanted or 'more'} should be")
        self._tokens.pop(0)
        return token

    # Conditions

    def condition(self) -> bool:
        holds = self._conjunction()
        while self.next == "OR":
            self.take()
            holds = self._conjunction() or holds
        return holds

    def _conjunction(self) -> bool:
        holds = self._negation()
        while self.next == "AND":
            self.take()
            holds = self._negation() and holds
        return holds

    def _negation(self) -> bool:
        if self.next == "NOT":
            self.take()
            return not self._negation()
        if self.next == "(":
            self.take()
            holds = self.condition()
            self.take(")")
            return holds
        return self._comparison()

    def _comparison(self) -> bool:
        if self.next in ("attribute_exists", "attribute_not_exists"):
            function = self.take()
            self.take("(")
            there = self._at(self.path()) is not None
            self.take(")")
            return there is (function == "attribute_exists")
        if self.next == "begins_with":
            self.take()
            self.take("(")
            whole = self.operand()
            self.take(",")
            start = self.operand()
            self.take(")")
            return whole is not None and start is not None and str(whole["S"]).startswith(start["S"])
        left = self.operand()
        operator = self.take("=", "<>", "<", "<=", ">", ">=")
        return _compared(left, operator, self.operand())

    # Updates

    def update(self) -> Item:
        changed = dict(self._item)
        while self.next:
            clause = self.take("SET", "REMOVE", "ADD")
            while True:
                self._action(clause, changed)
                if self.next != ",":
                    break
                self.take()
        return changed

    def _action(self, clause: str, changed: Item) -> None:
        name = self.name()
        if clause == "REMOVE":
            changed.pop(name, None)
        elif clause == "ADD":
            value = self.operand()
            changed[name] = _sum(self._item.get(name, {"N": "0"}), "+", value)
        else:
            self.take("=")
            value = self.operand()
            while self.next in ("+", "-"):
                value = _sum(value, self.take(), self.operand())
            if value is None:
                raise ValidationError("The provided expression refers to an attribute that does not exist in the item")
            changed[name] = value

    # Operands

    def operand(self) -> Value | None:
        """A value; that of an attribute which is not there is None."""
        if self.next == "if_not_exists":
            self.take()
            self.take("(")
            there = self._at(self.path())
            self.take(",")
            otherwise = self.operand()
            self.take(")")
            return there if there is not None else otherwise
        if self.next.startswith(":"):
            token = self.take()
            if token not in self._values:
                raise ValidationError(f"{token} has no value")
            return self._values[token]
        return self._at(self.path())

    def name(self) -> str:
        """Of an attribute of the item itself."""
        (name, *deeper) = self.path()
        if deeper:
            raise ValidationError("a change within an attribute")
        return name

    def path(self) -> list[str]:
        """The names that lead to an attribute within an attribute."""
        token = self.take()
        if not re.fullmatch(r"#?[A-Za-z_].*", token):
            raise ValidationError(f"{token} is not the name of an attribute")
        return [self._named(part) for part in token.split(".")]

    def _named(self, part: str) -> str:
        if not part.startswith("#"):
            return part
        if part not in self._names:
            raise ValidationError(f"{part} has no name")
        return self._names[part]

    def _at(self, path: list[str]) -> Value | None:
        first, *deeper = path
        value = self._item.get(first)
        for name in deeper:
            value = value["M"].get(name) if value is not None and "M" in value else None
        return value


def holds(item: Item | None, asked: Mapping[str, Any], member: str = "ConditionExpression") -> bool:
    """Whether the condition of a request holds of ``item``, None if there is none."""
    if member not in asked:
        return True
    parser = _parser(asked, member, item or {})
    result = parser.condition()
    if parser.next:
        raise ValidationError(f"{parser.next} is left over")
    return result


def updated(item: Item, asked: Mapping[str, Any]) -> Item:
    """``item`` after the update of a request."""
    return _parser(asked, "UpdateExpression", item).update() if "UpdateExpression" in asked else dict(item)


def projected(item: Item, asked: Mapping[str, Any]) -> Item:
    """What a request wants to see of ``item``."""
    if "ProjectionExpression" not in asked:
        return item
    names = asked.get("ExpressionAttributeNames", {})
    wanted = [names.get(name.strip(), name.strip()) for name in asked["ProjectionExpression"].split(",")]
    return {name: item[name] for name in wanted if name in item}


def _parser(asked: Mapping[str, Any], member: str, item: Item) -> _Parser:
    names, values = asked.get("ExpressionAttributeNames", {}), asked.get("ExpressionAttributeValues", {})
    return _Parser(asked[member], names, values, item)


@functools.cache
def _tokens(text: str) -> tuple[str, ...]:
    tokens, place = [], 0
    while place < len(text.rstrip()):
        match = _TOKEN.match(text, place)
        if match is None:
            raise ValidationError(f"{text[place:]} is not understood")
        tokens.append(match[1])
        place = match.end()
    return tuple(tokens)


def _compared(left: Value | None, operator: str, right: Value | None) -> bool:
    """What is not there equals nothing, and is different from everything."""
    if left is None or right is None:
        return operator == "<>" and left is not right
    if left.keys() != right.keys():
        return operator == "<>"
    one, other = _comparable(left), _comparable(right)
    match operator:
        case "=":
            return bool(one == other)
        case "<>":
            return bool(one != other)
        case "<":
            return bool(one < other)
        case "<=":
            return bool(one <= other)
        case ">":
            return bool(one > other)
    return bool(one >= other)


def _comparable(value: Value) -> Any:
    kind, content = next(iter(value.items()))
    return Decimal(content) if kind == "N" else content


def _sum(left: Value | None, sign: str, right: Value | None) -> Value:
    if left is None or right is None or {*left, *right} != {"N"}:
        raise ValidationError("An operand in the update expression has an incorrect data type")
    one, other = Decimal(left["N"]), Decimal(right["N"])
    return {"N": f"{(one + other if sign == '+' else one - other).normalize():f}"}
