"""What operations wait for: what both stores promise, what is DynamoDB's own, and what one instance knows of it."""

import dataclasses
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import pytest
from moto import mock_aws

from tests.fakes.clock import Clock
from tests.fakes.memory_circuit_state import MemoryCircuitStore
from tests.fakes.moto_aws import AN_HOUR, answer, aws_at_moto, aws_over, made_table
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline
from whop_chat.whop.circuit_state import CircuitState, CircuitStates, CircuitStore, DynamoDBCircuitStore, Reason

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TABLE, NOW = "users", 1_800_000_000.0
LIMITED = CircuitState(NOW + 12.345, Reason.LIMITED)
LATER = CircuitState(NOW + 30, Reason.LIMITED)
OPENED = CircuitState(NOW + 5, Reason.UNAVAILABLE, 1)
TRYING = CircuitState(NOW + 10.7, Reason.UNAVAILABLE, 2)


@pytest.fixture
def dynamodb() -> "Iterator[DynamoDBClient]":
    with mock_aws():
        yield made_table(TABLE)


def item(clock: float = NOW) -> DynamoDBCircuitStore:
    return DynamoDBCircuitStore(aws_at_moto(), TABLE, "biz_Company", clock=lambda: clock)


@pytest.fixture(params=["dynamodb", "memory"])
def store(request: pytest.FixtureRequest) -> CircuitStore:
    if request.param == "memory":
        return MemoryCircuitStore()
    request.getfixturevalue("dynamodb")
    return item()


# What both stores promise


def test_at_first_nothing_waits(store: CircuitStore) -> None:
    assert store.load(deadline=AN_HOUR) == {}


def test_waits_come_back_as_they_were_written_each_by_itself(store: CircuitStore) -> None:
    store.extend("mint_token", LIMITED, deadline=AN_HOUR)
    assert store.replace("create_account", TRYING, expected=None, deadline=AN_HOUR)

    assert store.load(deadline=AN_HOUR) == {"mint_token": LIMITED, "create_account": TRYING}
    assert all(getattr(TRYING, field.name) != field.default for field in dataclasses.fields(CircuitState))


def test_a_wait_is_prolonged_and_never_shortened(store: CircuitStore) -> None:
    store.extend("mint_token", LIMITED, deadline=AN_HOUR)
    store.extend("mint_token", LATER, deadline=AN_HOUR)
    store.extend("mint_token", LIMITED, deadline=AN_HOUR)

    assert store.load(deadline=AN_HOUR) == {"mint_token": LATER}


def test_of_two_who_go_on_from_one_wait_the_second_loses(store: CircuitStore) -> None:
    assert store.replace("mint_token", OPENED, expected=None, deadline=AN_HOUR)
    assert not store.replace("mint_token", TRYING, expected=None, deadline=AN_HOUR)
    assert store.replace("mint_token", TRYING, expected=OPENED, deadline=AN_HOUR)
    assert not store.replace("mint_token", None, expected=OPENED, deadline=AN_HOUR)

    assert store.load(deadline=AN_HOUR) == {"mint_token": TRYING}


def test_a_wait_that_is_taken_away_leaves_the_others(store: CircuitStore) -> None:
    store.extend("create_account", LIMITED, deadline=AN_HOUR)
    store.extend("mint_token", OPENED, deadline=AN_HOUR)

    assert store.replace("mint_token", None, expected=OPENED, deadline=AN_HOUR)
    assert store.load(deadline=AN_HOUR) == {"create_account": LIMITED}
    assert not store.replace("mint_token", None, expected=OPENED, deadline=AN_HOUR)


# What is DynamoDB's own


def test_the_item_expires_a_day_after_it_was_written_last(dynamodb: "DynamoDBClient") -> None:
    item().extend("mint_token", LIMITED, deadline=AN_HOUR)

    (written,) = dynamodb.scan(TableName=TABLE)["Items"]
    assert (written["pk"]["S"], written["ttl"]["N"]) == ("CIRCUIT#biz_Company", str(int(NOW) + 86400))
    assert item(LIMITED.until + 86399).load(deadline=AN_HOUR) == {"mint_token": LIMITED}
    assert item(LIMITED.until + 86400).load(deadline=AN_HOUR) == {}


