"""What the readiness check finds, stores and counts."""

import dataclasses
from typing import Any

import httpx
import pytest

from tests.fakes import tokens
from tests.fakes.clock import Clock
from tests.fakes.http_server import Server
from tests.fakes.readiness import FixedBacklog, FixedReadiness
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.whop import Keys, whop_over
from whop_chat.cognito.jwks import JwksError
from whop_chat.readiness.check import ReadinessCheck
from whop_chat.readiness.store import Readiness
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.runtime.metrics import KEY_REFUSED, NOT_READY
from whop_chat.whop.api_key import NotConfigured

NOW = 1_800_000_000
READY = dict.fromkeys(("api_key", "whop", "key_set", "table", "queue"), "ok")
FOUND = httpx.Response(200, json={"data": []})


class _NoKey(Keys):
    """Has no key, for one reason."""

    def __init__(self, error: Exception) -> None:
        super().__init__("key")
        self._error = error

    def current(self, *, deadline: Deadline) -> str:
        raise self._error


@dataclasses.dataclass
class Case:
    """The parts of a check, all ready unless a test says otherwise."""

    answer: httpx.Response | Exception = FOUND
    keys: Keys = dataclasses.field(default_factory=lambda: Keys("key"))
    key_set: bytes | Exception = dataclasses.field(
        default_factory=lambda: tokens.key_set_document(tokens.signing_key())
    )
    backlog: FixedBacklog = dataclasses.field(default_factory=FixedBacklog)
    store: FixedReadiness = dataclasses.field(default_factory=FixedReadiness)
    telemetry: RecordingTelemetry = dataclasses.field(default_factory=RecordingTelemetry)

    def run(self) -> Readiness:
        server = Server(self.answer, self.answer)
        with whop_over(server, keys=self.keys, telemetry=self.telemetry) as whop:
            check = ReadinessCheck(whop, self._fetch, self.backlog, self.store, self.telemetry, clock=Clock(NOW + 0.5))
            return check.run()

    def _fetch(self, deadline: Deadline) -> bytes:
        if isinstance(self.key_set, Exception):
            raise self.key_set
        return self.key_set


def test_a_stack_that_is_ready_is_stored_as_such_and_counts_nothing() -> None:
    case = Case()

    assert case.run() == Readiness(NOW, READY)
    assert case.store.saved == [Readiness(NOW, READY)]
    assert case.telemetry.counted(NOT_READY) == []
    assert case.telemetry.failures == []


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        ({"answer": httpx.Response(401)}, {"api_key": "refused"}),
        ({"answer": httpx.Response(403)}, {"api_key": "forbidden"}),
        ({"answer": httpx.Response(500)}, {"api_key": "unknown", "whop": "unavailable"}),
        ({"answer": httpx.ConnectError("")}, {"api_key": "unknown", "whop": "unavailable"}),
        ({"answer": httpx.Response(200, text="<html>")}, {"whop": "unexpected_answer"}),
        ({"keys": _NoKey(NotConfigured("empty"))}, {"api_key": "not_configured", "whop": "unknown"}),
        ({"keys": _NoKey(AwsError("AccessDenied"))}, {"api_key": "unreadable", "whop": "unknown"}),
        ({"keys": _NoKey(DeadlineExceeded())}, {"api_key": "unreadable", "whop": "unknown"}),
        ({"key_set": JwksError("status 500")}, {"key_set": "unavailable"}),
        ({"key_set": b"{}"}, {"key_set": "unavailable"}),
        ({"backlog": FixedBacklog(AwsError("x"))}, {"table": "unavailable", "queue": "unknown"}),
        ({"backlog": FixedBacklog(3600)}, {"queue": "late"}),
    ],
    ids=str,
)
def test_a_part_that_is_not_ready_is_named_stored_and_counted(parts: dict[str, Any], found: dict[str, str]) -> None:
    case = Case(**parts)

    assert case.run().checks == READY | found
    assert [each.checks for each in case.store.saved] == [READY | found]
    assert case.telemetry.counted(NOT_READY) == [{}]


@pytest.mark.parametrize(
    "parts", [{"answer": httpx.Response(429)}, {"backlog": FixedBacklog(3599)}], ids=["limited", "young"]
)
def test_what_passes_by_itself_is_ready(parts: dict[str, Any]) -> None:
    case = Case(**parts)

    assert case.run().checks == READY
    assert case.telemetry.counted(NOT_READY) == []


def test_a_refused_key_also_counts_as_one() -> None:
    case = Case(answer=httpx.Response(401))
    case.run()

    assert case.telemetry.counted(KEY_REFUSED) == [{}]


def test_a_result_that_cannot_be_stored_is_not_ready() -> None:
    case = Case(store=FixedReadiness(AwsError("x")))

    assert case.run().checks == READY | {"table": "unavailable"}
    assert case.telemetry.counted(NOT_READY) == [{}]


def test_an_error_that_nobody_expects_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        Case(keys=_NoKey(ZeroDivisionError())).run()
