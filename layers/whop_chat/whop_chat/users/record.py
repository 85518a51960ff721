"""A user's record: their Whop user, their status, and the errors of writing it."""

import uuid
from dataclasses import dataclass, field
from enum import StrEnum

from whop_chat.runtime.errors import Retryable


class Status(StrEnum):
    """The status of a user."""

    PENDING = "pending"
    LINKED = "linked"
    BLOCKED = "blocked"
    DENIED = "denied"
    DISABLED = "disabled"
    DELETED = "deleted"


class StaleRecord(Retryable):
    """Another worker wrote the record after it was read."""

    retry_after = 1


class AlreadyReserved(Exception):
    """The Whop user belongs to another Cognito user."""


class QuotaExceeded(Exception):
    """The user has used up their mints. ``until`` is when they may mint again, in epoch seconds."""

    def __init__(self, until: int) -> None:
        super().__init__()
        self.until = until


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One user's record. All times are epoch seconds."""

    status: Status
    version: str = ""
    """Renewed by every write but `count_mint`, for optimistic locking."""
    generation: int = 1
    """Part of the external id at Whop. The next one begins when the account of this one cannot be used."""
    tried: int = 0
    """The last generation that a repair asked Whop for, even if it did not replace the link."""
    lease_until: int = 0
    """When the lease on a pending record ends."""
    idempotency_key: str | None = field(default=None, repr=False)
    """The key of a create whose outcome is unknown. None after any definitive answer."""
    key_since: int = 0
    """When ``idempotency_key`` was made."""
    key_generation: int = 0
    """The generation whose external id was sent with ``idempotency_key``."""
    email_digest: str | None = field(default=None, repr=False)
    """HMAC of the address that was sent with ``idempotency_key``."""
    reason: str | None = None
    """Why the user is blocked. On a tombstone: what Whop refused at the clean-up."""
    email_mode: str | None = None
    """The address policy under which the user was blocked."""
    blocked_digest: str | None = field(default=None, repr=False)
    """HMAC of the address that the user, or the repair of their link, was blocked under. Another address is tried at
    the next sync."""
    retry_at: int | None = None
    """When a block is tried again. None: an operator has to lift it. A tombstone's clean-up is not done before it."""
    whop_user_id: str | None = None
    whop_account_id: str | None = None
    own_whop_user_id: str | None = None
    """The Whop user that the user linked by signing in to Whop themselves. It is reserved for them too."""
    conflict_whop_user_id: str | None = None
    """The Whop user that another user holds, while blocked for ``identity_conflict``."""
    profile_digest: str | None = None
    name_unsettled_until: int = 0
    """Until when a call that set an older name may still take effect at Whop. The next sync sets the name again."""
    synced_at: int | None = None
    """When a sync last set the name in the company."""
    repairs: int = 0
    """How many repairs there were because Whop did not know the user. A day after ``repaired_at`` it starts at 0."""
    repaired_at: int = 0
    """When the last repair was."""
    cleaned_at: int | None = None
    """When the clean-up at Whop after a deleted user was completed."""
    picture_digest: str | None = field(default=None, repr=False)
    """Digest of the address whose picture was handled last, with whatever outcome."""
    picture_content: str | None = field(default=None, repr=False)
    """Digest of the file that Whop shows, or of the one that ``picture_file_id`` is."""
    picture_file_id: str | None = None
    """The file at Whop that is uploaded, and not the user's picture yet."""
    picture_reason: str | None = None
    """Why the last picture could not be used."""
    picture_failures: int = 0
    """How often in a row a picture could not be fetched for a reason that may be gone later."""
    picture_at: int | None = None
    """When a picture of the user was uploaded for the company. None: Whop shows none of ours, or the neutral one."""
    mints_since: int = 0
    """When the window of ``mints`` began."""
    mints: int = 0
    """How many tokens the user has minted in the window."""

    @property
    def linked_to(self) -> str | None:
        """The Whop user of a linked record. None for any other status."""
        return self.whop_user_id if self.status is Status.LINKED else None

    @property
    def needs_no_enrolment(self) -> bool:
        """Whether the user chats as their own Whop user, and was never enrolled. Enrolling sends them an e-mail."""
        return self.own_whop_user_id is not None and self.whop_user_id is None

    def has_name(self, profile_digest: str, now: float) -> bool:
        """Whether no call is due to give this user the name of ``profile_digest``. ``now`` is in epoch seconds.

        It is due again once no earlier call can set the name back any more.
        """
        return self.profile_digest == profile_digest and not 0 < self.name_unsettled_until <= now

    def has_picture(self, picture_digest: str | None) -> bool:
        """Whether no call is due to give this user the picture of ``picture_digest`` (None: no picture)."""
        if picture_digest is None:
            return self.picture_at is None
        return self.picture_digest == picture_digest and self.picture_file_id is None


def new_version() -> str:
    """A new, unique version."""
    return uuid.uuid4().hex
