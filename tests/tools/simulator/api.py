"""Calls the simulator's core, without an HTTP library."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from local.whop_simulator import Fault, Request, Response, Simulator
from local.whop_simulator.faults import FaultKind
from local.whop_simulator.versions import SDK_PIN

COMPANY = "biz_Platform"
START = 1_790_000_000.0
CHAT = ["chat:read", "chat:message:create"]


class Clock:
    """Unix seconds that stand still until a test moves them."""

    def __init__(self) -> None:
        self.seconds = START

    def __call__(self) -> float:
        return self.seconds


class Api:
    """Calls ``simulator`` with one bearer secret, by default at the SDK's version."""

    def __init__(self, simulator: Simulator, secret: str) -> None:
        self.simulator = simulator
        self.secret = secret

    def request(
        self, method: str, target: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Request:
        path, _, query = target.partition("?")
        base = {"authorization": f"Bearer {self.secret}", "api-version-date": SDK_PIN}
        merged = {name: value for name, value in (base | dict(headers or {})).items() if value}
        return Request(
            method,
            f"/api/v1{path}",
            tuple(parse_qsl(query)),
            tuple(merged.items()),
            b"" if body is None else json.dumps(body).encode(),
        )

    def call(self, method: str, target: str, body: object = None, headers: Mapping[str, str] | None = None) -> Response:
        return self.simulator.handle(self.request(method, target, body, headers))

    def create(self, email: str, external_id: str | None = None, *, key: str = "", **fields: object) -> Response:
        body = {"email": email} | ({"external_id": external_id} if external_id else {}) | fields
        return self.call("POST", "/accounts", body, {"idempotency-key": key})

    def enrol(self, email: str, external_id: str | None = None) -> str:
        """Create an account; the id of its Whop user."""
        return owner(self.create(email, external_id))

    def mint(self, user_id: object, *, headers: Mapping[str, str] | None = None, **fields: object) -> Response:
        body = {"account_id": COMPANY, "user_id": user_id, "scoped_actions": CHAT} | fields
        return self.call("POST", "/access_tokens", body, headers)

    def say(self, token: str, channel: str = "chat_feed_1") -> Response:
        return Api(self.simulator, token).call("POST", "/messages", {"channel_id": channel, "content": "hello"})

    def read(self, channel: str = "chat_feed_1") -> Response:
        return self.call("GET", f"/messages?channel_id={channel}")

    def fault(self, operation: str, kind: FaultKind, **fields: Any) -> None:
        self.simulator.add_fault(Fault(operation, kind, **fields))


def accounts(simulator: Simulator) -> int:
    """How many accounts there are, with the company's own."""
    found: Any = simulator.dump()["accounts"]
    return len(found)


def owner(response: Response) -> str:
    """The owner.id of an account."""
    found: Any = response.json()["owner"]
    return str(found["id"])


def ids(response: Response) -> list[str]:
    """The ids on a page."""
    found: Any = response.json()["data"]
    return [str(item["id"]) for item in found]


def message(response: Response) -> str:
    """The error.message of an answer."""
    found: Any = response.json()["error"]
    return str(found["message"])
