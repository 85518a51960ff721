"""What a call to Whop raises if it does not succeed."""

from typing import Literal

from whop_chat.runtime.deadline import DeadlineExceeded
from whop_chat.runtime.errors import Retryable

Operation = Literal[
    "mint_token",
    "create_account",
    "find_accounts",
    "delete_account",
    "update_user",
    "create_file",
    "upload_file",
    "find_file",
]
OAuthOperation = Literal["oauth_token", "oauth_revoke", "oauth_userinfo", "oauth_keys"]


class WhopError(Retryable):
    """A call to Whop that did not succeed.

    ``status`` is the HTTP status, or None without an answer. ``code`` is Whop's own error code or type. ``param`` is
    the field that Whop names, if any. ``replayed`` is true for an old answer that Whop repeats for its Idempotency-Key
    (Whop, "Idempotency"). ``repeated`` is true if the request was sent before without an answer. A refusal may then be
    an effect of that first request.
    """

    def __init__(
        self,
        operation: Operation | OAuthOperation,
        *,
        status: int | None = None,
        code: str | None = None,
        param: str | None = None,
        replayed: bool = False,
    ) -> None:
        super().__init__(f"{operation}: {status or 'no answer'}{f' {code}' if code else ''}")
        self.operation = operation
        self.status = status
        self.code = code
        self.param = param
        self.replayed = replayed
        self.repeated = False

    @property
    def may_take_effect(self) -> bool:
        """Whether the request, or its first attempt, may have taken effect or may still do so."""
        return self.repeated


class WhopRefused(WhopError):
    """A definite 4xx. Whop would refuse the same request again."""


class WhopUnauthorized(WhopRefused):
    """401: Whop does not accept the API key, and the secret has no newer one."""


class NoTimeForAnotherKey(DeadlineExceeded):
    """Whop did not accept the API key, and no time was left to read the secret again."""


class WhopForbidden(WhopRefused):
    """403: the API key lacks a permission."""


class WhopNotFound(WhopRefused):
    """404."""


class WhopConflict(WhopRefused):
    """409: another object has the value, or the first request with this Idempotency-Key is still running."""


class WhopRateLimited(WhopError):
    """429, or an earlier rate limit is not over. ``retry_after`` is the wait in whole seconds."""

    def __init__(
        self,
        operation: Operation | OAuthOperation,
        retry_after: int,
        *,
        code: str | None = None,
        replayed: bool = False,
    ) -> None:
        super().__init__(operation, status=429, code=code, replayed=replayed)
        self.retry_after = retry_after


class OutOfPermits(WhopRateLimited):
    """Not called, because the rate limiter has no permit left."""

    def __init__(self, operation: Operation, retry_after: int) -> None:
        super().__init__(operation, retry_after, code="out_of_permits")


class WhopUnavailable(WhopError):
    """No answer, a 5xx, or a 4xx that says the request was not processed. What the call did is unknown."""

    @property
    def may_take_effect(self) -> bool:
        """See `WhopError.may_take_effect`."""
        return True

    @property
    def is_silence(self) -> bool:
        """Whether this is a failure of Whop now. A 4xx is an answer, and a replayed answer says nothing about now."""
        return not self.replayed and (self.status is None or self.status >= 500)


class CircuitOpen(WhopUnavailable):
    """Not called, because the circuit is open. ``retry_after`` is the wait in whole seconds."""

    def __init__(self, operation: Operation, retry_after: int) -> None:
        super().__init__(operation, code="circuit_open")
        self.retry_after = retry_after

    @property
    def may_take_effect(self) -> bool:
        """See `WhopError.may_take_effect`."""
        return self.repeated


class WhopInvalidResponse(WhopError):
    """A 2xx that is not as Whop documents it. What the call did is unknown."""

    @property
    def may_take_effect(self) -> bool:
        """See `WhopError.may_take_effect`."""
        return True
