"""The HTTP surface: routes, answers, and that nothing which fails becomes an exception."""

import dataclasses
import json
import re
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.fakes.functions import event
from tests.fakes.telemetry import RecordingTelemetry
from whop_chat.api.request import MAX_BODY_BYTES
from whop_chat.api.routes import BUDGET_SECONDS, HttpApi, answer
from whop_chat.cognito.verifier import Reason, TokenRefused
from whop_chat.enrolment.errors import Blocked
from whop_chat.minting.chat_token import ChatToken
from whop_chat.minting.mint import MintToken
from whop_chat.minting.request_sync import RequestSync
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.metrics import MINTS
from whop_chat.runtime.version import VERSION
from whop_chat.whop.errors import WhopRateLimited, WhopUnauthorized

TOKEN = ChatToken(
    token="opaque-token",
    expires_at=datetime(2027, 1, 15, 9, 0, 0, 999_000, tzinfo=UTC),
    refresh_after=datetime(2027, 1, 15, 8, 48, tzinfo=UTC),
    scopes=("chat:message:create", "chat:read"),
)


class Mint(MintToken):
    """Answers every request with ``outcome``, and keeps what was asked."""

    def __init__(self, outcome: ChatToken | Exception) -> None:
        self.outcome = outcome
        self.asked: list[tuple[str, Collection[str] | None]] = []
        self.seconds: list[float] = []

    def mint(self, cognito_token: str, features: Collection[str] | None, *, deadline: Deadline) -> ChatToken:
        self.asked.append((cognito_token, features))
        self.seconds.append(deadline.remaining())
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


