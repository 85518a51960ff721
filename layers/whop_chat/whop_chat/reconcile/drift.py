"""How far a user's record is from what the pool says of them: one decision, without a call to anybody."""

from dataclasses import dataclass
from enum import StrEnum

from whop_chat.cognito.display_name import profile_digest
from whop_chat.cognito.pool import ListedUser, PoolStatus, PoolUser
from whop_chat.enrolment.email_policy import EmailPolicy
from whop_chat.users.lifecycle import Action, next_action
from whop_chat.users.record import Record, Status


class Drift(StrEnum):
    """Where a user of the pool stands with us. Each user is counted under exactly one of these."""

    IN_STEP = "in_step"
    MISSING = "missing"
    """No record: never enrolled."""
    UNFINISHED = "unfinished"
    """An enrolment that ended without an outcome, or a block whose reason may have passed."""
    STALE = "stale"
    """The name or the standing is not what the pool says."""
    IN_PROGRESS = "in_progress"
    BLOCKED = "blocked"
    """Cannot be enrolled as things stand."""
    DENIED = "denied"
    DISABLED = "disabled"
    """Disabled in the pool, and not able to chat here either."""
    INACTIVE = "inactive"
    """Not able to sign in as they are, so left alone."""
    DELETED = "deleted"
    """In the pool, but deleted here: an operator has to look at it."""
    UNREADABLE = "unreadable"
    """A record that cannot be understood: an operator has to look at it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``reason`` is given for `Drift.BLOCKED`."""

    drift: Drift
    reason: str | None = None


def drift(listed: ListedUser, record: Record | None, email_policy: EmailPolicy, now: float) -> Finding:
    """What became of a user of the pool; ``now`` is in epoch seconds."""
    status = record.status if record else None
    match next_action(status, listed.status):
        case Action.CLEAN_UP:
            return Finding(Drift.DELETED)
        case Action.DISABLE | Action.RESTORE:
            return Finding(Drift.STALE)
        case Action.LEAVE if status is Status.DENIED:
            return Finding(Drift.DENIED)
        case Action.LEAVE:
            return Finding(Drift.DISABLED if listed.status is PoolStatus.DISABLED else Drift.INACTIVE)
    return _enrolled(listed, record, email_policy, now)


def _enrolled(listed: ListedUser, record: Record | None, email_policy: EmailPolicy, now: float) -> Finding:
    """Of an active user who may chat here."""
    address = email_policy.email(listed.pool_user)
    if record is None:
        return Finding(Drift.MISSING) if address else Finding(Drift.BLOCKED, "no_verified_email")
    match record.status:
        case Status.LINKED:
            return Finding(Drift.IN_STEP if _has_their_name(listed.pool_user, record) else Drift.STALE)
        case Status.PENDING:
            return Finding(Drift.IN_PROGRESS if record.lease_until > now else Drift.UNFINISHED)
        case Status.BLOCKED:
            another_mode = record.email_mode != email_policy.mode
            due = another_mode or (record.retry_at is not None and record.retry_at <= now)
            return Finding(Drift.UNFINISHED) if due and address else Finding(Drift.BLOCKED, record.reason or "blocked")
    raise AssertionError("no sync enrols from here")


def _has_their_name(pool_user: PoolUser, record: Record) -> bool:
    """A user without a name keeps the one they have at Whop."""
    return pool_user.name is None or record.profile_digest == profile_digest(pool_user.sub, pool_user.name)
