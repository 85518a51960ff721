"""Problems: every expected error has one answer, and a client can tell from it what to do."""

import json
import math
from typing import Any

import pytest

from whop_chat.api import oauth_problems, problems
from whop_chat.api.problems import KINDS, Problem, problem_of
from whop_chat.api.request import AmbiguousToken, BadRequest, BodyTooLarge, MissingToken, UnsupportedMediaType
from whop_chat.cognito.pool import UserDisabled, UserGone, UserInactive
from whop_chat.cognito.verifier import KeysUnavailable, Reason, TokenNotAllowed, TokenRefused
from whop_chat.enrolment.errors import Blocked, Denied, EnrolmentInProgress
from whop_chat.minting.features import FeatureNotAllowed, GroupDenied, UnknownFeature
from whop_chat.minting.user_quota import TooManyRequests
from whop_chat.oauth.errors import (
    InvalidReturnUrl,
    LinkExpired,
    LinkFailed,
    LinkRequired,
    RefreshInProgress,
    ScopesNotAllowed,
    StaleLink,
)
from whop_chat.oauth.revocations import Contended
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import DeadlineExceeded
from whop_chat.runtime.sealed import UnknownDataKey, UnusableDataKey
from whop_chat.whop.api_key import NotConfigured
from whop_chat.whop.errors import (
    WhopConflict,
    WhopForbidden,
    WhopInvalidResponse,
    WhopNotFound,
    WhopRateLimited,
    WhopRefused,
    WhopUnauthorized,
    WhopUnavailable,
)

BLOCKS = ("no_verified_email", "provider_not_trusted", "identity_conflict", "identity_mismatch", "enrolment_rejected")
EXPECTED: list[tuple[Exception, int, str, str | None]] = [
    (BadRequest("the body is not JSON"), 400, "invalid_request", None),
    (UnknownFeature("1 unknown chat feature(s)"), 400, "invalid_request", None),
    (MissingToken(), 401, "missing_token", None),
    (AmbiguousToken(), 401, "invalid_token", None),
    (TokenRefused(Reason.EXPIRED), 401, "invalid_token", None),
    (TokenNotAllowed(Reason.SCOPE_MISSING), 403, "insufficient_scope", None),
    (FeatureNotAllowed(), 403, "feature_not_allowed", None),
    (GroupDenied(), 403, "group_denied", None),
    (UserGone(), 403, "user_gone", None),
    (UserInactive(), 403, "user_gone", None),
    (UserDisabled(), 403, "user_disabled", None),
    (Denied(), 403, "user_denied", None),
    *((Blocked(reason), 403, reason, None) for reason in BLOCKS),
    # `Enrolment` says "blocked" of a record without a reason, and an operator may have written one of their own.
    (Blocked("blocked"), 403, "enrolment_blocked", None),
    (Blocked("by an operator"), 403, "enrolment_blocked", None),
    (BodyTooLarge(), 413, "request_too_large", None),
    (UnsupportedMediaType(), 415, "unsupported_media_type", None),
    (TooManyRequests(17), 429, "too_many_requests", "17"),
    (WhopUnauthorized("mint_token", status=401), 502, "whop_unauthorized", None),
    (WhopForbidden("mint_token", status=403), 502, "whop_forbidden", None),
    (WhopRefused("mint_token", status=422), 502, "whop_rejected", None),
    (WhopNotFound("mint_token", status=404), 502, "whop_rejected", None),
    (WhopConflict("create_account", status=409), 502, "whop_rejected", None),
    (WhopInvalidResponse("mint_token", status=200), 502, "whop_invalid_response", None),
    (EnrolmentInProgress(), 503, "enrolment_in_progress", "1"),
    (WhopRateLimited("mint_token", 42), 503, "whop_rate_limited", "42"),
    (WhopUnavailable("mint_token", status=500), 503, "whop_unavailable", "2"),
    (KeysUnavailable(retry_after=17, detail="status 500"), 503, "keys_unavailable", "17"),
    (AwsError("ThrottlingException"), 503, "temporarily_unavailable", "2"),
    (DeadlineExceeded(), 503, "temporarily_unavailable", "2"),
    (NotConfigured("the secret has no value"), 503, "not_configured", "60"),
    (InvalidReturnUrl(), 400, "invalid_request", None),
    (LinkRequired(), 403, "link_required", None),
    (LinkExpired(), 403, "link_expired", None),
    (LinkFailed("result"), 403, "link_failed", None),
    (ScopesNotAllowed(), 403, "feature_not_allowed", None),
    (RefreshInProgress(), 503, "refresh_in_progress", "1"),
    (StaleLink(), 503, "temporarily_unavailable", "2"),
    (Contended(), 503, "temporarily_unavailable", "2"),
    (UnknownDataKey(), 503, "temporarily_unavailable", "2"),
    (UnusableDataKey("a data key is too short"), 503, "temporarily_unavailable", "2"),
]


