"""The users table in memory, for runs by the thousand. It passes the same tests as the one in DynamoDB."""

import dataclasses
import itertools
from collections.abc import Collection, Hashable

from whop_chat.deadline import Deadline
from whop_chat.identity import UserRef
from whop_chat.users import Known, Lost, Record, Reserved, Status, new_attempt

_SCANNED_AT_ONCE = 500


class MemoryUsers:
    """A directory that lives as long as the object."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], Record] = {}
        self.reservations: dict[str, Hashable] = {}

    def get(self, user: UserRef, *, deadline: Deadline | None = None) -> Record | None:
        """See `whop_chat.users.Users.get`."""
        return self.records.get(_key(user))

    def get_many(self, users: Collection[UserRef], *, deadline: Deadline | None = None) -> dict[UserRef, Record | None]:
        """See `whop_chat.users.Users.get_many`."""
        return {user: self.records[_key(user)] for user in users if _key(user) in self.records}

    def known(self, pool_id: str, after: str | None, *, deadline: Deadline | None = None) -> Known:
        """See `whop_chat.users.Users.known`. A place is a number: records are never taken away, nor change places."""
        start = int(after or 0)
        places = {
            sub: str(number)
            for number, ((pool, sub), record) in enumerate(
                itertools.islice(self.records.items(), start, start + _SCANNED_AT_ONCE), start + 1
            )
            if pool == pool_id and record.status is not Status.DELETED
        }
        end = start + _SCANNED_AT_ONCE
        return Known(places, str(end) if end < len(self.records) else None)

    def put(self, user: UserRef, record: Record, *, seen: Record | None, deadline: Deadline | None = None) -> Record:
        """See `whop_chat.users.Users.put`."""
        self._require_still(user, seen)
        return self._written(user, record)

    def link(self, user: UserRef, record: Record, *, seen: Record, deadline: Deadline | None = None) -> Record:
        """See `whop_chat.users.Users.link`."""
        if record.whop_user_id is None:
            raise ValueError("a linked record names its Whop user")
        self._require_still(user, seen)
        if self.reservations.get(record.whop_user_id, _key(user)) != _key(user):
            raise Reserved
        if seen.whop_user_id is not None:
            self.reservations.pop(seen.whop_user_id, None)
        self.reservations[record.whop_user_id] = _key(user)
        return self._written(user, record)

    def _require_still(self, user: UserRef, seen: Record | None) -> None:
        current = self.records.get(_key(user))
        if (current and current.attempt) != (seen and seen.attempt):
            raise Lost

    def _written(self, user: UserRef, record: Record) -> Record:
        written = dataclasses.replace(record, attempt=new_attempt())
        self.records[_key(user)] = written
        return written


def _key(user: UserRef) -> tuple[str, str]:
    return user.pool_id, user.sub
