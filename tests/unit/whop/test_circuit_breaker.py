"""The circuit: when it opens, that it lets exactly one try, how it grows, and that nobody returns all at once."""

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.clock import Clock
from tests.fakes.memory_circuit_state import MemoryCircuitStore
from tests.fakes.moto_aws import AN_HOUR
from tests.fakes.telemetry import RecordingTelemetry
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline
from whop_chat.sync.worker import SECONDS_PER_USER
from whop_chat.whop.circuit_breaker import CircuitBreaker, Rejection
from whop_chat.whop.circuit_state import CircuitState, CircuitStates, Reason

NOW = 1_800_000_000.0
CREATE, MINT = "create_account", "mint_token"


class Fleet:
    """Instances that share what they know, each with its own circuit; no two ever know it by the same object."""

    def __init__(self, size: int, *, jitter: Callable[[], float] = lambda: 0.0) -> None:
        self.clock = Clock(NOW)
        self.store = MemoryCircuitStore()
        self.told = [RecordingTelemetry() for _ in range(size)]
        self.instances = [
            CircuitBreaker(CircuitStates(self.store, clock=self.clock), told, clock=self.clock, jitter=jitter)
            for told in self.told
        ]

    @property
    def one(self) -> CircuitBreaker:
        return self.instances[0]

    def go_dead(self, operation: str = CREATE) -> None:
        """The first instance has three calls without an answer."""
        for _ in range(3):
            assert self.may_call(self.one, operation)
            self.one.record_failure(operation, deadline=AN_HOUR)

    def may_call(self, instance: CircuitBreaker, operation: str = CREATE) -> bool:
        return instance.check(operation, deadline=AN_HOUR) is None

    def callers(self) -> list[CircuitBreaker]:
        """Who of all may call now, when all ask."""
        return [instance for instance in self.instances if self.may_call(instance)]

    def counted(self) -> list[str]:
        return [message for told in self.told for message, _ in told.events]


def test_after_three_calls_without_an_answer_nobody_calls_for_five_seconds() -> None:
    fleet = Fleet(3)
    fleet.go_dead()
    fleet.clock.advance(1)

    assert fleet.callers() == []
    assert [each.check(CREATE, deadline=AN_HOUR) for each in fleet.instances] == [Rejection(Reason.UNAVAILABLE, 4)] * 3
    assert fleet.counted() == ["circuit opened"]


def test_who_only_looks_leaves_the_probe_to_a_caller() -> None:
    fleet = Fleet(2)
    fleet.go_dead()
    assert fleet.one.peek(CREATE, deadline=AN_HOUR) == Rejection(Reason.UNAVAILABLE, 5)
    fleet.clock.advance(5)

    assert fleet.one.peek(CREATE, deadline=AN_HOUR) is None
    assert fleet.callers() == [fleet.one]


def test_other_operations_are_called_as_before() -> None:
    fleet = Fleet(2)
    fleet.go_dead(CREATE)

    assert all(fleet.may_call(instance, MINT) for instance in fleet.instances)


def test_an_answer_in_between_begins_the_count_again() -> None:
    fleet = Fleet(1)
    for _ in range(5):
        for _ in range(2):
            fleet.one.record_failure(CREATE, deadline=AN_HOUR)
        fleet.one.record_success(CREATE, deadline=AN_HOUR)

    assert fleet.may_call(fleet.one)
    assert fleet.counted() == []


def test_when_the_time_is_up_exactly_one_of_all_tries() -> None:
    fleet = Fleet(20)
    fleet.go_dead()
    fleet.clock.advance(5)

    assert len(fleet.callers()) == 1
    assert fleet.callers() == []


def test_whoever_tries_has_more_time_than_a_call_takes() -> None:
    """Else a second one would try while the first still waits for its answer."""
    fleet = Fleet(2)
    fleet.go_dead()
    fleet.clock.advance(5)
    assert len(fleet.callers()) == 1
    fleet.clock.advance(SECONDS_PER_USER)

    assert fleet.callers() == []


