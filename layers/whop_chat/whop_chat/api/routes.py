"""The routes of the HTTP API: an event in (payload format 2.0), an answer out."""

import json
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any

from whop_chat.api.problems import Problem, problem_of
from whop_chat.api.request import ChatRequest, bearer_token, require_no_features
from whop_chat.minting.chat_token import ChatToken
from whop_chat.minting.mint import MintToken
from whop_chat.minting.request_sync import RequestSync
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.telemetry import Telemetry

# The longest that a client waits, and the time that Lambda needs to end an invocation in order.
BUDGET_SECONDS = 3.0
_RESERVE_SECONDS = 0.5


class HttpApi:
    """Answers every event. No failure becomes an exception of the function."""

    def __init__(self, minting: MintToken, sync: RequestSync, telemetry: Telemetry) -> None:
        self._minting = minting
        self._sync = sync
        self._telemetry = telemetry

    def handle(self, event: Mapping[str, Any], *, remaining_seconds: float) -> dict[str, Any]:
        """The answer to ``event``, within the ``remaining_seconds`` of the invocation."""
        deadline = Deadline(min(BUDGET_SECONDS, remaining_seconds - _RESERVE_SECONDS))
        try:
            return self._route(event, deadline)
        except Exception as error:
            problem = problem_of(error)
            if problem is None:
                self._telemetry.exception("unexpected error")
                problem = Problem("internal_error")
            else:
                self._telemetry.warning("no token", error, metric=f"Problem.{problem.code}")
            return problem.response()

    def _route(self, event: Mapping[str, Any], deadline: Deadline) -> dict[str, Any]:
        match event:
            case {"routeKey": "GET /health"}:
                return _answer({"status": "ok"})
            case {"routeKey": "POST /chat/token"}:
                request = ChatRequest.of(event)
                token = self._minting.mint(request.token, request.features, deadline=deadline)
                if token.reused is None:
                    self._telemetry.event("TokenMinted", "token minted", scopes=token.scopes)
                else:
                    self._telemetry.event(f"TokenReused.{token.reused}", "token reused", scopes=token.scopes)
                return _answer(_token_body(token))
            case {"routeKey": "POST /chat/sync"}:
                require_no_features(event)
                self._sync.request(bearer_token(event), deadline=deadline)
                self._telemetry.event("SyncRequested", "sync requested")
                return _answer({"status": "accepted"}, HTTPStatus.ACCEPTED)
            case {"routeKey": str(route)} if route.endswith((" /chat/token", " /chat/sync")):
                return Problem("method_not_allowed", headers={"Allow": "POST"}).response()
            case _:
                return Problem("not_found").response()


def _token_body(token: ChatToken) -> dict[str, Any]:
    return {
        "token": token.token,
        "expires_at": _timestamp(token.expires_at),
        "refresh_after": _timestamp(token.refresh_after),
        "scopes": list(token.scopes),
    }


def _timestamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _answer(body: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> dict[str, Any]:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return {"statusCode": status.value, "headers": headers, "body": json.dumps(body)}
