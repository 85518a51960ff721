"""The directory: which Whop user belongs to which Cognito user, in one DynamoDB table.

``USER#<pool>#<sub>`` is a user's record, ``WHOP#<user id>`` the reservation of a Whop user for one ``sub``. Every read
is strongly consistent. Every write replaces the record that was read: its ``attempt``, an id that each write renews,
must still be there, so of two writers one loses and knows it. Counting a mint is no such write: it leaves the
``version`` and disturbs nobody.
"""

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from whop_chat.cognito.user import UserRef, is_sub
from whop_chat.runtime.aws import AwsError, aws_call, read_many, validating
from whop_chat.runtime.aws_session import AwsClients
from whop_chat.runtime.deadline import Deadline
from whop_chat.users.record import AlreadyReserved, QuotaExceeded, Record, StaleRecord, Status, new_version

_LINK_ATTEMPTS = 3
_COUNT_ATTEMPTS = 3
MINT_WINDOW_SECONDS = 60
# Of the table, not of the answer: what is filtered out is read too, and a scan has the time of one call.
SCANNED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class RecordPage:
    """Some of the users who have a record: each ``sub``, with the place in the table to go on behind it.

    ``next_place`` is where the following ones are, None after the last. There may be none here and more later.
    """

    keys: Mapping[str, str]
    next_key: str | None


@dataclass(frozen=True, slots=True)
class _Updated:
    record: Record | None
    written: bool


class UserRepository(Protocol):
    """The users table: `whop_chat.users.repository.DynamoDBUserRepository`, or one in memory where many runs are tried out."""

    def get(self, user: UserRef, *, deadline: Deadline) -> Record | None:
        """See `whop_chat.users.repository.DynamoDBUserRepository.get`."""

    def put(self, user: UserRef, record: Record, *, expected: Record | None, deadline: Deadline) -> Record:
        """See `whop_chat.users.repository.DynamoDBUserRepository.put`."""

    def link(self, user: UserRef, record: Record, *, expected: Record, deadline: Deadline) -> Record:
        """See `whop_chat.users.repository.DynamoDBUserRepository.link`."""

    def holder(self, whop_user_id: str, *, deadline: Deadline) -> UserRef | None:
        """See `whop_chat.users.repository.DynamoDBUserRepository.holder`."""

    def transfer(
        self,
        user: UserRef,
        record: Record,
        *,
        expected: Record,
        holder: UserRef,
        holder_record: Record | None,
        holder_after: Record | None,
        deadline: Deadline,
    ) -> Record:
        """See `whop_chat.users.repository.DynamoDBUserRepository.transfer`."""


