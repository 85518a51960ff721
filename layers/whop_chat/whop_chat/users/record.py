"""A user's record: who they are at Whop, and where they stand."""

import uuid
from dataclasses import dataclass, field
from enum import StrEnum

from whop_chat.runtime.errors import Retryable


class Status(StrEnum):
    """Where a user stands."""

    CLAIMED = "claimed"
    LINKED = "linked"
    BLOCKED = "blocked"
    DENIED = "denied"
    DISABLED = "disabled"
    DELETED = "deleted"


class Lost(Retryable):
    """The record is no longer the one that was read: another worker wrote it."""

    retry_after = 1


class Reserved(Exception):
    """The Whop user belongs to another Cognito user."""


class MintsUsedUp(Exception):
    """The user has minted as often as they may; ``until`` is when they may again, in epoch seconds."""

    def __init__(self, until: int) -> None:
        super().__init__()
        self.until = until


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One user's record. All times are epoch seconds."""

    status: Status
    attempt: str = ""
    generation: int = 1
    """Part of the external id at Whop; a new one starts when the account of the old one cannot be used."""
    tried: int = 0
    """The last generation that a repair has asked Whop for, whether or not it replaced the link."""
    lease_until: int = 0
    """A claim is held until then."""
    idempotency_key: str | None = field(default=None, repr=False)
    """Of a create whose outcome is unknown; None after any definitive answer."""
    key_since: int = 0
    key_generation: int = 0
    """The one whose external id was sent with ``idempotency_key``."""
    email_digest: str | None = field(default=None, repr=False)
    """HMAC of the address that was sent with ``idempotency_key``."""
    reason: str | None = None
    """Why the user is blocked; on a tombstone, what Whop refused at the clean-up."""
    email_mode: str | None = None
    """The address policy under which the user was blocked."""
    retry_at: int | None = None
    """When a block is looked at again; None for one that an operator has to lift. Of a tombstone: not done before."""
    whop_user_id: str | None = None
    whop_account_id: str | None = None
    profile_digest: str | None = None
    synced_at: int | None = None
    repairs: int = 0
    """How often the link has been resolved again because Whop did not know the user, since ``repaired_at``."""
    repaired_at: int = 0
    cleaned_at: int | None = None
    """When the clean-up at Whop after a deleted user was done."""
    mints_since: int = 0
    """When the window began in which the user's mints are counted."""
    mints: int = 0
    """How many they were."""

    @property
    def linked_to(self) -> str | None:
        """The Whop user of a linked user, None for any other."""
        return self.whop_user_id if self.status is Status.LINKED else None


def new_attempt() -> str:
    """A fresh attempt id."""
    return uuid.uuid4().hex
