"""The users table in memory, for runs by the thousand. It passes the same tests as the one in DynamoDB."""

import dataclasses
import itertools
from collections.abc import Collection

from whop_chat.cognito.user import UserRef
from whop_chat.runtime.deadline import Deadline
from whop_chat.users.record import Lost, MintsUsedUp, Record, Reserved, Status, new_attempt
from whop_chat.users.repository import MINT_WINDOW_SECONDS, SCANNED_AT_ONCE, Known

Key = tuple[str, str]
"""Pool and sub."""


class MemoryUsers:
    """A directory that lives as long as the object."""

    def __init__(self) -> None:
        self.records: dict[Key, Record] = {}
        self.reservations: dict[str, Key] = {}

    def get(self, user: UserRef, *, deadline: Deadline | None = None) -> Record | None:
        """See `whop_chat.users.repository.Users.get`."""
        return self.records.get(_key(user))

    def count_mint(self, user: UserRef, *, limit: int, now: int, deadline: Deadline | None = None) -> Record | None:
        """See `whop_chat.users.repository.Users.count_mint`."""
        record = self.records.get(_key(user))
        if record is None:
            return None
        if now - MINT_WINDOW_SECONDS < record.mints_since <= now + MINT_WINDOW_SECONDS:
            if record.mints >= limit:
                raise MintsUsedUp(min(record.mints_since, now) + MINT_WINDOW_SECONDS)
            counted = dataclasses.replace(record, mints=record.mints + 1)
        else:
            counted = dataclasses.replace(record, mints_since=now, mints=1)
        self.records[_key(user)] = counted
        return counted

    def get_many(self, users: Collection[UserRef], *, deadline: Deadline | None = None) -> dict[UserRef, Record | None]:
        """See `whop_chat.users.repository.Users.get_many`."""
        return {user: self.records[_key(user)] for user in users if _key(user) in self.records}

    def known(self, pool_id: str, after: str | None, *, deadline: Deadline | None = None) -> Known:
        """See `Users.known`. A place is a number: records are never taken away, nor change places."""
        start = int(after or 0)
        places = {
            sub: str(number)
            for number, ((pool, sub), record) in enumerate(
                itertools.islice(self.records.items(), start, start + SCANNED_AT_ONCE), start + 1
            )
            if pool == pool_id and not _done_with(record)
        }
        end = start + SCANNED_AT_ONCE
        return Known(places, str(end) if end < len(self.records) else None)

    def put(self, user: UserRef, record: Record, *, seen: Record | None, deadline: Deadline | None = None) -> Record:
        """See `whop_chat.users.repository.Users.put`."""
        self._require_still(user, seen)
        return self._written(user, record)

    def link(self, user: UserRef, record: Record, *, seen: Record, deadline: Deadline | None = None) -> Record:
        """See `whop_chat.users.repository.Users.link`."""
        if record.whop_user_id is None:
            raise ValueError("a linked record names its Whop user")
        self._require_still(user, seen)
        if self.reservations.get(record.whop_user_id, _key(user)) != _key(user):
            raise Reserved
        if seen.whop_user_id is not None:
            self.reservations.pop(seen.whop_user_id, None)
        self.reservations[record.whop_user_id] = _key(user)
        return self._written(user, record)

    def take(
        self,
        user: UserRef,
        record: Record,
        *,
        seen: Record,
        holder: UserRef,
        held: Record | None,
        left: Record | None,
        deadline: Deadline | None = None,
    ) -> Record:
        """See `whop_chat.users.repository.Users.take`."""
        self._require_still(user, seen)
        if self.reservations.get(str(record.whop_user_id)) != _key(holder):
            raise Reserved
        if left is not None:
            try:
                self._require_still(holder, held)
            except Lost:
                raise Reserved from None
            self._written(holder, left)
        self.reservations[str(record.whop_user_id)] = _key(user)
        return self.link(user, record, seen=seen)

    def holder(self, whop_user_id: str, *, deadline: Deadline | None = None) -> UserRef | None:
        """See `whop_chat.users.repository.Users.holder`."""
        held = self.reservations.get(whop_user_id)
        return UserRef(pool_id=held[0], sub=held[1], username=held[1]) if held else None

    def _require_still(self, user: UserRef, seen: Record | None) -> None:
        current = self.records.get(_key(user))
        if (current and current.attempt) != (seen and seen.attempt):
            raise Lost

    def _written(self, user: UserRef, record: Record) -> Record:
        written = dataclasses.replace(record, attempt=new_attempt())
        self.records[_key(user)] = written
        return written


def _key(user: UserRef) -> Key:
    return user.pool_id, user.sub


def _done_with(record: Record) -> bool:
    return record.status is Status.DELETED and record.cleaned_at is not None
