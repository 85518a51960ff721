"""DynamoDB: one table with the key ``pk``, conditional writes and transactions.

Each call happens at one moment, so two transactions never meet half-way; that real ones do, and cancel each other, is
left to the faults. Reads that do not ask to be consistent may see what stood there a second ago.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from soak.dynamodb_expressions import Item, ValidationError, condition, projected, updated
from soak.errors import Refused
from soak.scheduler import Scheduler

_STALE_SECONDS = 1.0
_TOKEN_SECONDS = 600  # AWS, TransactWriteItems: how long a ClientRequestToken counts
_ANSWERED_AT_ONCE = 0.95


class Table:
    """The users table."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.items: dict[str, Item] = {}
        self._before: dict[str, tuple[float, Item | None]] = {}
        self._tokens: dict[str, tuple[float, str]] = {}

    def call(self, operation: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """What DynamoDB answers; raises `Refused`."""
        try:
            match operation:
                case "GetItem":
                    item = self._read(_key(asked), consistent=asked.get("ConsistentRead", False))
                    return {"Item": projected(item, asked)} if item is not None else {}
                case "BatchGetItem":
                    return self._batch(asked)
                case "PutItem" | "UpdateItem" | "DeleteItem":
                    return self._write(operation.removesuffix("Item"), asked)
                case "TransactWriteItems":
                    return self._transact(asked)
                case "Scan":
                    return self._scan(asked)
        except ValidationError as error:
            raise Refused("ValidationException", str(error)) from error
        raise Refused("UnknownOperationException", operation)

    def _read(self, key: str, *, consistent: bool) -> Item | None:
        if not consistent and key in self._before:
            changed_at, before = self._before[key]
            if self._scheduler.now - changed_at < _STALE_SECONDS and self._scheduler.chance.random() < 0.5:
                return before
        return self.items.get(key)

    def _batch(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Some keys may be left for another call, as AWS leaves those that do not fit."""
        ((table, wanted),) = asked["RequestItems"].items()
        keys = wanted["Keys"]
        if len(keys) > 100 or len({key["pk"]["S"] for key in keys}) < len(keys):
            raise ValidationError("more than 100 keys, or one of them twice")
        now = len(keys) if self._scheduler.chance.random() < _ANSWERED_AT_ONCE else (len(keys) + 1) // 2
        found = [self._read(key["pk"]["S"], consistent=wanted.get("ConsistentRead", False)) for key in keys[:now]]
        left = {table: {**wanted, "Keys": keys[now:]}} if keys[now:] else {}
        return {"Responses": {table: [item for item in found if item is not None]}, "UnprocessedKeys": left}

    def _write(self, kind: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        key = _key(asked)
        before = self.items.get(key)
        if not condition(asked)(before):
            shown = before is not None and asked.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
            raise Refused("ConditionalCheckFailedException", more={"Item": before} if shown else {})
        after = _after(kind, before, asked)
        self._put(key, after)
        match asked.get("ReturnValues", "NONE"):
            case "ALL_OLD" if before is not None:
                return {"Attributes": before}
            case "ALL_NEW" if after is not None:
                return {"Attributes": after}
            case "UPDATED_NEW" if after is not None:
                return {"Attributes": {n: v for n, v in after.items() if n != "pk" and (before or {}).get(n) != v}}
        return {}

    def _transact(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """All or nothing; a token that counts still says that it is done already."""
        token, print_ = asked.get("ClientRequestToken"), json.dumps(asked["TransactItems"], sort_keys=True)
        if token in self._tokens and self._scheduler.now - self._tokens[token][0] < _TOKEN_SECONDS:
            if self._tokens[token][1] != print_:
                raise Refused("IdempotentParameterMismatchException")
            return {}
        actions = [next(iter(entry.items())) for entry in asked["TransactItems"]]
        keys = [_key(action) for _, action in actions]
        if len(set(keys)) < len(keys):
            raise ValidationError("Transaction request cannot include multiple operations on one item")
        codes = [
            "None" if condition(action)(self.items.get(key)) else "ConditionalCheckFailed"
            for key, (_, action) in zip(keys, actions, strict=True)
        ]
        if set(codes) != {"None"}:
            raise Refused(
                "TransactionCanceledException", more={"CancellationReasons": [{"Code": code} for code in codes]}
            )
        written = [
            (key, _after(kind, self.items.get(key), action))
            for key, (kind, action) in zip(keys, actions, strict=True)
            if kind != "ConditionCheck"
        ]
        for key, after in written:
            self._put(key, after)
        if token is not None:
            self._tokens[token] = self._scheduler.now, print_
        return {}

    def _scan(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """In an order of its own, as many as asked for before the filter."""
        keys = sorted(self.items, key=_place)
        if "ExclusiveStartKey" in asked:
            start = _place(asked["ExclusiveStartKey"]["pk"]["S"])
            keys = [key for key in keys if _place(key) > start]
        page = keys[: asked.get("Limit", len(keys))]
        let_through = condition(asked, "FilterExpression")
        found = [self.items[key] for key in page if let_through(self.items[key])]
        last = {"LastEvaluatedKey": {"pk": {"S": page[-1]}}} if len(page) < len(keys) else {}
        return {"Items": [projected(item, asked) for item in found], **last}

    def _put(self, key: str, after: Item | None) -> None:
        self._before[key] = self._scheduler.now, self.items.get(key)
        if after is None:
            self.items.pop(key, None)
        else:
            self.items[key] = after


def _key(asked: Mapping[str, Any]) -> str:
    return str((asked.get("Key") or asked["Item"])["pk"]["S"])


def _after(kind: str, before: Item | None, asked: Mapping[str, Any]) -> Item | None:
    match kind:
        case "Put":
            return dict(asked["Item"])
        case "Update":
            return updated(before or dict(asked["Key"]), asked)
    return None


def _place(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
