"""Whop: absent, or the real client in front of a server of the test."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal

import httpx

from tests.fakes.clock import Clock
from tests.fakes.memory_circuit_state import MemoryCircuitStore
from tests.fakes.settings import API_KEY, API_VERSION, COMPANY_ID
from tests.fakes.telemetry import RecordingTelemetry
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.http import HttpClient
from whop_chat.runtime.telemetry import Telemetry
from whop_chat.whop.circuit_breaker import CircuitBreaker
from whop_chat.whop.circuit_state import CircuitStates, CircuitStore
from whop_chat.whop.client import KeySource, Whop
from whop_chat.whop.rate_limit import LocalWindows, Priority, RateLimiter, permits_per_window


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


def circuit(clock: Callable[[], float] = time.time, *, store: CircuitStore | None = None) -> CircuitBreaker:
    """The real circuit of one instance, without jitter; it shares what it knows with those that have the same store."""
    return CircuitBreaker(
        CircuitStates(store or MemoryCircuitStore(), clock=clock), RecordingTelemetry(), clock=clock, jitter=lambda: 0.0
    )


def rate_limiter(clock: Callable[[], float] = time.time, *, places: int | None = None) -> RateLimiter:
    """The real rate limiter of one instance that is alone."""
    return RateLimiter(
        LocalWindows(), places or permits_per_window(Priority.FOREGROUND), RecordingTelemetry(), clock=clock
    )


@contextmanager
def whop_over(
    server: Callable[[httpx.Request], httpx.Response],
    *,
    keys: KeySource | None = None,
    clock: Clock | None = None,
    company_field: Literal["account_id", "company_id"] = "account_id",
    store: CircuitStore | None = None,
    places: int | None = None,
    telemetry: Telemetry | None = None,
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
        rate_limiter=rate_limiter(clock, places=places),
        telemetry=telemetry or RecordingTelemetry(),
        sleep=clock.advance,
    )
