"""What a call to Whop raises if it does not succeed."""

from typing import Literal

from whop_chat.runtime.deadline import DeadlineExceeded
from whop_chat.runtime.errors import Retryable

Operation = Literal["mint_token", "create_account", "find_accounts", "delete_account", "update_user"]


class WhopError(Retryable):
    """A call to Whop that did not succeed.

    ``status`` is the HTTP status, None without one. ``code`` is Whop's own error code or type, ``param`` the field it
    is about, if it says. ``replayed`` says that the answer is an old one, repeated for its Idempotency-Key (Whop,
    "Idempotency"); ``repeated`` that the request had been sent before without an answer, so that a refusal may be about
    that first one.
    """

    def __init__(
        self,
        operation: Operation,
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
    """409: taken by something else, or the first request with this Idempotency-Key is still running."""


class WhopRateLimited(WhopError):
    """429, or a wait from before that is not over: ``retry_after`` is the wait in whole seconds."""

    def __init__(
        self, operation: Operation, retry_after: int, *, code: str | None = None, replayed: bool = False
    ) -> None:
        super().__init__(operation, status=429, code=code, replayed=replayed)
        self.retry_after = retry_after


class OutOfPermits(WhopRateLimited):
    """Not called, because the rate limiter has no permit left."""

    def __init__(self, operation: Operation, retry_after: int) -> None:
        super().__init__(operation, retry_after, code="out_of_permits")


class WhopUnavailable(WhopError):
    """No answer, a 5xx, or a 4xx that says the request was not processed: what the call did is unknown."""

    @property
    def is_silence(self) -> bool:
        """Whether Whop itself did not answer: a 4xx is an answer, and one repeated for its key says nothing."""
        return not self.replayed and (self.status is None or self.status >= 500)


class CircuitOpen(WhopUnavailable):
    """Not called, because the circuit is open. ``retry_after`` is the wait in whole seconds."""

    def __init__(self, operation: Operation, retry_after: int) -> None:
        super().__init__(operation, code="circuit_open")
        self.retry_after = retry_after


class WhopInvalidResponse(WhopError):
    """A 2xx that is not as Whop documents it. What the call did is unknown."""
