"""What the states of a user mean, in words for an operator. No text has a name or an address in it."""

from manage.console import timestamp
from whop_chat.cognito.pool import ListedUser, PoolStatus
from whop_chat.enrolment.email_policy import EmailPolicy
from whop_chat.reconcile.drift import Drift, drift
from whop_chat.users.lifecycle import Action, next_action
from whop_chat.users.record import Record, Status

_POOL_STATUS = {
    PoolStatus.ACTIVE: "the user is enabled and can sign in",
    PoolStatus.PASSWORD_DUE: "the user has a password to change or to reset, and may sign in without one",
    PoolStatus.DISABLED: "an administrator has disabled the user",
    PoolStatus.INACTIVE: "the user is unconfirmed, or cannot sign in for another reason",
    PoolStatus.GONE: "the pool has no such user",
}
_RECORD_STATUS = {
    Status.PENDING: "an enrolment has begun and has no outcome yet",
    Status.LINKED: "the user has a Whop user",
    Status.BLOCKED: "the user cannot be enrolled",
    Status.DENIED: "an operator has denied the user chat, until `allow`",
    Status.DISABLED: "the user was disabled in the pool, and gets no tokens",
    Status.DELETED: "the user was deleted; the tombstone keeps their Whop user from others",
}
_REASONS = {
    "no_verified_email": "the pool has no verified address of theirs",
    "provider_not_trusted": "TrustedProviders does not name their identity provider",
    "identity_conflict": "another user holds the Whop user of their address",
    "identity_mismatch": "Whop answered with an account that is not the one requested",
    "enrolment_rejected": "Whop refused their address",
}
_ACTIONS = {
    Action.LEAVE: "nothing",
    Action.ENROL: "enrol the user, then set their name at Whop",
    Action.DISABLE: "take their tokens away, because the pool has disabled them",
    Action.RESTORE: "give their access back, because the pool has enabled them again",
    Action.DELETE: "write a tombstone, then clean up at Whop",
    Action.CLEAN_UP: "clean up at Whop after the deleted user, unless that is done",
}


def pool_status(status: PoolStatus) -> str:
    """A pool status and what it means."""
    return f"{status}: {_POOL_STATUS[status]}"


def record_status(record: Record | None) -> str:
    """The status of a record, why it is so, and when that is tried again."""
    if record is None:
        return "no record: the user was never enrolled"
    parts = [f"{record.status}: {_RECORD_STATUS[record.status]}"]
    if record.reason:
        parts.append(f"{record.reason}: {_REASONS.get(record.reason, 'refused by Whop')}")
    if record.status is Status.BLOCKED:
        parts.append(_tried_again(record.retry_at))
    return "; ".join(parts)


def address_state(listed: ListedUser | None, email_policy: EmailPolicy) -> str:
    """What the address of a user is worth: whether there is one, whether it is verified, and who vouches for it."""
    if listed is None:
        return "unknown, because the pool has no such user"
    user = listed.pool_user
    state = "none" if user.email is None else "verified" if user.email_verified else "not verified"
    providers = ", ".join(name or "unreadable" for name in user.providers)
    parts = [state, f"by the identity provider {providers}" if providers else "by Cognito"]
    if refusal := email_policy.refusal(user):
        parts.append(f"not usable: {_REASONS[refusal]}")
    elif email_policy.mode == "alias":
        parts.append("not used: the stack enrols under an alias")
    return ", ".join(parts)


def next_step(listed: ListedUser | None, record: Record | None, email_policy: EmailPolicy, now: float) -> str:
    """What a sync would do for this user now. ``now`` is in epoch seconds."""
    status = record.status if record else None
    action = next_action(status, listed.status if listed else PoolStatus.GONE)
    if listed is None or action is not Action.ENROL:
        return _ACTIONS[action]
    found = drift(listed, record, email_policy, now)
    match found.drift:
        case Drift.IN_STEP:
            return "nothing: the user is linked, and Whop has their name"
        case Drift.STALE:
            return "set their name at Whop"
        case Drift.PICTURE:
            return "enqueue their picture"
        case Drift.IN_PROGRESS:
            return "wait: another attempt has the lease"
        case Drift.BLOCKED:
            return f"nothing: {_REASONS.get(found.reason or '', found.reason)}; {_tried_again(_retry_at(record))}"
    return _ACTIONS[action]


def _retry_at(record: Record | None) -> int | None:
    # Without a record a sync looks at the address each time.
    return record.retry_at if record else 0


def _tried_again(retry_at: int | None) -> str:
    if retry_at is None:
        return "tried again only after `sync USER`"
    if retry_at == 0:
        return "tried again by the next sync or token request"
    return f"tried again from {timestamp(retry_at)} on"
