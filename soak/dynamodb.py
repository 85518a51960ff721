"""DynamoDB: one table with the key ``pk``, conditional writes and transactions.

Each call happens at one moment, so transactions never conflict by themselves; the fault injector makes them conflict. A
read that is not consistent may see an item as it was a second ago.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from soak.dynamodb_expressions import Item, ValidationError, condition, projected, updated
from soak.errors import Refused
from soak.scheduler import Scheduler

_STALE_SECONDS = 1.0
_TOKEN_SECONDS = 600  # AWS, TransactWriteItems: how long a ClientRequestToken is valid


class Table:
    """The users table. ``unprocessed`` is the probability that a batch read leaves half of its keys unprocessed."""

    def __init__(self, scheduler: Scheduler, *, unprocessed: float = 0.05) -> None:
        self._scheduler = scheduler
        self._unprocessed = unprocessed
        self.items: dict[str, Item] = {}
        self._before: dict[str, tuple[float, Item | None]] = {}
        self._tokens: dict[str, tuple[float, str]] = {}

    def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of DynamoDB. Raises `Refused`."""
        try:
            match operation:
                case "GetItem":
                    item = self._read(_key(request), consistent=request.get("ConsistentRead", False))
                    return {"Item": projected(item, request)} if item is not None else {}
                case "BatchGetItem":
                    return self._batch(request)
                case "PutItem" | "UpdateItem" | "DeleteItem":
                    return self._write(operation.removesuffix("Item"), request)
                case "TransactWriteItems":
                    return self._transact(request)
                case "Scan":
                    return self._scan(request)
        except ValidationError as error:
            raise Refused("ValidationException", str(error)) from error
        raise Refused("UnknownOperationException", operation)

    def _read(self, key: str, *, consistent: bool) -> Item | None:
        if not consistent and key in self._before:
            changed_at, before = self._before[key]
            if self._scheduler.now - changed_at < _STALE_SECONDS and self._scheduler.chance.random() < 0.5:
                return before
        return self.items.get(key)

    def _batch(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Now and then half of the keys are left unprocessed, as AWS does when an answer gets too large."""
        ((table, wanted),) = request["RequestItems"].items()
        keys = wanted["Keys"]
        if len(keys) > 100 or len({key["pk"]["S"] for key in keys}) < len(keys):
            raise ValidationError("more than 100 keys, or one of them twice")
        now = len(keys) if self._scheduler.chance.random() >= self._unprocessed else (len(keys) + 1) // 2
        found = [self._read(key["pk"]["S"], consistent=wanted.get("ConsistentRead", False)) for key in keys[:now]]
        left = {table: {**wanted, "Keys": keys[now:]}} if keys[now:] else {}
        return {"Responses": {table: [item for item in found if item is not None]}, "UnprocessedKeys": left}

    def _write(self, kind: str, request: Mapping[str, Any]) -> dict[str, Any]:
        key = _key(request)
        before = self.items.get(key)
        if not condition(request)(before):
            shown = before is not None and request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
            raise Refused("ConditionalCheckFailedException", more={"Item": before} if shown else {})
        after = _after(kind, before, request)
        self._put(key, after)
        match request.get("ReturnValues", "NONE"):
            case "ALL_OLD" if before is not None:
                return {"Attributes": before}
            case "ALL_NEW" if after is not None:
                return {"Attributes": after}
            case "UPDATED_NEW" if after is not None:
                return {"Attributes": {n: v for n, v in after.items() if n != "pk" and (before or {}).get(n) != v}}
        return {}

    def _transact(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """All writes or none. A request with a token that is still valid is not carried out again."""
        token, fingerprint = request.get("ClientRequestToken"), json.dumps(request["TransactItems"], sort_keys=True)
        if token in self._tokens and self._scheduler.now - self._tokens[token][0] < _TOKEN_SECONDS:
            if self._tokens[token][1] != fingerprint:
                raise Refused("IdempotentParameterMismatchException")
            return {}
        actions = [next(iter(entry.items())) for entry in request["TransactItems"]]
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
            self._tokens[token] = self._scheduler.now, fingerprint
        return {}

    def _scan(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """One page in the order of hashed keys. ``Limit`` counts items before the filter, as on AWS."""
        keys = sorted(self.items, key=_position)
        if "ExclusiveStartKey" in request:
            start = _position(request["ExclusiveStartKey"]["pk"]["S"])
            keys = [key for key in keys if _position(key) > start]
        page = keys[: request.get("Limit", len(keys))]
        passes = condition(request, "FilterExpression")
        found = [self.items[key] for key in page if passes(self.items[key])]
        last = {"LastEvaluatedKey": {"pk": {"S": page[-1]}}} if len(page) < len(keys) else {}
        return {"Items": [projected(item, request) for item in found], **last}

    def _put(self, key: str, after: Item | None) -> None:
        self._before[key] = self._scheduler.now, self.items.get(key)
        if after is None:
            self.items.pop(key, None)
        else:
            self.items[key] = after


def _key(request: Mapping[str, Any]) -> str:
    return str((request.get("Key") or request["Item"])["pk"]["S"])


def _after(kind: str, before: Item | None, request: Mapping[str, Any]) -> Item | None:
    match kind:
        case "Put":
            return dict(request["Item"])
        case "Update":
            return updated(before or dict(request["Key"]), request)
    return None


def _position(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
