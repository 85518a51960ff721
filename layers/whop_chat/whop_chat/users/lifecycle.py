"""What a sync does with a user: a table by record status and pool status, and the records that its actions write.

docs/architecture.md, "A user's life", has the table.
"""

import dataclasses
from enum import StrEnum

from whop_chat.cognito.pool import PoolStatus
from whop_chat.users.record import Record, Status

# A call whose outcome is unknown may still take effect at Whop. After this time it has, or it never will.
SETTLING_SECONDS = 900


class Action(StrEnum):
    """What a sync does."""

    LEAVE = "leave"
    ENROL = "enrol"
    """Link the user if they are not linked, and set their name in the company."""
    DISABLE = "disable"
    RESTORE = "restore"
    """Reinstate the user's former status, then as `ENROL`."""
    DELETE = "delete"
    """Replace the record by a tombstone, then as `CLEAN_UP`."""
    CLEAN_UP = "clean_up"
    """Clean up at Whop after a deleted user, or resume it."""


def next_action(status: Status | None, pool_status: PoolStatus) -> Action:
    """The action for a user with this record ``status`` (None: no record) and ``pool_status``.

    A user without a record leaves nothing to clean up. A user that cannot sign in for now is neither enrolled nor
    deleted. Only an operator takes a denial back. A user whose password is due is not enrolled for the first time: it
    takes a proof that they can sign in, and with it the caller passes `PoolStatus.ACTIVE`.
    """
    if status is Status.DELETED:
        return Action.CLEAN_UP
    match pool_status:
        case PoolStatus.GONE:
            return Action.LEAVE if status is None else Action.DELETE
        case PoolStatus.INACTIVE:
            return Action.LEAVE
        case PoolStatus.DISABLED:
            return Action.LEAVE if status in (None, Status.DENIED, Status.DISABLED) else Action.DISABLE
        case PoolStatus.PASSWORD_DUE if status is None:
            return Action.LEAVE
    match status:
        case Status.DENIED:
            return Action.LEAVE
        case Status.DISABLED:
            return Action.RESTORE
    return Action.ENROL


def suspend(record: Record, status: Status) -> Record:
    """``record`` with ``status``, which is denied or disabled. The rest stays, so that `reinstate` can undo it."""
    return dataclasses.replace(record, status=status, lease_until=0)


def reinstate(record: Record) -> Record:
    """A denied or disabled record with its former status: linked, blocked or pending."""
    if record.whop_user_id is not None:
        return dataclasses.replace(record, status=Status.LINKED)
    return dataclasses.replace(record, status=Status.PENDING if record.reason is None else Status.BLOCKED)


def tombstone(record: Record, now: int) -> Record:
    """The record of a deleted user: the generation and the ids at Whop, nothing derived from their attributes.

    ``now`` is in epoch seconds.
    """
    create_until = now + SETTLING_SECONDS if record.idempotency_key is not None else 0
    unsettled_until = max(create_until, record.name_unsettled_until)
    return Record(
        status=Status.DELETED,
        generation=max(record.generation, record.tried),
        whop_user_id=record.whop_user_id,
        whop_account_id=record.whop_account_id,
        own_whop_user_id=record.own_whop_user_id,
        picture_at=record.picture_at,
        retry_at=unsettled_until if unsettled_until > now else None,
    )


def before_naming(record: Record, now: int) -> Record:
    """``record`` while a call sets the name in the company: nobody knows which name Whop has.

    It is written ahead of the call, so that it is also true if the worker is killed. ``now`` is in epoch seconds.
    """
    return dataclasses.replace(record, profile_digest=None, name_unsettled_until=now + SETTLING_SECONDS)


def after_naming(record: Record, profile_digest: str, now: int, *, settled: bool) -> Record:
    """``record``, as it was before `before_naming`, once Whop has answered the call.

    ``settled`` is false if an earlier attempt of this call had no answer. Such an attempt may still take effect, as may
    the calls that ``record`` knows of. ``now`` is in epoch seconds.
    """
    known = record.name_unsettled_until if record.name_unsettled_until > now else 0
    return dataclasses.replace(
        record,
        profile_digest=profile_digest,
        name_unsettled_until=known if settled else now + SETTLING_SECONDS,
        synced_at=now,
    )


def without_profile(record: Record) -> Record:
    """``record`` whose Whop user has no name and no picture of ours yet."""
    return dataclasses.replace(
        record,
        profile_digest=None,
        picture_digest=None,
        picture_content=None,
        picture_file_id=None,
        picture_reason=None,
        picture_failures=0,
        picture_at=None,
    )


def next_generation(record: Record) -> Record:
    """``record`` with its next external id at Whop."""
    return dataclasses.replace(record, generation=record.generation + 1)


def unused_generations(record: Record) -> list[int]:
    """The generations that Whop was asked for and that the user has left. Whop may have an account for each.

    Such as one of a former address: the address changed before the answer to the create was known.
    """
    asked = range(1, max(record.generation, record.tried) + 1)
    return [generation for generation in asked if generation != record.generation]


def blocked(record: Record, reason: str, *, email_mode: str, retry_at: int | None) -> Record:
    """``record`` of a user that cannot be enrolled for ``reason``, under this address policy.

    The block is tried again from ``retry_at`` on, in epoch seconds. None leaves it to an operator.
    """
    return dataclasses.replace(
        record, status=Status.BLOCKED, reason=reason, email_mode=email_mode, retry_at=retry_at, lease_until=0
    )


def without_identity(record: Record, *, email_mode: str, blocked_digest: str) -> Record:
    """``record`` of a user whose Whop user was transferred to another user. A linked record becomes blocked.

    ``blocked_digest`` is the digest of the address that the Whop user belongs to.
    """
    unlinked = dataclasses.replace(
        without_profile(record), whop_user_id=None, whop_account_id=None, name_unsettled_until=0
    )
    if record.status is Status.DELETED:
        return unlinked
    unlinked = replacement_of(unlinked)
    if record.status is not Status.LINKED:
        return unlinked
    return dataclasses.replace(
        unlinked,
        status=Status.BLOCKED,
        reason="identity_conflict",
        conflict_whop_user_id=record.whop_user_id,
        blocked_digest=blocked_digest,
        email_mode=email_mode,
    )


def keep_link(link: Record, attempt: Record) -> Record:
    """``link``, which ``attempt`` failed to replace, with the create request whose outcome is still unknown.

    It also stores the address that the attempt was blocked under. Another address is a reason for another repair.
    """
    return dataclasses.replace(
        link,
        tried=max(link.tried, attempt.key_generation),
        blocked_digest=attempt.blocked_digest or link.blocked_digest,
        idempotency_key=attempt.idempotency_key,
        key_since=attempt.key_since,
        key_generation=attempt.key_generation,
        email_digest=attempt.email_digest,
    )


def replacement_of(link: Record) -> Record:
    """The record that an attempt to replace ``link`` starts from.

    It resumes the last create if its outcome is unknown. Otherwise it asks again for the generation that was tried
    last: one more generation each day would make one account a day. Under another address that is a 409, and then the
    next generation follows.
    """
    if link.idempotency_key is None:
        return dataclasses.replace(link, generation=max(link.generation + 1, link.tried))
    return dataclasses.replace(link, generation=link.key_generation)
