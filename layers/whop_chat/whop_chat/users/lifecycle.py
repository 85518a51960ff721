"""What becomes of a user's record when the pool has been asked about them: one table, and the records it leads to.

The table stands in docs/architecture.md, "A user's life".
"""

import dataclasses
from enum import StrEnum

from whop_chat.cognito.pool import Standing
from whop_chat.users.record import Record, Status

# A create whose outcome nobody knows may still take effect at Whop; after this it has, or never will.
SETTLING_SECONDS = 900


class Step(StrEnum):
    """What a sync does."""

    LEAVE = "leave"
    ENROL = "enrol"
    """Make sure that the user is linked, and that the name in the company is theirs."""
    DISABLE = "disable"
    RESTORE = "restore"
    """Let the user in as before, then as `ENROL`."""
    BURY = "bury"
    """Make the record a tombstone, then as `CLEAN`."""
    CLEAN = "clean"
    """Clean up at Whop after a user who is gone, or go on with it."""


def step(status: Status | None, standing: Standing) -> Step:
    """The step from a record in ``status`` (None: there is none) for a user of this ``standing``.

    A user without a record leaves nothing to clean up; one who cannot sign in for now is neither enrolled nor deleted;
    what an operator said is for an operator to take back.
    """
    if status is Status.DELETED:
        return Step.CLEAN
    match standing:
        case Standing.GONE:
            return Step.LEAVE if status is None else Step.BURY
        case Standing.INACTIVE:
            return Step.LEAVE
        case Standing.DISABLED:
            return Step.LEAVE if status in (None, Status.DENIED, Status.DISABLED) else Step.DISABLE
        case Standing.ACTIVE if status is Status.DENIED:
            return Step.LEAVE
        case Standing.ACTIVE if status is Status.DISABLED:
            return Step.RESTORE
        case Standing.ACTIVE:
            return Step.ENROL


def shut(record: Record, status: Status) -> Record:
    """``record``, denied or disabled: everything else stays, so that `restored` brings back what was there."""
    return dataclasses.replace(record, status=status, lease_until=0)


def restored(record: Record) -> Record:
    """What a denied or disabled record was before: linked, blocked, or on the way to a link."""
    if record.whop_user_id is not None:
        return dataclasses.replace(record, status=Status.LINKED)
    return dataclasses.replace(record, status=Status.CLAIMED if record.reason is None else Status.BLOCKED)


def tombstone(record: Record, now: int) -> Record:
    """What stays of a deleted user: the generation and the ids at Whop, nothing that was made of their attributes."""
    unsettled = record.idempotency_key is not None
    return Record(
        status=Status.DELETED,
        generation=max(record.generation, record.tried),
        whop_user_id=record.whop_user_id,
        whop_account_id=record.whop_account_id,
        retry_at=now + SETTLING_SECONDS if unsettled else None,
    )


def next_generation(record: Record) -> Record:
    """``record`` with another external id at Whop."""
    return dataclasses.replace(record, generation=record.generation + 1)


def blocked(record: Record, reason: str, *, email_mode: str, retry_at: int | None) -> Record:
    """``record`` of a user who cannot be enrolled for ``reason``, under this address policy.

    The block is looked at again at ``retry_at``, in epoch seconds; None leaves it to an operator.
    """
    return dataclasses.replace(
        record, status=Status.BLOCKED, reason=reason, email_mode=email_mode, retry_at=retry_at, lease_until=0
    )


def without_identity(record: Record, *, email_mode: str) -> Record:
    """``record`` of a user whose Whop user was transferred to another; a linked one is blocked for it."""
    left = dataclasses.replace(record, whop_user_id=None, whop_account_id=None, profile_digest=None)
    if record.status is Status.DELETED:
        return left
    left = replacement_of(left)
    if record.status is not Status.LINKED:
        return left
    return dataclasses.replace(left, status=Status.BLOCKED, reason="identity_conflict", email_mode=email_mode)


def keep_link(link: Record, attempt: Record) -> Record:
    """``link``, which an ``attempt`` did not replace, with the create whose outcome is still unknown."""
    return dataclasses.replace(
        link,
        tried=max(link.tried, attempt.generation),
        idempotency_key=attempt.idempotency_key,
        key_since=attempt.key_since,
        key_generation=attempt.key_generation,
        email_digest=attempt.email_digest,
    )


def replacement_of(link: Record) -> Record:
    """Where an attempt to replace ``link`` starts: with the last create, if its outcome is unknown.

    Otherwise it starts with the next generation, whatever was tried before. One more each day would make an account a
    day.
    """
    if link.idempotency_key is None:
        return next_generation(link)
    return dataclasses.replace(link, generation=link.key_generation)
