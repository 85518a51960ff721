"""Stand-ins that several tests share: what is around the module under test, with answers that the test decides."""

import gc
import importlib.util
import json
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal
from unittest import mock

import httpx

from tests.fakes.memory_circuit_state import MemoryWaits
from whop_chat.cognito.pool import PoolUser
from whop_chat.cognito.user import UserRef
from whop_chat.enrolment.enrol import Enrolment
from whop_chat.enrolment.errors import Link
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.http import HttpClient
from whop_chat.runtime.telemetry import Observer
from whop_chat.sync.queue import SyncQueue
from whop_chat.users.record import Record
from whop_chat.users.repository import Directory
from whop_chat.whop.circuit_breaker import Circuit
from whop_chat.whop.circuit_state import Waits, WaitStore
from whop_chat.whop.client import KeySource, Whop
from whop_chat.whop.rate_limit import Budget, LocalSlots, Share, ceiling

ROOT = Path(__file__).parents[2]
API_KEY = "unit-test-api-key"
COMPANY_ID = "biz_Company"
API_VERSION = "2026-10-15-1"
SETTINGS = {
    "WHOP_COMPANY_ID": COMPANY_ID,
    "WHOP_BASE_URL": "https://api.whop.com",
    "WHOP_API_VERSION": API_VERSION,
    "WHOP_COMPANY_FIELD": "account_id",
    "ENROLMENT_EMAIL": "verified",
    "ALIAS_EMAIL_TEMPLATE": "",
    "TRUSTED_PROVIDERS": "",
    "EMAIL_REUSE": "refuse",
    "PROFILE_NAME": "name,given_name+family_name",
    "DELETE_POLICY": "keep-account",
    "TOKEN_USE": "access",
    "CHAT_FEATURES": "channels,dms",
    "TOKEN_TTL_MINUTES": "60",
    "REQUIRED_SCOPE": "",
    "DENIED_GROUPS": "banned,chat",
    "GROUP_FEATURES": "guests=channels",
    "MINTS_PER_MINUTE": "30",
    "TOKEN_REUSE": "never",
}
"""What a team sets, in the environment of every function; the names of AWS resources come on top."""


def event(name: str) -> dict[str, Any]:
    """One of the events of `events/`, as often as wanted."""
    loaded: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text())
    return loaded


def load_function(name: str) -> ModuleType:
    """`functions/<name>/app.py`, loaded anew as Lambda does at a cold start; what was loaded before stays garbage."""
    path = ROOT / "functions" / name / "app.py"
    spec = importlib.util.spec_from_file_location(f"{name}_{uuid.uuid4().hex}", path)
    if spec is None or spec.loader is None:
        raise AssertionError(path)
    module = importlib.util.module_from_spec(spec)
    with mock.patch.object(gc, "freeze"):
        spec.loader.exec_module(module)
    return module


@dataclass
class Run:
    """What a command came to."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its answer, when it was asked for JSON."""
        return json.loads(self.out)


@dataclass
class Context:
    """What Lambda hands to a handler besides the event."""

    aws_request_id: str = "request-1"
    remaining_millis: int = 10_000

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining_millis


class Clock:
    """A clock that moves only when it is told to; `advance` serves as a sleep that takes no time."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class Told(Observer):
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.users: list[str | None] = []
        self.counts: list[tuple[str, dict[str, Any]]] = []
        self.failures: list[tuple[BaseException, str | None]] = []
        self.defects = 0

    def concerns(self, sub: str | None) -> None:
        self.users.append(sub)

    def counted(self, metric: str, message: str, **fields: Any) -> None:
        self.counts.append((metric, fields))

    def failed(self, message: str, error: BaseException, *, metric: str | None = None) -> None:
        self.failures.append((error, metric))

    def broke(self, message: str) -> None:
        self.defects += 1


class Queue(SyncQueue):
    """Keeps what is sent and postponed; with ``error`` it refuses both."""

    def __init__(self, error: AwsError | None = None) -> None:
        self.sent: list[str] = []
        self.postponed: dict[str, int] = {}
        self._error = error

    def send_raw(self, body: str, *, deadline: Deadline) -> None:
        self._refuse()
        self.sent.append(body)

    def postpone(self, receipt_handle: str, seconds: int, *, deadline: Deadline) -> None:
        self._refuse()
        self.postponed[receipt_handle] = seconds

    def _refuse(self) -> None:
        if self._error is not None:
            raise self._error


class Enrolling(Enrolment):
    """Gives ``outcomes`` in order, the last one for ever; ``repairs`` in order."""

    def __init__(self, *outcomes: Link | Exception, repairs: Collection[Link | Exception | None] = ()) -> None:
        self.outcomes = list(outcomes)
        self.repairs = list(repairs)
        self.enrolled: list[UserRef] = []
        self.records: list[Record | None] = []
        self.repaired: list[tuple[UserRef, str]] = []

    def polling(self, users: Directory, sleep: Callable[[float], None]) -> "Enrolling":
        """Reads the record in ``users`` again and sleeps by ``sleep`` while another worker enrols the user."""
        self._users, self._sleep = users, sleep
        return self

    def enrol(
        self, user: UserRef, record: Record | None, person: PoolUser | None = None, *, deadline: Deadline
    ) -> Link:
        self.enrolled.append(user)
        self.records.append(record)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def repair(self, user: UserRef, unknown: str, person: PoolUser | None = None, *, deadline: Deadline) -> Link | None:
        self.repaired.append((user, unknown))
        outcome = self.repairs.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class FakeWhop(Whop):
    """A Whop without circuits: what a test does not answer itself is not there."""

    def prefetch(self) -> AbstractContextManager[None]:
        return nullcontext()


class Keys:
    """A key source that has the given keys, one after the other."""

    def __init__(self, *keys: str) -> None:
        self._keys = list(keys)
        self.refusals: list[str] = []

    def current(self, *, deadline: Deadline) -> str:
        return self._keys[0]

    def after_refusal(self, refused: str, *, deadline: Deadline) -> str | None:
        self.refusals.append(refused)
        if len(self._keys) > 1:
            self._keys.pop(0)
        return self._keys[0] if self._keys[0] != refused else None


class Server:
    """A server for `httpx.MockTransport`: gives the answers in order, raises those that are errors, keeps requests."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def circuit(clock: Callable[[], float] = time.time, *, store: WaitStore | None = None) -> Circuit:
    """The real circuit of one instance, without jitter; it shares what it knows with those that have the same store."""
    return Circuit(Waits(store or MemoryWaits(), clock=clock), Told(), clock=clock, jitter=lambda: 0.0)


def budget(clock: Callable[[], float] = time.time, *, places: int | None = None) -> Budget:
    """The real budget of one instance that is alone."""
    return Budget(LocalSlots(), places or ceiling(Share.FOREGROUND), Told(), clock=clock)


@contextmanager
def whop_over(
    server: Callable[[httpx.Request], httpx.Response],
    *,
    keys: KeySource | None = None,
    clock: Clock | None = None,
    company_field: Literal["account_id", "company_id"] = "account_id",
    store: WaitStore | None = None,
    places: int | None = None,
) -> Iterator[Whop]:
    """The real client, talking to ``server``; ``places`` is how often in five seconds, ``store`` what it shares."""
    clock = clock or Clock()
    yield Whop(
        HttpClient(httpx.MockTransport(server)),
        keys or Keys(API_KEY),
        base_url="https://api.whop.com",
        company_id=COMPANY_ID,
        api_version=API_VERSION,
        company_field=company_field,
        circuit=circuit(clock, store=store),
        budget=budget(clock, places=places),
        sleep=clock.advance,
    )
