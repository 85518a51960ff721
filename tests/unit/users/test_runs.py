"""The users of a run: each is counted once, whatever is delivered, killed or stopped in between."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from moto import mock_aws

from tests.fakes import moto_aws
from tests.fakes.clock import Clock
from tests.fakes.memory_runs import MemoryRuns
from tests.fakes.moto_aws import AN_HOUR, aws_at_moto, aws_over, made_table
from whop_chat.runtime.aws import AwsError
from whop_chat.users.runs import HANDED_ON, DynamoDBRuns, Runs, State, is_run

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOW = 1_800_000_000
RUN, OTHER = "20270115T080000Z-0a1b2c", "20270115T080000Z-ffffff"
TABLE, POOL = "users", "eu-west-1_Pool"


@pytest.fixture
def table() -> "Iterator[DynamoDBClient]":
    with mock_aws():
        yield made_table(TABLE)


@pytest.fixture(params=["dynamodb", "memory"])
def runs(request: pytest.FixtureRequest) -> Runs:
    if request.param == "memory":
        return MemoryRuns()
    request.getfixturevalue("table")
    return DynamoDBRuns(aws_at_moto(), TABLE, POOL, clock=Clock(NOW))


def counts(runs: Runs, run: str = RUN) -> dict[str, int]:
    """The counts that are not 0."""
    found = runs.progress(run, deadline=AN_HOUR).counts
    assert set(found) == set(State)
    return {state: count for state, count in found.items() if count}


def advance(runs: Runs, state: State, *subs: str) -> None:
    runs.advance(RUN, subs, state, deadline=AN_HOUR)


def test_an_unknown_run_has_counted_nobody_and_is_not_stopped(runs: Runs) -> None:
    progress = runs.progress(RUN, deadline=AN_HOUR)

    assert (progress.handed_on, progress.settled, progress.waiting, progress.stopped) == (0, 0, 0, False)


def test_users_are_handed_on_and_then_settled(runs: Runs) -> None:
    advance(runs, State.TO_ENROL, "ada", "bob", "cy")
    advance(runs, State.TO_UPDATE, "dan")
    advance(runs, State.ENROLLED, "ada")
    advance(runs, State.LEFT, "bob")
    advance(runs, State.UPDATED, "dan")

    assert counts(runs) == {"to_enrol": 3, "to_update": 1, "enrolled": 1, "left": 1, "updated": 1}
    progress = runs.progress(RUN, deadline=AN_HOUR)
    assert (progress.handed_on, progress.settled, progress.waiting) == (4, 3, 1)


@pytest.mark.parametrize("state", State)
def test_who_is_delivered_again_is_counted_once(runs: Runs, state: State) -> None:
    for _ in range(3):
        advance(runs, state, "ada", "bob")

    progress = runs.progress(RUN, deadline=AN_HOUR)
    assert progress.handed_on == 2
    assert progress.settled == (0 if state in HANDED_ON else 2)


@pytest.mark.parametrize("state", [state for state in State if state not in HANDED_ON])
def test_who_was_settled_before_they_were_handed_on_counts_for_both(runs: Runs, state: State) -> None:
    handed_on = State.TO_UPDATE if state is State.UPDATED else State.TO_ENROL
    advance(runs, state, "ada")
    advance(runs, handed_on, "ada", "bob")

    assert counts(runs) == {handed_on: 2, state: 1}


@pytest.mark.parametrize("end", [State.LEFT, State.STOPPED, State.UNKNOWN])
def test_only_an_enrolment_replaces_another_end(runs: Runs, end: State) -> None:
    advance(runs, State.TO_ENROL, "ada", "bob")
    advance(runs, end, "ada", "bob")
    advance(runs, State.ENROLLED, "ada")
    for later in (State.STOPPED, State.LEFT, State.UNKNOWN, State.UPDATED):
        advance(runs, later, "ada", "bob")

    assert counts(runs) == {"to_enrol": 2, end: 1, "enrolled": 1}


def test_a_stopped_run_stays_stopped_and_still_counts(runs: Runs) -> None:
    advance(runs, State.TO_ENROL, "ada")
    runs.stop(RUN, deadline=AN_HOUR)
    runs.stop(RUN, deadline=AN_HOUR)
    advance(runs, State.STOPPED, "ada")

    assert runs.is_stopped(RUN, deadline=AN_HOUR)
    assert counts(runs) == {"to_enrol": 1, "stopped": 1}
    assert not runs.is_stopped(OTHER, deadline=AN_HOUR)
    assert counts(runs, OTHER) == {}


def test_any_order_of_events_comes_to_the_same_end(runs: Runs) -> None:
    """Two deliveries of one message and its sender, in every order: one delivery enrols, one finds the run stopped."""
    orders = list(itertools.permutations((State.TO_ENROL, State.STOPPED, State.ENROLLED)))
    for number, order in enumerate(orders):
        for state in order:
            advance(runs, state, f"user-{number}")

    assert counts(runs) == {"to_enrol": len(orders), "enrolled": len(orders)}


def test_what_a_run_leaves_in_the_table_expires_with_its_report(table: "DynamoDBClient") -> None:
    clock = Clock(NOW)
    runs = DynamoDBRuns(aws_at_moto(), TABLE, POOL, clock=clock)
    advance(runs, State.TO_ENROL, "ada")
    clock.advance(3600)
    runs.stop(RUN, deadline=AN_HOUR)

    items = {item["pk"]["S"]: item for item in table.scan(TableName=TABLE)["Items"]}
    assert items.keys() == {f"RUN#{POOL}#{RUN}", f"RUN#{POOL}#{RUN}#ada"}
    assert {item["ttl"]["N"] for item in items.values()} == {str(NOW + 90 * 86400)}
    assert items[f"RUN#{POOL}#{RUN}"]["stopped_at"] == {"N": str(NOW + 3600)}


def test_a_stop_that_comes_before_any_user_expires_too(table: "DynamoDBClient") -> None:
    DynamoDBRuns(aws_at_moto(), TABLE, POOL, clock=Clock(NOW)).stop(RUN, deadline=AN_HOUR)

    [item] = table.scan(TableName=TABLE)["Items"]
    assert item["ttl"] == {"N": str(NOW + 90 * 86400)}


class Meanwhile:
    """Moto, where something happens just before the writes of this name; each once."""

    def __init__(self, operation: str, *events: Callable[[], object]) -> None:
        self._operation = operation
        self._events = iter(events)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.headers["X-Amz-Target"].endswith(self._operation):
            next(self._events, lambda: None)()
        return moto_aws.answer(request)


def runs_meanwhile(operation: str, *events: Callable[[], object]) -> Runs:
    aws = aws_over(httpx.MockTransport(Meanwhile(operation, *events)))
    return DynamoDBRuns(aws, TABLE, POOL, clock=Clock(NOW))


def test_two_workers_with_one_user_count_them_once(table: "DynamoDBClient") -> None:
    first = DynamoDBRuns(aws_at_moto(), TABLE, POOL, clock=Clock(NOW))
    advance(first, State.TO_ENROL, "ada", "bob")
    second = runs_meanwhile("TransactWriteItems", lambda: advance(first, State.STOPPED, "ada"))
    advance(second, State.ENROLLED, "ada")
    third = runs_meanwhile("TransactWriteItems", lambda: advance(first, State.ENROLLED, "bob"))
    advance(third, State.STOPPED, "bob")

    assert counts(first) == {"to_enrol": 2, "enrolled": 2}


def test_a_sender_whose_users_are_handled_meanwhile_hands_on_the_rest(table: "DynamoDBClient") -> None:
    first = DynamoDBRuns(aws_at_moto(), TABLE, POOL, clock=Clock(NOW))
    second = runs_meanwhile("TransactWriteItems", lambda: advance(first, State.ENROLLED, "ada"))
    advance(second, State.TO_ENROL, "ada", "bob")

    assert counts(first) == {"to_enrol": 2, "enrolled": 1}


@pytest.mark.parametrize(
    ("operation", "use", "calls"),
    [
        # The carrier repeats this one by itself.
        ("UpdateItem", lambda runs: runs.stop(RUN, deadline=AN_HOUR), 10),
        ("TransactWriteItems", lambda runs: advance(runs, State.TO_ENROL, "ada"), 5),
    ],
    ids=["stop", "advance"],
)
def test_a_conflict_is_tried_again_and_then_told(
    table: "DynamoDBClient", operation: str, use: Callable[[Runs], Any], calls: int
) -> None:
    kind = "TransactionCanceledException" if operation == "TransactWriteItems" else "TransactionConflictException"
    conflicts = Counter[str]()

    def answer(request: httpx.Request) -> httpx.Response:
        if request.headers["X-Amz-Target"].endswith(operation):
            conflicts["left"] -= 1
            if conflicts["left"] >= 0:
                return httpx.Response(400, json={"__type": f"com.amazonaws.dynamodb#{kind}"})
        return moto_aws.answer(request)

    runs = DynamoDBRuns(aws_over(httpx.MockTransport(answer)), TABLE, POOL, clock=Clock(NOW))
    conflicts["left"] = 4
    use(runs)
    conflicts["left"] = 1000
    with pytest.raises(AwsError, match=kind):
        use(DynamoDBRuns(aws_over(httpx.MockTransport(answer)), TABLE, f"{POOL}2", clock=Clock(NOW)))
    assert 1000 - conflicts["left"] == calls


def test_another_error_is_not_tried_again() -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(400, json={"__type": "com.amazonaws.dynamodb#ResourceNotFoundException"})

    runs = DynamoDBRuns(aws_over(httpx.MockTransport(answer)), TABLE, POOL)
    with pytest.raises(AwsError, match="ResourceNotFoundException"):
        runs.stop(RUN, deadline=AN_HOUR)
    assert len(asked) == 1


def test_a_count_that_is_no_number_is_an_error_of_aws(table: "DynamoDBClient") -> None:
    table.put_item(TableName=TABLE, Item={"pk": {"S": f"RUN#{POOL}#{RUN}"}, "enrolled": {"S": "many"}})

    with pytest.raises(AwsError, match="InvalidResponse"):
        DynamoDBRuns(aws_at_moto(), TABLE, POOL).progress(RUN, deadline=AN_HOUR)


def test_the_words_for_a_state_are_stored_so_they_stay() -> None:
    assert [*State] == ["to_enrol", "to_update", "enrolled", "updated", "left", "stopped", "unknown"]


@pytest.mark.parametrize("text", ["", "run-1", f"{RUN}#", RUN.upper(), f"{RUN}\n", "20270115T080000Z-0a1b2"])
def test_only_the_id_of_a_run_is_one(text: str) -> None:
    assert is_run(RUN)
    assert not is_run(text)
