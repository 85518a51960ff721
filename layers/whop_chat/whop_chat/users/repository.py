"""The users table: which Whop user belongs to which Cognito user, in one DynamoDB table.

``USER#<pool>#<sub>`` is a user's record. ``WHOP#<user id>`` reserves a Whop user for one ``sub``. Every read is
strongly consistent. Every write uses optimistic locking: it renews the record's ``version``, and it fails if the
``version`` is no longer the one that was read. So one of two writers loses and gets `StaleRecord`. Only `count_mint`
keeps the ``version``, so it disturbs no other writer.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
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
# This many items are read, so fewer are returned: the filter comes after. A scan must end within one call's time.
SCANNED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class RecordPage:
    """Some of the users that have a record.

    ``keys`` maps each ``sub`` to its table key, after which another scan can start. ``next_key`` starts the next page,
    and is None after the last one. A page may be empty and not be the last.
    """

    keys: Mapping[str, str]
    next_key: str | None


@dataclass(frozen=True, slots=True)
class _Updated:
    record: Record | None
    written: bool


class UserRepository(Protocol):
    """The users table: `whop_chat.users.repository.DynamoDBUserRepository`, or one in memory for tests of many runs."""

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
    """The users table in DynamoDB.

    Every method raises `AwsError` and `DeadlineExceeded`. After either, the write may have taken effect.
    """

    def __init__(self, aws: AwsClients, table: str) -> None:
        self._aws = aws
        self._table = table

    def get(self, user: UserRef, *, deadline: Deadline) -> Record | None:
        """The user's record, or None."""
        item = self._item(_user_key(user), deadline)
        with validating("GetItem"):
            return _record(item) if item else None

    def count_mint(self, user: UserRef, *, limit: int, now: int, deadline: Deadline) -> Record | None:
        """Count one mint and return the user's record. Returns None, without counting, if there is no record.

        ``limit`` is the number of mints in a window of `MINT_WINDOW_SECONDS`; ``now`` is in epoch seconds. The first
        mint of a window takes one call, the others two. A window begins with a mint, so a minute that two windows share
        can have twice ``limit``. A call without an answer is repeated, although it may have counted. A window that
        begins more than a minute in the future comes from a wrong clock, so a new window replaces it.

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
            # A concurrent mint may begin a new window or use up the limit. The loop then decides by its record.
            counted = self._update(
                user,
                "ADD mints :one",
                "mints_since = :expected AND mints < :limit",
                {":one": 1, ":expected": record.mints_since, ":limit": limit},
                deadline,
            )
        raise AssertionError("unreachable")

    def get_many(self, users: Collection[UserRef], *, deadline: Deadline) -> dict[UserRef, Record | None]:
        """The records of at most `whop_chat.runtime.aws.MAX_READ` users.

        Users without a record are not in the answer. None stands for a record that cannot be read.
        """
        by_key = {_user_key(user)["pk"]: user for user in users}
        items = read_many(self._aws.dynamodb, self._table, list(by_key), deadline=deadline)
        with validating("BatchGetItem"):
            return {by_key[item["pk"]["S"]]: _record_if_readable(item) for item in items}

    def scan(self, pool_id: str, after: str | None, *, deadline: Deadline) -> "RecordPage":
        """One page of the users of a pool that have a record. ``after`` is the table key to resume after.

        The page leaves out tombstones whose clean-up is completed, and hand-written items without a valid ``sub``. The
        order is the table's own. A record that is written during the scan may be missing.
        """
        prefix = _user_key(UserRef(pool_id=pool_id, sub="", username=""))["pk"]
        request: dict[str, Any] = {
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
            request["ExclusiveStartKey"] = _serialized({"pk": after})
        with aws_call(deadline):
            answer: Any = self._aws.dynamodb.scan(**request)
        with validating("Scan"):
            last = answer.get("LastEvaluatedKey")
            keys = {item["pk"]["S"].removeprefix(prefix): item["pk"]["S"] for item in answer.get("Items", [])}
            return RecordPage({sub: key for sub, key in keys.items() if is_sub(sub)}, last["pk"]["S"] if last else None)

    def put(self, user: UserRef, record: Record, *, expected: Record | None, deadline: Deadline) -> Record:
        """Replace ``expected`` (None: no record) by ``record``, and return it with its new version.

        Raises `StaleRecord` if another worker wrote the record after ``expected``.
        """
        record = dataclasses.replace(record, version=new_version())
        try:
            with aws_call(deadline):
                self._aws.dynamodb.put_item(**self._put(_item(user, record), _is_unchanged(expected)))
        except AwsError as error:
            # The answer may be about a retry, or be missing. If the first write arrived, the table has our version.
            current = self.get(user, deadline=deadline)
            if current is None or current.version != record.version:
                if error.code != "ConditionalCheckFailedException":
                    raise
                raise StaleRecord from None
        return record

    def link(self, user: UserRef, record: Record, *, expected: Record, deadline: Deadline) -> Record:
        """Replace ``expected`` by the linked ``record`` and reserve its Whop user, in one transaction.

        The transaction releases the former Whop user of ``expected``. After a cancelled transaction the items are read
        again, because its answer says little about the reason.

        Raises `StaleRecord`, and `AlreadyReserved` if another ``sub`` has the Whop user.
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
        """As `link`, for a Whop user that ``holder`` has: the transaction transfers it to ``user``.

        It also replaces the holder's ``holder_record`` by ``holder_after``. Both are None if the holder has no record.

        Raises `StaleRecord`, and `AlreadyReserved` if the reservation or the holder's record has changed.
        """
        holder_items = []
        if holder_after is not None:
            renewed = dataclasses.replace(holder_after, version=new_version())
            holder_items.append({"Put": self._put(_item(holder, renewed), _is_unchanged(holder_record))})
        return self._link(user, record, expected, holder, holder_record, holder_items, deadline)

    def put_own(
        self,
        user: UserRef,
        record: Record,
        *,
        expected: Record | None,
        items: Sequence[Mapping[str, Any]],
        deadline: Deadline,
    ) -> Record:
        """As `put`, in one transaction with ``items`` and the reservation of the record's ``own_whop_user_id``.

        The transaction releases the former one. Raises `StaleRecord`, also if a condition of ``items`` failed, and
        `AlreadyReserved` if another ``sub`` has the Whop user.
        """
        record = dataclasses.replace(record, version=new_version())
        own, former = record.own_whop_user_id, expected.own_whop_user_id if expected else None
        writes: list[Any] = [{"Put": self._put(_item(user, record), _is_unchanged(expected))}, *items]
        if own is not None:
            writes.append({"Put": self._reservation(own, user, user)})
        if former not in (None, own, record.whop_user_id):
            writes.append({"Delete": self._release(former, user)})
        try:
            with aws_call(deadline):
                self._aws.dynamodb.transact_write_items(TransactItems=writes, ClientRequestToken=record.version)
        except AwsError as error:
            current = self.get(user, deadline=deadline)
            if current is not None and current.version == record.version:
                return record
            if error.code != "TransactionCanceledException":
                raise
            if own is not None and self.holder(own, deadline=deadline) not in (None, _named_by_sub(user)):
                raise AlreadyReserved from None
            raise StaleRecord from None
        return record

    def holder(self, whop_user_id: str, *, deadline: Deadline) -> UserRef | None:
        """The user that has the Whop user, or None. The table has no user names, so the ``sub`` stands for it."""
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
        """Link in one transaction, together with ``more``. The reservation must be ``holder``'s.

        If ``holder`` is the user, it may also be free.
        """
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
                if self._has_arrived(user, record, expected, deadline):
                    return record
                self._require_unchanged_holder(str(record.whop_user_id), user, holder, holder_record, deadline)
                if not attempts_left:
                    raise
            else:
                return record
        raise AssertionError("unreachable")

    def _link_items(self, user: UserRef, record: Record, expected: Record, holder: UserRef) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = [
            {"Put": self._put(_item(user, record), _is_unchanged(expected))},
            {"Put": self._reservation(record.whop_user_id, user, holder)},
        ]
        if expected.whop_user_id not in (None, record.whop_user_id, record.own_whop_user_id):
            items.append({"Delete": self._release(expected.whop_user_id, user)})
        return items

    def _reservation(self, whop_user_id: str | None, user: UserRef, holder: UserRef) -> dict[str, Any]:
        """The write that reserves a Whop user of ``holder`` for ``user``."""
        reservation = {**_whop_key(whop_user_id), "pool": user.pool_id, "sub": user.sub}
        return self._put(reservation, _reserved_for(holder, or_nobody=holder == user))

    def _release(self, whop_user_id: str | None, user: UserRef) -> dict[str, Any]:
        """The write that releases a Whop user of ``user``."""
        key = {"TableName": self._table, "Key": _serialized(_whop_key(whop_user_id))}
        return {**key, **_reserved_for(user, or_nobody=True)}

    def _has_arrived(self, user: UserRef, record: Record, expected: Record, deadline: Deadline) -> bool:
        """Whether the table has the cancelled write after all. Raises `StaleRecord` for another worker's write."""
        current = self.get(user, deadline=deadline)
        if current is not None and current.version == record.version:
            return True
        if current is None or current.version != expected.version:
            raise StaleRecord
        return False

    def _require_unchanged_holder(
        self, whop_user_id: str, user: UserRef, holder: UserRef, holder_record: Record | None, deadline: Deadline
    ) -> None:
        """Raise `AlreadyReserved` unless the cancelled transaction can be retried unchanged."""
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
        """The record after ``update``, or the unchanged record if ``condition`` is not met."""
        request: dict[str, Any] = {
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
                item, written = self._aws.dynamodb.update_item(**request).get("Attributes"), True
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


def _named_by_sub(user: UserRef) -> UserRef:
    return UserRef(pool_id=user.pool_id, sub=user.sub, username=user.sub)


def _user_key(user: UserRef) -> dict[str, str]:
    return {"pk": f"USER#{user.pool_id}#{user.sub}"}


def _whop_key(whop_user_id: str | None) -> dict[str, str]:
    return {"pk": f"WHOP#{whop_user_id}"}


def _is_unchanged(expected: Record | None) -> dict[str, Any]:
    """The condition that no other worker wrote the record after ``expected`` was read (None: there was no record)."""
    if expected is None:
        return {"ConditionExpression": "attribute_not_exists(pk)"}
    return {
        "ConditionExpression": "#version = :expected",
        "ExpressionAttributeNames": {"#version": "version"},
        "ExpressionAttributeValues": _serialized({":expected": expected.version}),
    }


def _reserved_for(user: UserRef, *, or_nobody: bool) -> dict[str, Any]:
    """The condition that a reservation is ``user``'s, or also that there is none."""
    theirs = "(#pool = :pool AND #sub = :sub)"
    return {
        "ConditionExpression": f"attribute_not_exists(pk) OR {theirs}" if or_nobody else theirs,
        "ExpressionAttributeNames": {"#pool": "pool", "#sub": "sub"},
        "ExpressionAttributeValues": _serialized({":pool": user.pool_id, ":sub": user.sub}),
    }


def _serialized(values: Mapping[str, str | int]) -> dict[str, Any]:
    """``values`` in DynamoDB's types. The table has texts and whole numbers only."""
    return {name: {"S": value} if isinstance(value, str) else {"N": str(value)} for name, value in values.items()}


def _value(typed: Mapping[str, str]) -> str | int | None:
    """A text or a whole number. None for any other type, which an operator's tool may have written."""
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
    """The record in ``item``. Raises `KeyError`, `TypeError` or `ValueError` if it is not a record."""
    types: dict[str, Any] = {field.name: field.type for field in dataclasses.fields(Record)}
    values: dict[str, Any] = {name: value for name, value in item.items() if name in types}
    values["status"] = Status(item["status"])
    if not all(isinstance(value, types[name]) for name, value in values.items()):
        raise TypeError("an attribute of another type")
    return Record(**values)
