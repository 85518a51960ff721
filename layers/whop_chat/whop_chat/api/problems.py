"""Errors as a client sees them: RFC 9457 problem details with a stable ``code``.

The status tells a client what to do: 401 sign in again, 403 not allowed, 429 and 503 wait as long as ``Retry-After``
says, anything else broken. Details are fixed texts. The log has the actual error.
"""

import http
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from whop_chat.api.request import AmbiguousToken, BadRequest, BodyTooLarge, MissingToken, UnsupportedMediaType
from whop_chat.cognito.pool import UserDisabled, UserGone, UserInactive
from whop_chat.cognito.verifier import KeysUnavailable, TokenNotAllowed, TokenRefused
from whop_chat.enrolment.errors import BLOCK_REASONS, Blocked, Denied, EnrolmentInProgress
from whop_chat.minting.features import FeatureNotAllowed, GroupDenied, UnknownFeature
from whop_chat.minting.user_quota import TooManyRequests
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import DeadlineExceeded
from whop_chat.runtime.telemetry import Telemetry
from whop_chat.whop.api_key import NotConfigured
from whop_chat.whop.errors import (
    WhopForbidden,
    WhopInvalidResponse,
    WhopRateLimited,
    WhopRefused,
    WhopUnauthorized,
    WhopUnavailable,
)


@dataclass(frozen=True, slots=True)
class Kind:
    """One ``code``: its HTTP status, its detail, and the usual wait in seconds if a retry can help."""

    status: int
    detail: str
    retry_after: int | None = None


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "invalid_request": Kind(400, "The request is not one this endpoint takes."),
        "missing_token": Kind(401, "Send the user's Cognito token as a bearer token."),
        "invalid_token": Kind(401, "The token is not accepted. Sign in again."),
        "insufficient_scope": Kind(403, "The token lacks a scope that this endpoint asks for."),
        "feature_not_allowed": Kind(403, "A chat feature was asked for that is not enabled here."),
        "user_gone": Kind(403, "This user does not exist any more, or cannot sign in."),
        "user_disabled": Kind(403, "This user is disabled."),
        "group_denied": Kind(403, "This user's group may not use the chat."),
        "user_denied": Kind(403, "This user may not use the chat."),
        "no_verified_email": Kind(403, "The user has to verify their e-mail address first."),
        "provider_not_trusted": Kind(403, "Users of this sign-in provider may not use the chat."),
        "identity_conflict": Kind(403, "The user's address or Whop account belongs to another chat user."),
        "identity_mismatch": Kind(403, "The chat account found for this user is not theirs."),
        "enrolment_rejected": Kind(403, "The chat service does not accept this user's e-mail address."),
        "enrolment_blocked": Kind(403, "The user cannot be given a chat account."),
        "link_required": Kind(403, "The user has to link their Whop account first."),
        "link_expired": Kind(403, "Whop has ended the user's sign-in. Link the account again, or unlink it."),
        "link_failed": Kind(403, "The Whop account was not linked. Begin again."),
        "not_found": Kind(404, "There is nothing here."),
        "method_not_allowed": Kind(405, "A token is asked for with POST."),
        "request_too_large": Kind(413, "The body is too large."),
        "unsupported_media_type": Kind(415, "A body is JSON, with Content-Type application/json."),
        "too_many_requests": Kind(429, "This user asks for tokens too often.", retry_after=60),
        "internal_error": Kind(500, "Something went wrong here."),
        "whop_unauthorized": Kind(502, "The chat service does not accept this server's key."),
        "whop_forbidden": Kind(502, "This server's key lacks a permission at the chat service."),
        "whop_rejected": Kind(502, "The chat service refused the request of this server."),
        "whop_invalid_response": Kind(502, "The chat service gave an answer that cannot be used."),
        "refresh_in_progress": Kind(503, "The user's token is being refreshed.", retry_after=1),
        "enrolment_in_progress": Kind(503, "The user's chat account is being prepared.", retry_after=1),
        "whop_rate_limited": Kind(503, "The chat service is limiting requests.", retry_after=10),
        "whop_unavailable": Kind(503, "The chat service cannot be reached.", retry_after=2),
        "keys_unavailable": Kind(503, "The token's keys cannot be fetched.", retry_after=2),
        "temporarily_unavailable": Kind(503, "A part of this service does not answer.", retry_after=2),
        "not_ready": Kind(503, "A check of this service failed.", retry_after=60),
        "not_configured": Kind(503, "This service has no key for the chat service yet.", retry_after=60),
    }
)


