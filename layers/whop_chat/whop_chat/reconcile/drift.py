"""How far a user's record is from what the pool says of them: one decision, without a call to anybody."""

from dataclasses import dataclass
from enum import StrEnum

from whop_chat.cognito.display_name import profile_digest
from whop_chat.cognito.pool import Listed, PoolUser, Standing
from whop_chat.enrolment.email_policy import Addresses
from whop_chat.users.lifecycle import Step, step
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


def drift(listed: Listed, record: Record | None, addresses: Addresses, now: float) -> Finding:
    """What became of a user of the pool; ``now`` is in epoch seconds."""
    status = record.status if record else None
    match step(status, listed.standing):
        case Step.CLEAN:
            return Finding(Drift.DELETED)
        case Step.DISABLE | Step.RESTORE:
            return Finding(Drift.STALE)
        case Step.LEAVE if status is Status.DENIED:
            return Finding(Drift.DENIED)
        case Step.LEAVE:
            return Finding(Drift.DISABLED if listed.standing is Standing.DISABLED else Drift.INACTIVE)
    return _enrolled(listed, record, addresses, now)


def _enrolled(listed: Listed, record: Record | None, addresses: Addresses, now: float) -> Finding:
    """Of an active user who may chat here."""
    address = addresses.address(listed.person)
    if record is None:
        return Finding(Drift.MISSING) if address else Finding(Drift.BLOCKED, "no_verified_email")
    match record.status:
        case Status.LINKED:
            return Finding(Drift.IN_STEP if _has_their_name(listed.person, record) else Drift.STALE)
        case Status.CLAIMED:
            return Finding(Drift.IN_PROGRESS if record.lease_until > now else Drift.UNFINISHED)
        case Status.BLOCKED:
            another_mode = record.email_mode != addresses.mode
            due = another_mode or (record.retry_at is not None and record.retry_at <= now)
            return Finding(Drift.UNFINISHED) if due and address else Finding(Drift.BLOCKED, record.reason or "blocked")
    raise AssertionError("no sync enrols from here")


def _has_their_name(person: PoolUser, record: Record) -> bool:
    """A user without a name keeps the one they have at Whop."""
    return person.name is None or record.profile_digest == profile_digest(person.sub, person.name)
