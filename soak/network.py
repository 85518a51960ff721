"""The way from the functions to AWS and to Whop: it takes time, and something may go wrong on it."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from local.whop_simulator import Exchange, Fate, Fault, Simulator
from local.whop_simulator import Request as WhopRequest
from local.whop_simulator.operations import route
from soak.cognito import ISSUER, Pool
from soak.errors import Refused
from soak.fault_injector import FaultInjector
from soak.scheduler import Killed, Scheduler
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.http import HttpClient, Request, Response, TransportError

type Service = Callable[[str, Mapping[str, Any]], dict[str, Any]]

WHOP = "https://api.whop.com"
_SECONDS = {"dynamodb": 0.006, "cognito-idp": 0.04, "sqs": 0.012, "secretsmanager": 0.02, "keys": 0.03}
_WHOP_SECONDS = {"POST accounts": 0.3, "PATCH users": 0.15}
"""How long a call takes. Whop's times are guesses: its documents name none."""
_OTHER_WHOP_SECONDS = 0.12


class Network(HttpClient):
    """The HTTP client of every function. ``calls`` counts them; ``story`` is a digest of all that happened."""

    def __init__(
        self,
        scheduler: Scheduler,
        services: Mapping[str, Service],
        pool: Pool,
        simulator: Simulator,
        faults: FaultInjector,
    ) -> None:
        self._scheduler = scheduler
        self._services = services
        self._cognito = pool
        self._simulator = simulator
        self._faults = faults
        self._story = hashlib.sha256()
        self.calls: Counter[str] = Counter()
        self.whop_calls: list[tuple[float, str]] = []
        self.forgotten: Counter[str] = Counter()
        """How often Whop has begun not to know a Whop user."""
        self._unknown_until: dict[str, float] = {}

    @property
    def story(self) -> str:
        """The same for two runs in which the same calls were made at the same moments."""
        return self._story.hexdigest()[:12]

    def calls_between(self, begin: float, end: float) -> list[tuple[float, str]]:
        """The calls to Whop then: when, and which operation."""
        return [(at, operation) for at, operation in self.whop_calls if begin <= at < end]

    def send(self, request: Request, *, deadline: Deadline, max_bytes: int) -> Response:
        """See `HttpClient.send`."""
        deadline.require()
        self._scheduler.require_alive()
        killed = self._faults.for_caller()
        if str(request.url).startswith(WHOP):
            response = self._whop(request, deadline, killed)
        else:
            response = self._aws(request, deadline, killed)
        if killed:
            self._die()
        if len(response.content) > max_bytes:
            raise TransportError("BodyTooLarge")
        return response

    def _die(self) -> None:
        self._scheduler.current.kill()
        raise Killed

    def _wait(self, seconds: float, deadline: Deadline) -> None:
        """Part of the way; the caller gives up at the deadline."""
        left = deadline.remaining()
        self._scheduler.sleep(min(seconds, left))
        if seconds >= left:
            raise TransportError("ReadTimeout")

    def _note(self, *what: object) -> None:
        self._story.update(f"{self._scheduler.now:.6f} {what}\n".encode())

    # AWS

    def _aws(self, request: Request, deadline: Deadline, killed: str | None) -> Response:
        service, operation, perform = self._addressed(request)
        self.calls[f"{service} {operation}"] += 1
        trouble = self._faults.for_aws(service, operation)
        kind = trouble.kind if trouble else None
        self._note(service, operation, kind, killed)
        half = _SECONDS[service] * self._scheduler.chance.uniform(0.3, 0.9)
        self._wait(half, deadline)
        if killed == "before":
            self._die()
        if kind == "drop_before":
            raise TransportError("RemoteProtocolError")
        if trouble and kind == "refused":
            return _refusal(trouble.code)
        response = self._late(perform, trouble.seconds, deadline) if trouble and kind == "slow" else perform()
        if kind == "drop_after":
            raise TransportError("RemoteProtocolError")
        self._wait(half, deadline)
        return response

    def _late(self, perform: Callable[[], Response], seconds: float, deadline: Deadline) -> Response:
        """What is done happens so much later, whether somebody still waits for it or not."""
        landed: list[Response] = []
        self._scheduler.at(self._scheduler.now + seconds, lambda: landed.append(perform()))
        self._wait(seconds + 0.001, deadline)
        return landed[0]

    def _addressed(self, request: Request) -> tuple[str, str, Callable[[], Response]]:
        if str(request.url) == f"{ISSUER}/.well-known/jwks.json":
            return "keys", "GET", lambda: Response(200, content=self._cognito.key_set())
        service = request.url.host.partition(".")[0]
        operation = request.headers["X-Amz-Target"].rpartition(".")[2]
        return service, operation, lambda: _answer(self._services[service], operation, request.content)

    # Whop

    def _whop(self, request: Request, deadline: Deadline, killed: str | None) -> Response:
        url = request.url
        operation, _ = route(request.method, url.path)
        name = operation.name if operation else "unknown"
        self.calls[f"whop {name}"] += 1
        if self._faults.whop_is_down:
            self.whop_calls.append((self._scheduler.now, name))
            self._find_nobody(deadline)
        fault = self._faults.for_whop()
        if fault is None and name == "access_tokens.create":
            fault = self._unknown(json.loads(request.content)["user_id"])
        self._note("whop", name, fault.kind if fault else None, killed)
        kind = f"{request.method} {url.path.split('/')[3]}"
        half = _WHOP_SECONDS.get(kind, _OTHER_WHOP_SECONDS) * self._scheduler.chance.uniform(0.3, 0.9)
        self._wait(half, deadline)
        if killed == "before":
            self._die()
        if fault is not None:
            self._simulator.add_fault(fault)
        self.whop_calls.append((self._scheduler.now, name))
        query, headers = tuple(url.params.multi_items()), tuple(request.headers.items())
        exchange = self._simulator.receive(WhopRequest(request.method, url.path, query, headers, request.content))
        return self._answered(exchange, half, deadline)

    def _unknown(self, user_id: str) -> Fault | None:
        """A 404 as long as Whop does not know the user, which may begin now."""
        if self._unknown_until.get(user_id, 0) <= self._scheduler.now:
            seconds = self._faults.seconds_unknown()
            if not seconds:
                return None
            self._unknown_until[user_id] = self._scheduler.now + seconds
            self.forgotten[user_id] += 1
        return Fault("access_tokens.create", "status", status=404)

    def _find_nobody(self, deadline: Deadline) -> None:
        if self._scheduler.chance.random() < 0.5:
            self._wait(deadline.remaining(), deadline)
        raise TransportError("ConnectError")

    def _answered(self, exchange: Exchange, half: float, deadline: Deadline) -> Response:
        if exchange.delay:
            # Whether somebody waits for it or not.
            self._scheduler.at(self._scheduler.now + exchange.delay, exchange.complete)
            self._wait(exchange.delay, deadline)
        answer = exchange.complete()
        if answer.fate is Fate.UNREACHABLE:
            raise TransportError("ConnectError")
        if answer.fate is Fate.DROPPED:
            raise TransportError("RemoteProtocolError")
        self._wait(half + (len(answer.body) * answer.drip_seconds if answer.fate is Fate.DRIPPED else 0.0), deadline)
        if answer.fate is Fate.TRUNCATED:
            raise TransportError("RemoteProtocolError")
        return Response(answer.status, headers=answer.headers, content=answer.body)


def _answer(service: Service, operation: str, body: bytes) -> Response:
    try:
        return Response(200, content=json.dumps(service(operation, json.loads(body))))
    except Refused as refusal:
        return _refusal(refusal.code, refusal.more)


def _refusal(code: str, more: Mapping[str, Any] | None = None) -> Response:
    status = 500 if code in ("InternalErrorException", "InternalServiceError", "ServiceUnavailable") else 400
    return Response(status, content=json.dumps({"__type": f"com.amazonaws#{code}", **(more or {})}))