@dataclass(frozen=True, slots=True)
class Problem:
    """An error answer. ``headers`` and ``members`` come on top of the usual ones (RFC 9457, section 3.2).

    The answer's ``Retry-After`` is ``retry_after`` in seconds plus up to half of it as jitter, so that clients do not
    all return at once.
    """

    code: str
    detail: str | None = None
    retry_after: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    members: Mapping[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return KINDS[self.code].status

    @property
    def text(self) -> str:
        """What the answer says to a person."""
        return self.detail or KINDS[self.code].detail

    def response(self) -> dict[str, Any]:
        """The answer in the format of HTTP APIs (payload format 2.0)."""
        kind = KINDS[self.code]
        wait = _with_jitter(self.retry_after or kind.retry_after)
        body: dict[str, Any] = {
            "type": f"urn:whop-chat-auth:problem:{self.code}",
            "title": http.HTTPStatus(kind.status).phrase,
            "status": kind.status,
            "code": self.code,
            "detail": self.text,
            **self.members,
        }
        headers = {"Content-Type": "application/problem+json", "Cache-Control": "no-store", **self.headers}
        if wait is not None:
            body["retry_after"] = wait
            headers["Retry-After"] = str(wait)
        return {"statusCode": kind.status, "headers": headers, "body": json.dumps(body)}


def problem_of(error: Exception) -> Problem | None:
    """The problem to answer for ``error``. None if the error is not an expected one."""
    for kind, problem in _PROBLEMS:
        if isinstance(error, kind):
            return problem(error)
    # Imported here, so that nothing of OAuth is loaded for users who have not linked an account.
    from whop_chat.api.oauth_problems import oauth_problem_of

    return oauth_problem_of(error)


def logged_problem(error: Exception, message: str, telemetry: Telemetry) -> Problem:
    """The problem to answer for ``error``, which is logged as ``message`` and counted. Call it in the handler of it."""
    problem = problem_of(error)
    if problem is None:
        telemetry.exception("unexpected error")
        return Problem("internal_error")
    telemetry.warning(message, error, code=problem.code)
    return problem


def _with_jitter(seconds: int | None) -> int | None:
    return seconds and seconds + random.randint(0, seconds // 2)  # noqa: S311  # nosec B311  # jitter, not a secret


def _plain(code: str) -> Callable[[Any], Problem]:
    return lambda _error: Problem(code)


def _retryable(code: str) -> Callable[[Any], Problem]:
    """A problem with the error's own wait, or else the usual wait of the code."""
    return lambda error: Problem(code, retry_after=error.retry_after or None)


def _with_detail(code: str) -> Callable[[Any], Problem]:
    return lambda error: Problem(code, detail=str(error))


def _challenge(code: str, challenge: str) -> Callable[[Any], Problem]:
    """A problem with ``WWW-Authenticate``, for a 401 or 403 about the token (RFC 6750, section 3)."""
    return lambda _error: Problem(code, headers={"WWW-Authenticate": challenge})


# The first match counts, so special errors come before general ones.
_PROBLEMS: tuple[tuple[type[Exception], Callable[[Any], Problem]], ...] = (
    (BadRequest, _with_detail("invalid_request")),
    (UnknownFeature, _with_detail("invalid_request")),
    (BodyTooLarge, _plain("request_too_large")),
    (UnsupportedMediaType, _plain("unsupported_media_type")),
    (MissingToken, _challenge("missing_token", "Bearer")),
    (AmbiguousToken, _challenge("invalid_token", 'Bearer error="invalid_token"')),
    (TokenRefused, _challenge("invalid_token", 'Bearer error="invalid_token"')),
    (TokenNotAllowed, _challenge("insufficient_scope", 'Bearer error="insufficient_scope"')),
    (KeysUnavailable, _retryable("keys_unavailable")),
    (FeatureNotAllowed, _plain("feature_not_allowed")),
    (GroupDenied, _plain("group_denied")),
    (TooManyRequests, _retryable("too_many_requests")),
    (UserGone, _plain("user_gone")),
    (UserInactive, _plain("user_gone")),
    (UserDisabled, _plain("user_disabled")),
    (Denied, _plain("user_denied")),
    (Blocked, lambda error: Problem(error.reason if error.reason in BLOCK_REASONS else "enrolment_blocked")),
    (EnrolmentInProgress, _retryable("enrolment_in_progress")),
    (NotConfigured, _retryable("not_configured")),
    (WhopUnauthorized, _plain("whop_unauthorized")),
    (WhopForbidden, _plain("whop_forbidden")),
    (WhopRateLimited, _retryable("whop_rate_limited")),
    (WhopUnavailable, _retryable("whop_unavailable")),
    (WhopInvalidResponse, _plain("whop_invalid_response")),
    (WhopRefused, _plain("whop_rejected")),
    (AwsError, _retryable("temporarily_unavailable")),
    (DeadlineExceeded, _retryable("temporarily_unavailable")),
)
