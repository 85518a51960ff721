"""How an enrolment ends: with a link, or why there is none."""

from dataclasses import dataclass

from whop_chat.cognito.pool import UserGone
from whop_chat.runtime.errors import Refused, Retryable

BLOCK_REASONS = frozenset({"no_verified_email", "identity_conflict", "identity_mismatch", "enrolment_rejected"})


@dataclass(frozen=True, slots=True)
class Link:
    """An enrolled user; ``created`` says that this call made the link."""

    whop_user_id: str
    created: bool = False


class EnrolmentInProgress(Retryable):
    """Another attempt for the same user is running.

    ``at_whop`` says that the attempt is a request of ours at Whop, so that its lease may not end soon.
    """

    retry_after = 1

    def __init__(self, *, at_whop: bool = False) -> None:
        super().__init__()
        self.at_whop = at_whop


class Denied(Refused):
    """An operator denied this user."""


class DeletedMeanwhile(UserGone):
    """The user was deleted during the enrolment; what it made at Whop has to be cleaned up."""


class Blocked(Refused):
    """The user cannot be enrolled as things stand; ``reason`` is recorded on the user, one of `BLOCK_REASONS`:

    ``no_verified_email``, ``identity_conflict`` (the Whop user belongs to another Cognito user), ``identity_mismatch``
    (Whop answered with an account that is not the one asked for), ``enrolment_rejected`` (Whop refused the address).
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