@pytest.mark.usefixtures("dynamodb")
def test_what_has_expired_and_is_not_deleted_yet_stands_in_nobodys_way() -> None:
    item().extend("mint_token", LIMITED, deadline=AN_HOUR)
    item().extend("create_account", LIMITED, deadline=AN_HOUR)
    later, opened = item(NOW + 2 * 86400), dataclasses.replace(OPENED, until=NOW + 2 * 86400 + 5)

    assert later.replace("mint_token", opened, expected=None, deadline=AN_HOUR)
    assert later.load(deadline=AN_HOUR) == {"mint_token": opened}
    assert not later.replace("mint_token", TRYING, expected=None, deadline=AN_HOUR)


@pytest.mark.usefixtures("dynamodb")
def test_another_failure_is_told_as_it_is() -> None:
    nowhere = DynamoDBCircuitStore(aws_at_moto(), "no-such-table", "biz_Company")
    with pytest.raises(AwsError, match="ResourceNotFoundException"):
        nowhere.load(deadline=AN_HOUR)
    with pytest.raises(AwsError, match="ResourceNotFoundException"):
        nowhere.extend("mint_token", LIMITED, deadline=AN_HOUR)


@pytest.mark.usefixtures("dynamodb")
def test_a_replacement_whose_answer_was_lost_is_known_to_have_arrived() -> None:
    def arrives_without_an_answer(request: httpx.Request) -> httpx.Response:
        arrived = answer(request)
        if request.headers["X-Amz-Target"].endswith(".UpdateItem") and arrived.status_code == 200:
            raise httpx.ReadTimeout("the answer is lost")
        return arrived

    aws = aws_over(httpx.MockTransport(arrives_without_an_answer))
    waits = CircuitStates(DynamoDBCircuitStore(aws, TABLE, "biz_Company", clock=lambda: NOW), clock=lambda: NOW)

    assert waits.replace("mint_token", OPENED, expected=None, deadline=AN_HOUR)
    assert waits.cached("mint_token") == OPENED


# What one instance knows


