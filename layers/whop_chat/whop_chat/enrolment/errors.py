"""The results of an enrolment: a link, or the reason why there is none."""

from dataclasses import dataclass

from whop_chat.cognito.pool import UserGone
from whop_chat.runtime.errors import Refused, Retryable

BLOCK_REASONS = frozenset(
    {"no_verified_email", "provider_not_trusted", "identity_conflict", "identity_mismatch", "enrolment_rejected"}
)


@dataclass(frozen=True, slots=True)
class Link:
    """An enrolled user. ``created`` is true if this call made the link."""

    whop_user_id: str
    created: bool = False


class EnrolmentInProgress(Retryable):
    """Another attempt for the same user is running.

    ``at_whop`` is true if a request of ours is running at Whop, so that polling the lease would not help soon.
    """

    retry_after = 1

    def __init__(self, *, at_whop: bool = False) -> None:
        super().__init__()
        self.at_whop = at_whop


class Denied(Refused):
    """An operator denied this user."""


class DeletedMeanwhile(UserGone):
    """The user was deleted during the enrolment. A sync has to clean up the account it made at Whop."""


class Blocked(Refused):
    """The user cannot be enrolled for now. ``reason``, one of `BLOCK_REASONS`, is stored in their record.

    The reasons: ``no_verified_email``, ``provider_not_trusted`` (the team does not trust every identity provider of the
    user), ``identity_conflict`` (the Whop user belongs to another Cognito user), ``identity_mismatch`` (Whop returned
    another account than the one requested), ``enrolment_rejected`` (Whop refused the address).
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