class DynamoDBUserRepository:
    """The directory in DynamoDB.

    Every method raises `AwsError` and `DeadlineExceeded`; after either, a write may
    have landed.
    """

    def __init__(self, aws: AwsClients, table: str) -> None:
        self._aws = aws
        self._table = table

    def get(self, user: UserRef, *, deadline: Deadline) -> Record | None:
        """The user's record."""
        item = self._item(_user_key(user), deadline)
        with validating("GetItem"):
            return _record(item) if item else None

    def count_mint(self, user: UserRef, *, limit: int, now: int, deadline: Deadline) -> Record | None:
        """The user's record, with one mint more in the window of a minute; None if there is no record.

        One call for the first mint of a window, two for the others. A window begins with a mint, so a user can have
        twice ``limit`` in a minute that two windows share. A call that had no answer may have counted, and is repeated
        all the same. A window more than a minute in the future is the work of a wrong clock, and is not waited for.

        Raises `QuotaExceeded`.
        """
        counted = self._update(
            user,
            "SET mints_since = :now, mints = :one",
            "attribute_exists(pk) AND "
            "(attribute_not_exists(mints_since) OR mints_since <= :past OR mints_since > :future)",
            {":now": now, ":one": 1, ":past": now - MINT_WINDOW_SECONDS, ":future": now + MINT_WINDOW_SECONDS},
            deadline,
        )
        for attempts_left in reversed(range(_COUNT_ATTEMPTS)):
            record = counted.record
            if counted.written or record is None:
                return record
            if record.mints >= limit:
                raise QuotaExceeded(min(record.mints_since, now) + MINT_WINDOW_SECONDS)
            if not attempts_left:
                return record
            # Another mint may begin a window or take the last place in between; then its record decides.
            counted = self._update(
                user,
                "ADD mints :one",
                "mints_since = :seen AND mints < :limit",
                {":one": 1, ":seen": record.mints_since, ":limit": limit},
                deadline,
            )
        raise AssertionError("unreachable")

    def get_many(self, users: Collection[UserRef], *, deadline: Deadline) -> dict[UserRef, Record | None]:
        """The records of at most `whop_chat.runtime.dynamodb.MAX_READ` users.

        Who has no record is not among the answer's keys; None stands for a record that cannot be understood.
        """
        by_key = {_user_key(user)["pk"]: user for user in users}
        items = read_many(self._aws.dynamodb, self._table, list(by_key), deadline=deadline)
        with validating("BatchGetItem"):
            return {by_key[item["pk"]["S"]]: _record_if_readable(item) for item in items}

    def scan(self, pool_id: str, after: str | None, *, deadline: Deadline) -> "RecordPage":
        """Some of the users of a pool who have a record; ``after`` is the place to go on from.

        Left out are tombstones after which all is cleaned up, and what no user can be, written by hand. The order is
        the table's own, and a record that is written meanwhile may be missing.
        """
        prefix = _user_key(UserRef(pool_id=pool_id, sub="", username=""))["pk"]
        asked: dict[str, Any] = {
            "TableName": self._table,
            "ConsistentRead": True,
            "Limit": SCANNED_AT_ONCE,
            "Select": "SPECIFIC_ATTRIBUTES",
            "ProjectionExpression": "pk",
            "FilterExpression": "begins_with(pk, :prefix) AND (#status <> :deleted OR attribute_not_exists(#done))",
            "ExpressionAttributeNames": {"#status": "status", "#done": "cleaned_at"},
            "ExpressionAttributeValues": _serialized({":prefix": prefix, ":deleted": Status.DELETED.value}),
        }
        if after is not None:
            asked["ExclusiveStartKey"] = _serialized({"pk": after})
        with aws_call(deadline):
            answer: Any = self._aws.dynamodb.scan(**asked)
        with validating("Scan"):
            last = answer.get("LastEvaluatedKey")
            places = {item["pk"]["S"].removeprefix(prefix): item["pk"]["S"] for item in answer.get("Items", [])}
            return RecordPage(
                {sub: key for sub, key in places.items() if is_sub(sub)}, last["pk"]["S"] if last else None
            )

    def put(self, user: UserRef, record: Record, *, expected: Record | None, deadline: Deadline) -> Record:
        """Replace ``expected`` (None: no record) by ``record`` and return it with its new version; raises `StaleRecord`."""
        record = dataclasses.replace(record, version=new_version())
        try:
            with aws_call(deadline):
                self._aws.dynamodb.put_item(**self._put(_item(user, record), _still(expected)))
        except AwsError as error:
            # The answer may be about a repetition, or be missing: if the write arrived, it is ours that stands there.
            current = self.get(user, deadline=deadline)
            if current is None or current.version != record.version:
                if error.code != "ConditionalCheckFailedException":
                    raise
                raise StaleRecord from None
        return record

    def link(self, user: UserRef, record: Record, *, expected: Record, deadline: Deadline) -> Record:
        """Replace ``expected`` by the linked ``record`` and reserve its Whop user, both or neither.

        A Whop user that ``expected`` held before is released. Raises `StaleRecord`, and `AlreadyReserved` if another ``sub`` holds the
        Whop user. A cancelled transaction says little about why, so the items are read again and decide.
        """
        return self._link(user, record, expected, user, None, [], deadline)

    def transfer(
        self,
        user: UserRef,
        record: Record,
        *,
        expected: Record,
        holder: UserRef,
        holder_record: Record | None,
        holder_after: Record | None,
        deadline: Deadline,
    ) -> Record:
        """As `link`, for a Whop user that ``holder`` has, whose record ``holder_record`` becomes ``holder_after``: all or nothing.

        Without a record of the holder both are None. Raises `StaleRecord`, and `AlreadyReserved` if the reservation or the record of
        the holder is not what it was.
        """
        theirs = []
        if holder_after is not None:
            renewed = dataclasses.replace(holder_after, version=new_version())
            theirs.append({"Put": self._put(_item(holder, renewed), _still(holder_record))})
        return self._link(user, record, expected, holder, holder_record, theirs, deadline)

    def holder(self, whop_user_id: str, *, deadline: Deadline) -> UserRef | None:
        """Who holds the reservation of a Whop user. The table knows no user names; a ``sub`` stands for one."""
        item = self._item(_whop_key(whop_user_id), deadline)
        with validating("GetItem"):
            return UserRef(pool_id=item["pool"], sub=item["sub"], username=item["sub"]) if item else None

    def _link(
        self,
        user: UserRef,
        record: Record,
        expected: Record,
        holder: UserRef,
        holder_record: Record | None,
        more: list[dict[str, Any]],
        deadline: Deadline,
    ) -> Record:
        """Link in one transaction with ``more``; the Whop user is ``holder``'s or, if that is the user, nobody's."""
        if record.whop_user_id is None:
            raise ValueError("a linked record names its Whop user")
        record = dataclasses.replace(record, version=new_version())
        items: list[Any] = [*self._link_items(user, record, expected, holder), *more]
        for attempts_left in reversed(range(_LINK_ATTEMPTS)):
            try:
                with aws_call(deadline):
                    self._aws.dynamodb.transact_write_items(TransactItems=items, ClientRequestToken=record.version)
            except AwsError as error:
                if error.code != "TransactionCanceledException":
                    raise
                if self._has_landed(user, record, expected, deadline):
                    return record
                self._require_held(str(record.whop_user_id), user, holder, holder_record, deadline)
                if not attempts_left:
                    raise
            else:
                return record
        raise AssertionError("unreachable")

    def _link_items(self, user: UserRef, record: Record, expected: Record, holder: UserRef) -> list[dict[str, Any]]:
        reservation = {**_whop_key(record.whop_user_id), "pool": user.pool_id, "sub": user.sub}
        items: list[dict[str, Any]] = [
            {"Put": self._put(_item(user, record), _still(expected))},
            {"Put": self._put(reservation, _reserved_for(holder, or_nobody=holder == user))},
        ]
        if expected.whop_user_id not in (None, record.whop_user_id):
            released = {"TableName": self._table, "Key": _serialized(_whop_key(expected.whop_user_id))}
            items.append({"Delete": {**released, **_reserved_for(user, or_nobody=True)}})
        return items

    def _has_landed(self, user: UserRef, record: Record, expected: Record, deadline: Deadline) -> bool:
        """Whether the cancelled write is there all the same; raises `StaleRecord` if somebody else's is."""
        current = self.get(user, deadline=deadline)
        if current is not None and current.version == record.version:
            return True
        if current is None or current.version != expected.version:
            raise StaleRecord
        return False

    def _require_held(
        self, whop_user_id: str, user: UserRef, holder: UserRef, holder_record: Record | None, deadline: Deadline
    ) -> None:
        """Raise `AlreadyReserved` unless the cancelled write may be tried again as it is."""
        current = self.holder(whop_user_id, deadline=deadline)
        if current is None and holder == user:
            return
        if current is None or (current.pool_id, current.sub) != (holder.pool_id, holder.sub):
            raise AlreadyReserved
        if holder_record is not None:
            record = self.get(holder, deadline=deadline)
            if record is None or record.version != holder_record.version:
                raise AlreadyReserved

    def _update(
        self, user: UserRef, update: str, condition: str, values: Mapping[str, int], deadline: Deadline
    ) -> "_Updated":
        """The record after ``update``, or as it stands where ``condition`` is not met."""
        asked: dict[str, Any] = {
            "TableName": self._table,
            "Key": _serialized(_user_key(user)),
            "UpdateExpression": update,
            "ConditionExpression": condition,
            "ExpressionAttributeValues": _serialized(values),
            "ReturnValues": "ALL_NEW",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        item: Any
        try:
            with aws_call(deadline):
                item, written = self._aws.dynamodb.update_item(**asked).get("Attributes"), True
        except AwsError as error:
            if error.code != "ConditionalCheckFailedException":
                raise
            item, written = error.item, False
        with validating("UpdateItem"):
            return _Updated(_record(_values(item)) if item or written else None, written=written)

    def _item(self, key: Mapping[str, str], deadline: Deadline) -> dict[str, Any] | None:
        with aws_call(deadline):
            answer: Any = self._aws.dynamodb.get_item(TableName=self._table, Key=_serialized(key), ConsistentRead=True)
        with validating("GetItem"):
            item = answer.get("Item")
            return _values(item) if item else None

    def _put(self, item: Mapping[str, Any], condition: Mapping[str, Any]) -> dict[str, Any]:
        return {"TableName": self._table, "Item": _serialized(item), **condition}


def _user_key(user: UserRef) -> dict[str, str]:
    return {"pk": f"USER#{user.pool_id}#{user.sub}"}


def _whop_key(whop_user_id: str | None) -> dict[str, str]:
    return {"pk": f"WHOP#{whop_user_id}"}


def _still(expected: Record | None) -> dict[str, Any]:
    """The condition that the record is the one that was read."""
    if expected is None:
        return {"ConditionExpression": "attribute_not_exists(pk)"}
    return {
        "ConditionExpression": "#version = :expected",
        "ExpressionAttributeNames": {"#version": "version"},
        "ExpressionAttributeValues": _serialized({":expected": expected.version}),
    }


def _reserved_for(user: UserRef, *, or_nobody: bool) -> dict[str, Any]:
    """The condition that a reservation is ``user``'s."""
    theirs = "(#pool = :pool AND #sub = :sub)"
    return {
        "ConditionExpression": f"attribute_not_exists(pk) OR {theirs}" if or_nobody else theirs,
        "ExpressionAttributeNames": {"#pool": "pool", "#sub": "sub"},
        "ExpressionAttributeValues": _serialized({":pool": user.pool_id, ":sub": user.sub}),
    }


def _serialized(values: Mapping[str, str | int]) -> dict[str, Any]:
    """Texts and whole numbers are all that the table holds."""
    return {name: {"S": value} if isinstance(value, str) else {"N": str(value)} for name, value in values.items()}


def _value(typed: Mapping[str, str]) -> str | int | None:
    """A text or a whole number; None for what an operator's tool may have written instead."""
    match typed:
        case {"S": text}:
            return text
        case {"N": number}:
            return int(float(number))
    return None


def _values(item: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    return {name: _value(typed) for name, typed in item.items()}


def _item(user: UserRef, record: Record) -> dict[str, Any]:
    fields = {name: value for name, value in dataclasses.asdict(record).items() if value is not None}
    return {**_user_key(user), "pool": user.pool_id, "sub": user.sub, **fields, "status": record.status.value}


def _record_if_readable(item: Mapping[str, Mapping[str, str]]) -> Record | None:
    try:
        return _record(_values(item))
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        return None


def _record(item: Mapping[str, Any]) -> Record:
    """Raises `KeyError`, `TypeError` or `ValueError` for what is not a record."""
    types: dict[str, Any] = {field.name: field.type for field in dataclasses.fields(Record)}
    values: dict[str, Any] = {name: value for name, value in item.items() if name in types}
    values["status"] = Status(item["status"])
    if not all(isinstance(value, types[name]) for name, value in values.items()):
        raise TypeError("an attribute of another type")
    return Record(**values)