def test_an_answer_closes_the_circuit_for_everybody() -> None:
    fleet = Fleet(5)
    fleet.go_dead()
    fleet.clock.advance(5)
    (trying,) = fleet.callers()
    trying.record_success(CREATE, deadline=AN_HOUR)
    fleet.clock.advance(1)

    assert fleet.callers() == fleet.instances
    assert fleet.store.states == {}
    assert fleet.counted() == ["circuit opened", "circuit closed"]


def test_the_time_doubles_from_try_to_try_up_to_a_minute() -> None:
    fleet = Fleet(3)
    fleet.go_dead()
    closed_for = []
    for _ in range(7):
        (begun,) = [wait.until - fleet.clock() for wait in fleet.store.states.values()]
        closed_for.append(begun)
        fleet.clock.advance(begun)
        (trying,) = fleet.callers()
        trying.record_failure(CREATE, deadline=AN_HOUR)

    assert closed_for == [5, 10, 20, 40, 60, 60, 60]
    assert fleet.counted() == ["circuit opened"]


def test_one_who_tried_and_was_killed_is_followed_by_the_next() -> None:
    fleet = Fleet(3)
    fleet.go_dead()
    fleet.clock.advance(5)
    assert len(fleet.callers()) == 1
    fleet.clock.advance(10)

    assert len(fleet.callers()) == 1


def test_one_failure_after_the_recovery_does_not_open_the_circuit_of_others_again() -> None:
    fleet = Fleet(2)
    _, other = fleet.instances
    for _ in range(2):
        other.record_failure(CREATE, deadline=AN_HOUR)
    fleet.go_dead()
    fleet.clock.advance(1)
    assert not fleet.may_call(other)
    fleet.clock.advance(4)
    assert fleet.may_call(fleet.one)
    fleet.one.record_success(CREATE, deadline=AN_HOUR)
    fleet.clock.advance(1)
    other.record_failure(CREATE, deadline=AN_HOUR)

    assert fleet.may_call(other)


def test_a_429_stops_every_instance_until_the_time_it_told_and_then_none() -> None:
    fleet = Fleet(3)
    fleet.one.record_rate_limit(CREATE, 30, deadline=AN_HOUR)
    fleet.clock.advance(29.5)
    assert [each.check(CREATE, deadline=AN_HOUR) for each in fleet.instances] == [Rejection(Reason.LIMITED, 0.5)] * 3
    fleet.clock.advance(0.5)

    assert fleet.callers() == fleet.instances
    assert fleet.counted() == ["rate limited by Whop"]
    assert [name for told in fleet.told for name, *_ in told.counts] == ["WaitsTold"]


def test_the_longest_wait_that_was_told_counts() -> None:
    fleet = Fleet(2)
    for seconds in (30, 5):
        fleet.one.record_rate_limit(CREATE, seconds, deadline=AN_HOUR)
    fleet.clock.advance(6)

    assert fleet.callers() == []


def test_a_429_to_the_one_who_tries_is_an_answer() -> None:
    fleet = Fleet(3)
    fleet.go_dead()
    fleet.clock.advance(5)
    (trying,) = fleet.callers()
    trying.record_rate_limit(CREATE, 2, deadline=AN_HOUR)
    fleet.clock.advance(2)

    assert fleet.callers() == fleet.instances


def test_a_circuit_opens_also_after_a_told_wait_that_is_over() -> None:
    fleet = Fleet(2)
    fleet.one.record_rate_limit(CREATE, 2, deadline=AN_HOUR)
    fleet.clock.advance(2)
    fleet.go_dead()
    fleet.clock.advance(1)

    assert fleet.callers() == []