def answer_to(error: Exception) -> tuple[dict[str, Any], dict[str, Any]]:
    """The response to ``error``, and its body."""
    problem = problem_of(error)
    assert problem is not None
    response = problem.response()
    return response, json.loads(response["body"])


@pytest.mark.parametrize(
    ("error", "status", "code", "wait"), EXPECTED, ids=[f"{type(row[0]).__name__}-{row[2]}" for row in EXPECTED]
)
def test_each_expected_error_has_its_status_code_and_wait(
    error: Exception, status: int, code: str, wait: str | None
) -> None:
    response, body = answer_to(error)

    assert (response["statusCode"], body["status"], body["code"]) == (status, status, code)
    told = body.get("retry_after")
    assert response["headers"].get("Retry-After") == (told and str(told))
    assert (told is None) == (wait is None)
    assert wait is None or int(wait) <= int(told or 0) <= math.ceil(1.5 * int(wait))


@pytest.mark.parametrize(("seconds", "told"), [(1, {1}), (2, {2, 3}), (10, {10, 11, 12, 13, 14, 15})])
def test_not_everybody_who_is_told_to_wait_for_seconds_returns_at_once(seconds: int, told: set[int]) -> None:
    waits = {Problem("whop_rate_limited", retry_after=seconds).response()["headers"]["Retry-After"] for _ in range(300)}

    assert {int(wait) for wait in waits} == told


def test_there_is_no_row_and_no_code_that_nothing_leads_to() -> None:
    raised = {type(error) for error, *_ in EXPECTED}
    codes = {code for _, _, code, _ in EXPECTED}

    assert {kind for kind, _ in problems._PROBLEMS} <= raised
    assert set(oauth_problems._CODES) <= raised
    assert KINDS.keys() - codes == {"not_found", "method_not_allowed", "internal_error", "not_ready"}


@pytest.mark.parametrize("code", KINDS)
def test_a_problem_has_the_members_of_rfc_9457_and_is_not_stored(code: str) -> None:
    response = Problem(code).response()
    body = json.loads(response["body"])

    assert response["headers"]["Content-Type"] == "application/problem+json"
    assert response["headers"]["Cache-Control"] == "no-store"
    assert body["type"] == f"urn:whop-chat-auth:problem:{code}"
    assert all(isinstance(body[name], str) and body[name] for name in ("title", "detail"))


@pytest.mark.parametrize("code", [code for code, kind in KINDS.items() if kind.status == 503])
def test_whoever_has_to_wait_is_told_how_long(code: str) -> None:
    assert int(Problem(code).response()["headers"]["Retry-After"]) >= 1


@pytest.mark.parametrize(
    ("error", "challenge"),
    [
        (MissingToken(), "Bearer"),
        (AmbiguousToken(), 'Bearer error="invalid_token"'),
        (TokenRefused(Reason.SIGNATURE), 'Bearer error="invalid_token"'),
        (TokenNotAllowed(Reason.SCOPE_MISSING), 'Bearer error="insufficient_scope"'),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_answer_about_the_token_challenges_as_rfc_6750_says(error: Exception, challenge: str) -> None:
    response, _ = answer_to(error)

    assert response["headers"]["WWW-Authenticate"] == challenge


@pytest.mark.parametrize("row", [row for row in EXPECTED if row[2] != "invalid_request"], ids=lambda row: row[2])
def test_the_detail_is_a_fixed_text_and_not_that_of_the_error(row: tuple[Exception, int, str, str | None]) -> None:
    _, body = answer_to(row[0])

    assert body["detail"] == KINDS[row[2]].detail


@pytest.mark.parametrize("error", [BadRequest("what it takes"), UnknownFeature("what it takes")], ids=repr)
def test_a_bad_request_is_told_what_would_be_a_good_one(error: Exception) -> None:
    assert answer_to(error)[1]["detail"] == "what it takes"


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), AssertionError(), RuntimeError()], ids=repr)
def test_an_unexpected_error_is_no_problem(error: Exception) -> None:
    assert problem_of(error) is None