class Sync(RequestSync):
    """Accepts every request, or fails with ``error``, and keeps who asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.error: Exception | None = None

    def request(self, cognito_token: str, *, deadline: Deadline) -> None:
        self.asked.append(cognito_token)
        if self.error is not None:
            raise self.error


class Api:
    """The API over a `Mint`, and the last answer taken apart."""

    def __init__(self, outcome: ChatToken | Exception = TOKEN) -> None:
        self.mint = Mint(outcome)
        self.sync = Sync()
        self.telemetry = RecordingTelemetry()

    def answer(self, request: dict[str, Any], *, remaining: float = 10.0) -> tuple[int, dict[str, str], dict[str, Any]]:
        response = HttpApi(self.mint, self.telemetry, lambda _: answer({"status": "ready"}), self.sync).handle(
            request, remaining_seconds=remaining
        )
        assert response.keys() == {"statusCode", "headers", "body"}
        return response["statusCode"], response["headers"], json.loads(response["body"])


@pytest.mark.parametrize(
    ("name", "features"),
    [("mint_token", None), ("mint_token_narrowed", ["channels"]), ("mint_token_base64", ["channels"])],
)
def test_a_request_for_a_token_is_answered_with_one(name: str, features: list[str] | None) -> None:
    api = Api()

    status, headers, body = api.answer(event(name))

    assert status == 200
    assert headers == {"Content-Type": "application/json", "Cache-Control": "no-store"}
    assert body == {
        "token": "opaque-token",
        "expires_at": "2027-01-15T09:00:00Z",
        "refresh_after": "2027-01-15T08:48:00Z",
        "scopes": ["chat:message:create", "chat:read"],
    }
    assert api.mint.asked == [("PLACEHOLDER-put-a-Cognito-access-token-here", features)]
    assert api.telemetry.events == [("token minted", {"scopes": TOKEN.scopes})]
    assert api.telemetry.counted(MINTS) == [{"outcome": "minted"}]


def test_a_token_that_is_reused_is_told_and_counted_as_such() -> None:
    api = Api(dataclasses.replace(TOKEN, reused="fresh"))

    api.answer(event("mint_token"))

    assert api.telemetry.events == [("token reused", {"scopes": TOKEN.scopes, "because": "fresh"})]
    assert api.telemetry.counted(MINTS) == [{"outcome": "reused"}]


def test_a_request_for_a_sync_is_accepted() -> None:
    api = Api()

    status, headers, body = api.answer(event("request_sync"))

    assert (status, body) == (202, {"status": "accepted"})
    assert headers == {"Content-Type": "application/json", "Cache-Control": "no-store"}
    assert api.sync.asked == ["PLACEHOLDER-put-a-Cognito-access-token-here"]


def test_a_sync_that_is_not_on_the_queue_is_not_accepted() -> None:
    api = Api()
    api.sync.error = AwsError("ThrottlingException")

    status, _, body = api.answer(event("request_sync"))

    assert (status, body["code"]) == (503, "temporarily_unavailable")


@pytest.mark.parametrize("body", ['{"features": ["channels"]}', '{"username": "grace"}', "[]"])
def test_a_request_for_a_sync_says_nothing_else(body: str) -> None:
    api = Api()

    status, _, problem = api.answer({**event("request_sync"), "body": body})

    assert (status, problem["code"], api.sync.asked) == (400, "invalid_request", [])


def test_where_nothing_is_synced_there_is_no_such_route() -> None:
    api = HttpApi(Mint(TOKEN), RecordingTelemetry(), lambda _: {})

    assert api.handle(event("request_sync"), remaining_seconds=10.0)["statusCode"] == 404


def test_health_is_answered_without_a_token() -> None:
    api = Api(RuntimeError())

    status, headers, body = api.answer(event("health"))

    assert (status, body, headers["Cache-Control"]) == (200, {"status": "ok", "version": VERSION}, "no-store")
    assert api.telemetry.counts == []
    assert api.mint.asked == []


def test_readiness_has_a_route_of_its_own() -> None:
    api = Api(RuntimeError())

    status, _, body = api.answer(event("health_ready"))

    assert (status, body) == (200, {"status": "ready"})
    assert (api.mint.asked, api.telemetry.counts) == ([], [])


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "ANY"])
def test_a_token_is_asked_for_with_post_only(method: str) -> None:
    api = Api()

    status, headers, body = api.answer({**event("mint_token"), "routeKey": f"{method} /chat/token"})

    assert (status, body["code"], headers["Allow"]) == (405, "method_not_allowed", "POST")
    assert api.mint.asked == []


@pytest.mark.parametrize("route", ["$default", "POST /chat/token/", "POST /health", "GET /", "", None, 7])
def test_any_other_route_is_not_there(route: object) -> None:
    api = Api()

    status, _, body = api.answer({**event("mint_token"), "routeKey": route})

    assert (status, body["code"]) == (404, "not_found")
    assert api.mint.asked == []


@pytest.mark.parametrize("event", [{}, None, [], "GET /health", 7])
def test_an_event_that_is_none_of_ours_is_not_there(event: Any) -> None:
    assert Api().answer(event)[0] == 404


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"headers": {}}, 401, "missing_token"),
        ({"headers": {"authorization": "Bearer one, Bearer two"}}, 401, "invalid_token"),
        ({"body": "{"}, 400, "invalid_request"),
        ({"body": '{"user_id": "user_1"}'}, 400, "invalid_request"),
        ({"body": " " * (MAX_BODY_BYTES + 1)}, 413, "request_too_large"),
        ({"body": 7}, 400, "invalid_request"),
    ],
)
def test_a_request_that_is_not_in_order_mints_nothing(changes: dict[str, Any], status: int, code: str) -> None:
    api = Api()

    answered, headers, body = api.answer({**event("mint_token"), **changes})

    assert (answered, body["code"]) == (status, code)
    assert headers["Content-Type"] == "application/problem+json"
    assert api.mint.asked == []


@pytest.mark.parametrize(
    ("error", "status", "code", "header", "outcome"),
    [
        (
            TokenRefused(Reason.EXPIRED),
            401,
            "invalid_token",
            ("WWW-Authenticate", 'Bearer error="invalid_token"'),
            "refused",
        ),
        (Blocked("no_verified_email"), 403, "no_verified_email", ("Cache-Control", "no-store"), "denied"),
        (WhopUnauthorized("mint_token"), 502, "whop_unauthorized", ("Cache-Control", "no-store"), "failed"),
        (WhopRateLimited("mint_token", 12), 503, "whop_rate_limited", ("Retry-After", "1[2-8]"), "wait"),
    ],
    ids=["401", "403", "502", "503"],
)
def test_an_expected_failure_is_a_problem_that_is_told_and_counted(
    error: Exception, status: int, code: str, header: tuple[str, str], outcome: str
) -> None:
    api = Api(error)

    answered, headers, body = api.answer(event("mint_token"))

    assert (answered, body["code"]) == (status, code)
    assert re.fullmatch(header[1], headers[header[0]])
    assert api.telemetry.failures == [(error, "no token")]
    assert api.telemetry.counted(MINTS) == [{"outcome": outcome}]
    assert api.telemetry.defects == 0


def test_an_unexpected_failure_is_a_500_that_says_nothing_of_it() -> None:
    api = Api(RuntimeError("about ada@example.test"))

    status, headers, body = api.answer(event("mint_token"))

    assert (status, body["code"], body["detail"]) == (500, "internal_error", "Something went wrong here.")
    assert headers["Cache-Control"] == "no-store"
    assert "RuntimeError" not in json.dumps(body)
    assert "example.test" not in json.dumps(body)
    assert (api.telemetry.defects, api.telemetry.failures) == (1, [])
    assert api.telemetry.counted(MINTS) == [{"outcome": "failed"}]


def test_a_block_for_a_reason_without_a_code_of_its_own_is_an_answer_and_no_exception() -> None:
    assert Api(Blocked("blocked")).answer(event("mint_token"))[0] == 403


@pytest.mark.parametrize(("remaining", "budget"), [(10.0, BUDGET_SECONDS), (2.0, 1.5), (0.2, 0.0)])
def test_a_mint_has_the_clients_patience_or_what_is_left_of_the_invocation(remaining: float, budget: float) -> None:
    api = Api()

    api.answer(event("mint_token"), remaining=remaining)

    assert api.mint.seconds == [pytest.approx(budget, abs=0.1)]