class Gone(MemoryCircuitStore):
    """A table that does not answer."""

    def load(self, *, deadline: Deadline | None = None) -> dict[str, CircuitState]:
        raise AwsError("ServiceUnavailable")

    def extend(self, operation: str, state: CircuitState, *, deadline: Deadline | None = None) -> None:
        raise AwsError("ServiceUnavailable")

    def replace(
        self,
        operation: str,
        state: CircuitState | None,
        *,
        expected: CircuitState | None,
        deadline: Deadline | None = None,
    ) -> bool:
        raise AwsError("ServiceUnavailable")


def test_a_call_from_before_that_is_not_answered_does_not_shorten_a_told_wait() -> None:
    fleet = Fleet(3)
    silent, told, _ = fleet.instances
    for _ in range(2):
        silent.record_failure(CREATE, deadline=AN_HOUR)
    told.record_rate_limit(CREATE, 300, deadline=AN_HOUR)
    fleet.clock.advance(2)
    assert silent.check(MINT, deadline=AN_HOUR) is None  # which reads the waits of all operations
    silent.record_failure(CREATE, deadline=AN_HOUR)
    fleet.clock.advance(290)

    assert fleet.callers() == []


def test_without_the_table_an_instance_has_a_circuit_of_its_own() -> None:
    fleet = Fleet(0)
    circuit = CircuitBreaker(
        CircuitStates(Gone(), clock=fleet.clock), RecordingTelemetry(), clock=fleet.clock, jitter=lambda: 0.0
    )
    assert fleet.may_call(circuit)
    for _ in range(3):
        circuit.record_failure(CREATE, deadline=AN_HOUR)
    assert not fleet.may_call(circuit)
    fleet.clock.advance(5)
    assert fleet.may_call(circuit)
    assert not fleet.may_call(circuit)
    circuit.record_success(CREATE, deadline=AN_HOUR)

    assert fleet.may_call(circuit)


def test_no_two_outages_have_the_same_rhythm() -> None:
    waits = set()
    for chance in (0.0, 0.5, 1.0):
        fleet = Fleet(1, jitter=lambda chance=chance: chance)  # type: ignore[misc]
        fleet.go_dead()
        waits |= {wait.until - NOW for wait in fleet.store.states.values()}

    assert sorted(waits) == [5, 5.625, 6.25]


@given(
    steps=st.lists(st.tuples(st.integers(0, 4), st.floats(0, 3)), min_size=1, max_size=60),
    jitter=st.floats(0, 1),
)
def test_during_an_outage_one_of_all_tries_at_a_time_whoever_asks_when_and_its_answer_frees_all(
    steps: list[tuple[int, float]], jitter: float
) -> None:
    fleet = Fleet(5, jitter=lambda: jitter)
    changed, tries = NOW, []
    for number, pause in steps:
        fleet.clock.advance(pause)
        before = fleet.store.states.get(CREATE)
        if fleet.may_call(fleet.instances[number]):
            if before is not None and before.until <= fleet.clock():
                tries.append(fleet.clock())
            elif before is not None:
                assert fleet.clock() - changed < 1, "nobody goes on for more than a second after the circuit opened"
            fleet.instances[number].record_failure(CREATE, deadline=AN_HOUR)
        if fleet.store.states.get(CREATE) != before:
            changed = fleet.clock()
    assert all(later - earlier >= 10 for earlier, later in itertools.pairwise(tries))

    fleet.clock.advance(75)
    if CREATE in fleet.store.states:
        (trying,) = fleet.callers()
        trying.record_success(CREATE, deadline=AN_HOUR)
        fleet.clock.advance(1)
    assert fleet.callers() == fleet.instances


@pytest.mark.parametrize("number", range(3))
def test_an_answer_to_a_call_from_before_closes_the_circuit_too(number: int) -> None:
    fleet = Fleet(3)
    fleet.go_dead()
    fleet.clock.advance(1)
    late = fleet.instances[number]
    assert not fleet.may_call(late)
    late.record_success(CREATE, deadline=AN_HOUR)
    fleet.clock.advance(1)

    assert fleet.callers() == fleet.instances
