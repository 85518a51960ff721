"""Conditions, updates and projections of DynamoDB on items as they are on the wire, parsed and evaluated by moto.

Only the expressions are moto's. Its table copies all items for each transaction, and knows neither stale reads nor the
virtual clock, so the table is our own (`soak.dynamodb`). A parser of our own made a soak a third shorter, and was 150
lines longer.
"""

import base64
import functools
from collections.abc import Callable, Mapping
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.dynamodb.comparisons import get_filter_expression
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.dynamo_type import Item as MotoItem
from moto.dynamodb.models.table import Table as MotoTable
from moto.dynamodb.parsing.executors import UpdateExpressionExecutor
from moto.dynamodb.parsing.expressions import UpdateExpressionParser  # type: ignore[attr-defined] # moto says the same
from moto.dynamodb.parsing.validators import UpdateExpressionValidator

type Value = dict[str, Any]
type Item = dict[str, Value]

# Tells moto what the key of the table is; it holds no item.
_SCHEMA = MotoTable(  # type: ignore[abstract] # only CloudFormation's part is
    "users",
    account_id="000000000000",
    region="eu-west-1",
    schema=[{"AttributeName": "pk", "KeyType": "HASH"}],
    attr=[{"AttributeName": "pk", "AttributeType": "S"}],
)
# The validation works on a copy, so one parsed expression serves for all requests.
_parsed = functools.cache(UpdateExpressionParser.make)
# Of moto: an update, a condition, a name or a value that was not given.
_REFUSALS = (JsonRESTError, ValueError, KeyError)


class ValidationError(Exception):
    """DynamoDB would refuse this expression."""


def condition(request: Mapping[str, Any], member: str = "ConditionExpression") -> Callable[[Item | None], bool]:
    """The condition of a request, as a question to an item or to None; without a condition the answer is yes.

    Raises `ValidationError`.
    """
    try:
        found = get_filter_expression(request.get(member), _names(request), _values(request))
    except _REFUSALS as error:
        raise ValidationError(str(error)) from error
    return lambda item: bool(found.expr(None if item is None else _moto_item(item)))


def updated(item: Item, request: Mapping[str, Any]) -> Item:
    """``item`` after the update of a request. Raises `ValidationError`."""
    if "UpdateExpression" not in request:
        return dict(item)
    changed = _moto_item(item)
    try:
        expression = _parsed(request["UpdateExpression"])
        checked = UpdateExpressionValidator(expression, _names(request), _values(request), changed, _SCHEMA).validate()
        checked.normalize()
        UpdateExpressionExecutor(checked, changed, _names(request)).execute()
    except _REFUSALS as error:
        raise ValidationError(str(error)) from error
    after: Item = _as_sent(changed.to_json()["Attributes"])
    return after


def _as_sent(value: Any) -> Any:
    """``value`` with bytes as base64. moto leaves those inside of a map as bytes."""
    match value:
        case bytes():
            return base64.b64encode(value).decode()
        case dict():
            return {name: _as_sent(each) for name, each in value.items()}
        case list():
            return [_as_sent(each) for each in value]
    return value


def projected(item: Item, request: Mapping[str, Any]) -> Item:
    """The attributes of ``item`` that a request asks for."""
    if "ProjectionExpression" not in request:
        return item
    names = _names(request)
    wanted = [names.get(name.strip(), name.strip()) for name in request["ProjectionExpression"].split(",")]
    return {name: item[name] for name in wanted if name in item}


def _moto_item(item: Item) -> MotoItem:
    """Made as moto copies one: past its check of the size, which adds up all attributes at each of them."""
    made = MotoItem(DynamoType(item["pk"]), None, {})
    dict.update(made.attrs, {name: DynamoType(value) for name, value in item.items()})
    return made


def _names(request: Mapping[str, Any]) -> dict[str, str]:
    names: dict[str, str] = request.get("ExpressionAttributeNames", {})
    return names


def _values(request: Mapping[str, Any]) -> dict[str, Value]:
    values: dict[str, Value] = request.get("ExpressionAttributeValues", {})
    return values
