"""The difference between a user's record and the pool: one decision, without any call."""

from dataclasses import dataclass
from enum import StrEnum

from whop_chat.cognito.display_name import profile_digest
from whop_chat.cognito.pool import ListedUser, PoolStatus, PoolUser
from whop_chat.enrolment.email_policy import EmailPolicy, is_another_address
from whop_chat.users.lifecycle import Action, next_action
from whop_chat.users.record import Record, Status


class Drift(StrEnum):
    """The state of a pool user's record. Each user is counted under exactly one of these."""

    IN_STEP = "in_step"
    MISSING = "missing"
    """The user has no record, so was never enrolled."""
    PASSWORDLESS = "passwordless"
    """As `MISSING`, with a password to change or to reset. Only ``include_passwordless`` enrols them."""
    UNFINISHED = "unfinished"
    """An enrolment ended without an outcome, or a block may be tried again."""
    STALE = "stale"
    """The name or the status is not the one in the pool."""
    PICTURE = "picture"
    """The picture is not the one in the pool, or was not looked at yet. Everything else is in step."""
    IN_PROGRESS = "in_progress"
    BLOCKED = "blocked"
    """The user cannot be enrolled for now."""
    DENIED = "denied"
    DISABLED = "disabled"
    """The user is disabled in the pool, and cannot chat either."""
    INACTIVE = "inactive"
    """The user cannot sign in for now, so a sync leaves them as they are."""
    DELETED = "deleted"
    """The user is in the pool, but has a tombstone. An operator has to look at it."""
    UNREADABLE = "unreadable"
    """The record cannot be read. An operator has to look at it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The drift of one user. ``reason`` is set for `Drift.BLOCKED`."""

    drift: Drift
    reason: str | None = None


def drift(listed: ListedUser, record: Record | None, email_policy: EmailPolicy, now: float) -> Finding:
    """The drift of a listed user with this ``record``. ``now`` is in epoch seconds."""
    status = record.status if record else None
    match next_action(status, listed.status):
        case Action.CLEAN_UP:
            return Finding(Drift.DELETED)
        case Action.DISABLE | Action.RESTORE:
            return Finding(Drift.STALE)
        case Action.LEAVE if status is Status.DENIED:
            return Finding(Drift.DENIED)
        case Action.LEAVE if listed.status is PoolStatus.PASSWORD_DUE:
            return _never_enrolled(listed, Drift.PASSWORDLESS, email_policy)
        case Action.LEAVE:
            return Finding(Drift.DISABLED if listed.status is PoolStatus.DISABLED else Drift.INACTIVE)
    return _enrolled(listed, record, email_policy, now)


def _enrolled(listed: ListedUser, record: Record | None, email_policy: EmailPolicy, now: float) -> Finding:
    """The drift of a user that a sync would enrol."""
    if record is None:
        return _never_enrolled(listed, Drift.MISSING, email_policy)
    if record.needs_no_enrolment:
        return Finding(Drift.IN_STEP)
    refusal = email_policy.refusal(listed.pool_user)
    match record.status:
        case Status.LINKED:
            return Finding(_profile_drift(listed.pool_user, record, now))
        case Status.PENDING:
            return Finding(Drift.IN_PROGRESS if record.lease_until > now else Drift.UNFINISHED)
        case Status.BLOCKED:
            mode_changed = record.email_mode != email_policy.mode
            address = email_policy.email(listed.pool_user)
            address_changed = is_another_address(record.blocked_digest, listed.user.sub, address)
            due = mode_changed or address_changed or (record.retry_at is not None and record.retry_at <= now)
            if not due:
                return Finding(Drift.BLOCKED, record.reason or "blocked")
            return Finding(Drift.BLOCKED, refusal) if refusal else Finding(Drift.UNFINISHED)
    raise AssertionError("no sync enrols from here")


def _never_enrolled(listed: ListedUser, enrollable: Drift, email_policy: EmailPolicy) -> Finding:
    """``enrollable``, unless the user has no address to enrol under."""
    refusal = email_policy.refusal(listed.pool_user)
    return Finding(Drift.BLOCKED, refusal) if refusal else Finding(enrollable)


def _profile_drift(pool_user: PoolUser, record: Record, now: float) -> Drift:
    """Whether Whop has the user's name and picture. A user without a name keeps the one at Whop."""
    name = pool_user.name
    if name is not None and not record.has_name(profile_digest(pool_user.sub, name), now):
        return Drift.STALE
    if pool_user.picture is not None and not record.has_picture(pool_user.picture_digest):
        return Drift.PICTURE
    return Drift.IN_STEP
