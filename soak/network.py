"""The network between the functions and AWS or Whop. A request takes time, and a fault may happen to it.

It knows requests and responses only as they are sent. `soak.http_client` puts it below the package's HTTP client.
"""

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

from local.whop_simulator import Exchange, Fate, Fault, Simulator
from local.whop_simulator import Request as WhopRequest
from local.whop_simulator.operations import route
from soak.cognito import ISSUER, Pool
from soak.errors import Refused
from soak.fault_injector import FaultInjector
from soak.scheduler import Killed, Scheduler

type Service = Callable[[str, Mapping[str, Any]], dict[str, Any]]

WHOP = "https://api.whop.com"
_SECONDS = {"dynamodb": 0.006, "cognito-idp": 0.04, "sqs": 0.012, "secretsmanager": 0.02, "keys": 0.03}
_WHOP_SECONDS = {"accounts.create": 0.3, "users.update": 0.15}
"""How long a call takes. Whop's times are guesses: its documents name none."""
_OTHER_WHOP_SECONDS = 0.12
# An instance knows after a second what Whop reported to another; a call may be under way meanwhile.
_NOT_YET_KNOWN_SECONDS = 3.0


class ConnectionFailed(Exception):
    """There is no whole response. ``reason`` is the name of the exception that httpx would raise."""

    def __init__(self, reason: Literal["ConnectError", "ReadTimeout", "RemoteProtocolError"]) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Request:
    """A whole request; the names of headers are in lower case.

    ``patience`` is how many seconds its sender waits for the response.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    patience: float


@dataclass(frozen=True, slots=True)
class Response:
    """A whole response; the names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Network:
    """Every request of every function. ``calls`` counts them; ``digest`` identifies their sequence."""

    def __init__(
        self,
        scheduler: Scheduler,
        services: Mapping[str, Service],
        pool: Pool,
        simulator: Simulator,
        faults: FaultInjector,
        *,
        wait_in_header_only: bool = False,
    ) -> None:
        self._scheduler = scheduler
        self._wait_in_header_only = wait_in_header_only
        self._services = services
        self._cognito = pool
        self._simulator = simulator
        self._faults = faults
        self._digest = hashlib.sha256()
        self.calls: Counter[str] = Counter()
        self.whop_calls: list[tuple[float, str]] = []
        self.reported_waits: list[tuple[str, float, float]] = []
        """The operation of each injected fault, when it was, and the wait that it reported, in seconds (0: none)."""
        self.forgotten: Counter[str] = Counter()
        """How often Whop began not to know a Whop user."""
        self._unknown_until: dict[str, float] = {}
        self.hasty: list[str] = []
        """Calls of an operation although Whop had said to wait."""
        self._reported: dict[str, tuple[float, float]] = {}
        """When Whop last said to wait with an operation, and until when."""

    @property
    def digest(self) -> str:
        """Equal for two runs with the same calls at the same times."""
        return self._digest.hexdigest()[:12]

    def calls_between(self, begin: float, end: float) -> list[tuple[float, str]]:
        """The calls to Whop between two times: time and operation."""
        return [(at, operation) for at, operation in self.whop_calls if begin <= at < end]

    def send(self, request: Request) -> Response:
        """The response, after the time that it takes. Raises `ConnectionFailed`."""
        self._scheduler.require_alive()
        killed = self._faults.for_caller()
        gives_up_at = self._scheduler.now + request.patience
        if request.url.startswith(WHOP):
            response = self._whop(request, gives_up_at, killed)
        else:
            response = self._aws(request, gives_up_at, killed)
        if killed:
            self._die()
        return response

    def _die(self) -> None:
        self._scheduler.current.kill()
        raise Killed

    def _wait(self, seconds: float, gives_up_at: float) -> None:
        """Part of the way; the sender gives up when its patience ends."""
        left = gives_up_at - self._scheduler.now
        self._scheduler.sleep(min(seconds, left))
        if seconds >= left:
            raise ConnectionFailed("ReadTimeout")

    def _note(self, *what: object) -> None:
        self._digest.update(f"{self._scheduler.now:.6f} {what}\n".encode())

    def lose(self, user_id: str) -> None:
        """From now on Whop does not know this Whop user any more."""
        self._unknown_until[user_id] = math.inf
        self.forgotten[user_id] += 1

    # AWS

    def _aws(self, request: Request, gives_up_at: float, killed: str | None) -> Response:
        service, operation, perform = self._addressed(request)
        self.calls[f"{service} {operation}"] += 1
        fault = self._faults.for_aws(service, operation)
        kind = fault.kind if fault else None
        self._note(service, operation, kind, killed)
        half = _SECONDS[service] * self._scheduler.chance.uniform(0.3, 0.9)
        self._wait(half, gives_up_at)
        if killed == "before":
            self._die()
        if kind == "drop_before":
            raise ConnectionFailed("RemoteProtocolError")
        if fault and kind == "refused":
            return _refusal(fault.code)
        response = self._late(perform, fault.seconds, gives_up_at) if fault and kind == "slow" else perform()
        if kind == "drop_after":
            raise ConnectionFailed("RemoteProtocolError")
        self._wait(half, gives_up_at)
        return response

    def _late(self, perform: Callable[[], Response], seconds: float, gives_up_at: float) -> Response:
        """The call takes effect after ``seconds``, even if the sender has given up by then."""
        landed: list[Response] = []
        self._scheduler.at(self._scheduler.now + seconds, lambda: landed.append(perform()))
        self._wait(seconds + 0.001, gives_up_at)
        return landed[0]

    def _addressed(self, request: Request) -> tuple[str, str, Callable[[], Response]]:
        if request.url == f"{ISSUER}/.well-known/jwks.json":
            return "keys", "GET", lambda: Response(200, {}, self._cognito.key_set())
        service = (urlsplit(request.url).hostname or "").partition(".")[0]
        operation = request.headers["x-amz-target"].rpartition(".")[2]
        return service, operation, lambda: _answer(self._services[service], operation, request.body)

    # Whop

    def _whop(self, request: Request, gives_up_at: float, killed: str | None) -> Response:
        url = urlsplit(request.url)
        operation, _ = route(request.method, url.path)
        name = operation.name if operation else "unknown"
        self.calls[f"whop {name}"] += 1
        if self._faults.whop_is_down:
            self.whop_calls.append((self._scheduler.now, name))
            self._fail_to_connect(gives_up_at)
        fault = self._faults.for_whop()
        if fault is None and name == "access_tokens.create":
            fault = self._not_known(json.loads(request.body)["user_id"])
        if fault is None and self._unknown_until.get(url.path.rpartition("/")[2]) == math.inf:
            fault = Fault(name, "status", status=404)
        self._note("whop", name, fault.kind if fault else None, killed)
        half = _WHOP_SECONDS.get(name, _OTHER_WHOP_SECONDS) * self._scheduler.chance.uniform(0.3, 0.9)
        self._wait(half, gives_up_at)
        if killed == "before":
            self._die()
        if fault is not None:
            self._simulator.add_fault(fault)
            self.reported_waits.append((name, self._scheduler.now, float(fault.wait or 0)))
        self.whop_calls.append((self._scheduler.now, name))
        self._require_patience(name)
        exchange = self._simulator.receive(
            WhopRequest(
                request.method, url.path, tuple(parse_qsl(url.query)), tuple(request.headers.items()), request.body
            )
        )
        answer = self._answered(exchange, half, gives_up_at)
        return self._limited(name, answer) if answer.status == 429 else answer

    def _require_patience(self, operation: str) -> None:
        reported_at, until = self._reported.get(operation, (0.0, 0.0))
        if reported_at + _NOT_YET_KNOWN_SECONDS < self._scheduler.now < until:
            self.hasty.append(f"{operation}: {until - self._scheduler.now:.0f} s too early")

    def _limited(self, operation: str, answer: Response) -> Response:
        """Remember how long Whop said to wait. Without the sentence if only the header is to say it."""
        said = answer.headers.get("retry-after") or re.search(rb"in ([0-9]+) second", answer.body)
        if said:
            seconds = int(said if isinstance(said, str) else said[1])
            _, until = self._reported.get(operation, (0.0, 0.0))
            self._reported[operation] = self._scheduler.now, max(until, self._scheduler.now + seconds)
        return Response(429, answer.headers, b"{}") if self._wait_in_header_only else answer

    def _not_known(self, user_id: str) -> Fault | None:
        """A 404 while Whop does not know the user. That may begin now."""
        if self._unknown_until.get(user_id, 0) <= self._scheduler.now:
            seconds = self._faults.seconds_unknown()
            if not seconds:
                return None
            self._unknown_until[user_id] = self._scheduler.now + seconds
            self.forgotten[user_id] += 1
        return Fault("access_tokens.create", "status", status=404)

    def _fail_to_connect(self, gives_up_at: float) -> None:
        if self._scheduler.chance.random() < 0.5:
            self._wait(gives_up_at - self._scheduler.now, gives_up_at)
        raise ConnectionFailed("ConnectError")

    def _answered(self, exchange: Exchange, half: float, gives_up_at: float) -> Response:
        if exchange.delay:
            # It takes effect even if the sender has given up.
            self._scheduler.at(self._scheduler.now + exchange.delay, exchange.complete)
            self._wait(exchange.delay, gives_up_at)
        answer = exchange.complete()
        if answer.fate is Fate.UNREACHABLE:
            raise ConnectionFailed("ConnectError")
        if answer.fate is Fate.DROPPED:
            raise ConnectionFailed("RemoteProtocolError")
        self._wait(half + (len(answer.body) * answer.drip_seconds if answer.fate is Fate.DRIPPED else 0.0), gives_up_at)
        if answer.fate is Fate.TRUNCATED:
            raise ConnectionFailed("RemoteProtocolError")
        return Response(answer.status, dict(answer.headers), answer.body)


def _answer(service: Service, operation: str, body: bytes) -> Response:
    try:
        return Response(200, {}, json.dumps(service(operation, json.loads(body))).encode())
    except Refused as refusal:
        return _refusal(refusal.code, refusal.more)


def _refusal(code: str, more: Mapping[str, Any] | None = None) -> Response:
    status = 500 if code in ("InternalErrorException", "InternalServiceError", "ServiceUnavailable") else 400
    return Response(status, {}, json.dumps({"__type": f"com.amazonaws#{code}", **(more or {})}).encode())