class Counted(MemoryCircuitStore):
    """Counts how often it is read; with ``error`` nothing works."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.error: AwsError | None = None

    def load(self, *, deadline: Deadline | None = None) -> dict[str, CircuitState]:
        self.reads += 1
        self._fail()
        return super().load()

    def extend(self, operation: str, state: CircuitState, *, deadline: Deadline | None = None) -> None:
        self._fail()
        super().extend(operation, state)

    def replace(
        self,
        operation: str,
        state: CircuitState | None,
        *,
        expected: CircuitState | None,
        deadline: Deadline | None = None,
    ) -> bool:
        self._fail()
        return super().replace(operation, state, expected=expected)

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error


class Two:
    """Two instances with one store and one clock."""

    def __init__(self) -> None:
        self.store = Counted()
        self.clock = Clock(NOW)
        self.one, self.other = (CircuitStates(self.store, clock=self.clock) for _ in range(2))

    def lose_the_table(self) -> None:
        self.store.error = AwsError("ServiceUnavailable")


def test_what_one_instance_was_told_the_other_knows_a_second_later() -> None:
    two = Two()
    assert two.other.get("mint_token", deadline=AN_HOUR) is None
    two.one.extend("mint_token", LATER, deadline=AN_HOUR)

    two.clock.advance(1)
    assert two.other.get("mint_token", deadline=AN_HOUR) == LATER


def test_a_new_instance_knows_it_at_once() -> None:
    two = Two()
    two.one.extend("mint_token", LATER, deadline=AN_HOUR)

    assert two.other.get("mint_token", deadline=AN_HOUR) == LATER


def test_the_table_is_read_once_a_second_at_most_also_when_it_fails() -> None:
    two = Two()
    for error in (None, AwsError("ServiceUnavailable")):
        two.store.error, two.store.reads = error, 0
        two.clock.advance(1)
        for _ in range(10):
            two.one.get("mint_token", deadline=AN_HOUR)
            two.clock.advance(0.09)
        assert two.store.reads == 1


def test_a_clock_that_was_set_back_stops_no_reading() -> None:
    two = Two()
    two.one.refresh(deadline=AN_HOUR)
    two.clock.advance(-3600)
    two.one.refresh(deadline=AN_HOUR)

    assert two.store.reads == 2


def test_without_the_table_what_is_known_counts_and_a_replacement_is_taken_for_ours() -> None:
    two = Two()
    two.one.extend("mint_token", LATER, deadline=AN_HOUR)
    two.lose_the_table()
    two.one.extend("create_account", LIMITED, deadline=AN_HOUR)
    two.clock.advance(1)

    assert two.one.get("mint_token", deadline=AN_HOUR) == LATER
    assert two.one.get("create_account", deadline=AN_HOUR) == LIMITED
    assert two.one.replace("update_user", OPENED, expected=None, deadline=AN_HOUR)
    assert two.one.cached("update_user") == OPENED


def test_what_whop_told_an_instance_it_knows_also_if_the_table_never_took_it() -> None:
    two = Two()
    two.lose_the_table()
    two.one.extend("mint_token", LATER, deadline=AN_HOUR)
    two.store.error = None
    two.clock.advance(1)

    assert two.one.get("mint_token", deadline=AN_HOUR) == LATER


def test_a_told_wait_that_the_table_never_took_and_that_is_over_is_in_nobody_s_way() -> None:
    two = Two()
    two.lose_the_table()
    two.one.extend("mint_token", LATER, deadline=AN_HOUR)
    two.store.error = None
    two.clock.advance(30)

    assert two.one.get("mint_token", deadline=AN_HOUR) is None
    assert two.one.replace("mint_token", OPENED, expected=None, deadline=AN_HOUR)


def test_a_wait_that_an_operator_deletes_is_over_for_whoever_only_read_of_it() -> None:
    two = Two()
    two.store.extend("mint_token", LATER)
    assert two.one.get("mint_token", deadline=AN_HOUR) == LATER
    two.store.states.clear()
    two.clock.advance(1)

    assert two.one.get("mint_token", deadline=AN_HOUR) is None


def test_a_wait_that_an_operator_deletes_is_over_for_whoever_learned_it_from_whop_too() -> None:
    two = Two()
    two.one.extend("mint_token", LATER, deadline=AN_HOUR)
    two.store.states.clear()
    two.clock.advance(1)

    assert two.one.get("mint_token", deadline=AN_HOUR) is None


def test_who_loses_a_replacement_knows_the_winner_s() -> None:
    two = Two()
    two.one.replace("mint_token", OPENED, expected=None, deadline=AN_HOUR)

    assert not two.other.replace("mint_token", TRYING, expected=None, deadline=AN_HOUR)
    assert two.other.cached("mint_token") == OPENED


def test_a_wait_is_written_also_when_the_time_of_the_call_is_up() -> None:
    two = Two()
    two.one.extend("mint_token", LATER, deadline=Deadline(0))

    assert two.store.states == {"mint_token": LATER}


def test_whoever_asks_while_the_table_is_read_has_the_answer_of_that_read() -> None:
    read, released = threading.Event(), threading.Event()

    class Slow(Counted):
        def load(self, *, deadline: Deadline | None = None) -> dict[str, CircuitState]:
            read.set()
            released.wait(5)
            return super().load()

    store = Slow()
    store.extend("mint_token", LATER)
    waits = CircuitStates(store, clock=lambda: NOW)
    with ThreadPoolExecutor() as pool:
        ahead = pool.submit(waits.refresh, deadline=AN_HOUR)
        assert read.wait(5)
        asked = pool.submit(waits.get, "mint_token", deadline=AN_HOUR)
        released.set()
        ahead.result(5)
        assert asked.result(5) == LATER

    assert store.reads == 1
