"""The routes of the HTTP API: an event in (payload format 2.0), an answer out."""

import json
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, Protocol

from whop_chat.api.problems import Problem, logged_problem, problem_of
from whop_chat.api.request import ChatRequest
from whop_chat.minting.chat_token import ChatToken
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.metrics import MINTS
from whop_chat.runtime.telemetry import Telemetry
from whop_chat.runtime.version import VERSION

# The longest that a client waits, and the time that Lambda needs to end an invocation in order.
BUDGET_SECONDS = 3.0
_RESERVE_SECONDS = 0.5


class Minting(Protocol):
    """How tokens are made: `whop_chat.minting.mint.MintToken`, or `whop_chat.minting.own_account.MintOwnToken`."""

    def mint(self, cognito_token: str, features: Collection[str] | None, *, deadline: Deadline) -> ChatToken:
        """See `whop_chat.minting.mint.MintToken.mint`."""


def request_id(event: Any) -> str | None:
    """API Gateway's id of the request, which is also in its access log and in the answer's ``apigw-requestid``."""
    match event:
        case {"requestContext": {"requestId": str(value)}}:
            return value
    return None


class HttpApi:
    """Answers every event. No failure becomes an exception of the function.

    ``ready`` answers ``GET /health/ready``. It is called then only, so that a mint does not load its code.
    """

    def __init__(self, minting: Minting, telemetry: Telemetry, ready: Callable[[Deadline], dict[str, Any]]) -> None:
        self._minting = minting
        self._ready = ready
        self._telemetry = telemetry

    def handle(self, event: Mapping[str, Any], *, remaining_seconds: float) -> dict[str, Any]:
        """The answer to ``event``, within the ``remaining_seconds`` of the invocation."""
        deadline = Deadline(min(BUDGET_SECONDS, remaining_seconds - _RESERVE_SECONDS))
        try:
            return self._route(event, deadline)
        except Exception as error:
            return logged_problem(error, "no token", self._telemetry).response()

    def _route(self, event: Mapping[str, Any], deadline: Deadline) -> dict[str, Any]:
        match event:
            case {"routeKey": "GET /health"}:
                return answer({"status": "ok", "version": VERSION})
            case {"routeKey": "GET /health/ready"}:
                return self._ready(deadline)
            case {"routeKey": "POST /chat/token"}:
                return self._mint(event, deadline)
            case {"routeKey": str(route)} if route.endswith(" /chat/token"):
                return Problem("method_not_allowed", headers={"Allow": "POST"}).response()
            case _:
                return Problem("not_found").response()

    def _mint(self, event: Mapping[str, Any], deadline: Deadline) -> dict[str, Any]:
        try:
            request = ChatRequest.of(event)
            token = self._minting.mint(request.token, request.features, deadline=deadline)
        except Exception as error:
            problem = problem_of(error)
            self._telemetry.count(MINTS, outcome=_outcome(problem.status if problem else 500))
            raise
        if token.reused is None:
            self._telemetry.event("token minted", scopes=token.scopes)
        else:
            self._telemetry.event("token reused", scopes=token.scopes, because=token.reused)
        self._telemetry.count(MINTS, outcome="minted" if token.reused is None else "reused")
        return answer(_token_body(token))


def _outcome(status: int) -> str:
    """The outcome of `MINTS` for the status of a problem."""
    if status < 500:
        return "denied" if status == 403 else "refused"
    return "wait" if status == 503 else "failed"


def _token_body(token: ChatToken) -> dict[str, Any]:
    return {
        "token": token.token,
        "expires_at": _timestamp(token.expires_at),
        "refresh_after": _timestamp(token.refresh_after),
        "scopes": list(token.scopes),
    }


def _timestamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def answer(body: Mapping[str, Any]) -> dict[str, Any]:
    """The answer 200 with ``body``, in the format of HTTP APIs."""
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return {"statusCode": 200, "headers": headers, "body": json.dumps(body)}
