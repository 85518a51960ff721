"""What a run remembers: what both implementations promise, then what is DynamoDB's own."""

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx
import pytest
from moto import mock_aws

from tests.fakes.memory_checkpoints import MemoryCheckpoints
from tests.fakes.moto_aws import AN_HOUR, answer, aws_at_moto, aws_over, made_table
from whop_chat.reconcile.checkpoint import Checkpoint, CheckpointStore, Phase, Superseded
from whop_chat.runtime.aws import AwsError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TABLE, POOL, NOW = "users", "eu-west-1_Pool", 1_800_000_000.0
BEGUN = Checkpoint(run="run-1", backfill=True, dry_run=False, started_at=NOW)


@pytest.fixture
def dynamodb() -> "Iterator[DynamoDBClient]":
    with mock_aws():
        yield made_table(TABLE)


@pytest.fixture(params=["dynamodb", "memory"])
def checkpoints(request: pytest.FixtureRequest) -> CheckpointStore | MemoryCheckpoints:
    if request.param == "memory":
        return MemoryCheckpoints()
    request.getfixturevalue("dynamodb")
    return CheckpointStore(aws_at_moto(), TABLE, POOL, clock=lambda: NOW)


def test_before_the_first_run_there_is_nothing(checkpoints: CheckpointStore | MemoryCheckpoints) -> None:
    assert checkpoints.load(deadline=AN_HOUR) is None
    assert checkpoints.latest_report(deadline=AN_HOUR) is None


def test_a_checkpoint_comes_back_as_it_was_written(checkpoints: CheckpointStore | MemoryCheckpoints) -> None:
    full = Checkpoint(
        run="run-1",
        backfill=True,
        dry_run=True,
        started_at=NOW,
        include_passwordless=True,
        phase=Phase.ORPHANS,
        lease_until=NOW + 1,
        moved_at=NOW + 2,
        page=3,
        token="a-token",
        relisted=4,
        next_key="a-key",
        next_slot=NOW + 0.5,
        counts={"in_step": 6},
        finished_at=NOW + 7,
        outcome="completed",
        reported="run-0",
    )
    written = checkpoints.save(full, expected=None, deadline=AN_HOUR)

    assert written == dataclasses.replace(full, version=written.version)
    assert checkpoints.load(deadline=AN_HOUR) == written
    assert all(
        getattr(full, field.name) != field.default for field in dataclasses.fields(full) if field.name != "version"
    )


def test_of_two_who_go_on_from_one_checkpoint_the_second_loses(
    checkpoints: CheckpointStore | MemoryCheckpoints,
) -> None:
    begun = checkpoints.save(BEGUN, expected=None, deadline=AN_HOUR)
    first = checkpoints.save(dataclasses.replace(begun, page=1), expected=begun, deadline=AN_HOUR)

    with pytest.raises(Superseded):
        checkpoints.save(dataclasses.replace(begun, page=1), expected=begun, deadline=AN_HOUR)
    with pytest.raises(Superseded):
        checkpoints.save(BEGUN, expected=None, deadline=AN_HOUR)
    assert checkpoints.load(deadline=AN_HOUR) == first


def test_the_pages_that_are_done_are_remembered_as_they_were_noted_last(
    checkpoints: CheckpointStore | MemoryCheckpoints,
) -> None:
    for page in range(130):
        checkpoints.save_listed("run-1", page, f"page-{page}".encode(), {}, deadline=AN_HOUR)
    checkpoints.save_listed("run-1", 5, b"page 5 again", {}, deadline=AN_HOUR)
    checkpoints.save_listed("run-2", 6, b"of another run", {}, deadline=AN_HOUR)

    expected = {f"page-{page}".encode() for page in range(120)} - {b"page-5"} | {b"page 5 again"}
    assert set(checkpoints.load_listed("run-1", 120, seconds=5)) == expected


def test_the_addresses_of_the_pages_are_remembered_by_provider(
    checkpoints: CheckpointStore | MemoryCheckpoints,
) -> None:
    checkpoints.save_listed("run-1", 0, b"", {"COGNITO": b"one", "Google": b"two"}, deadline=AN_HOUR)
    checkpoints.save_listed("run-1", 1, b"", {}, deadline=AN_HOUR)

    found = list(checkpoints.load_addresses("run-1", 2, seconds=5))
    assert sorted(found, key=len) == [{}, {"COGNITO": b"one", "Google": b"two"}]


def test_the_report_of_the_last_run_that_ended_is_found_also_during_the_next(
    checkpoints: CheckpointStore | MemoryCheckpoints,
) -> None:
    checkpoints.save_report("run-1", {"run": "run-1", "counts": {"seen": 3}}, deadline=AN_HOUR)
    ended = checkpoints.save(
        dataclasses.replace(BEGUN, phase=Phase.FINISHED, reported="run-1"), expected=None, deadline=AN_HOUR
    )
    checkpoints.save(dataclasses.replace(BEGUN, run="run-2", reported="run-1"), expected=ended, deadline=AN_HOUR)

    assert checkpoints.latest_report(deadline=AN_HOUR) == {"run": "run-1", "counts": {"seen": 3}}


def test_reports_and_lists_expire_and_the_checkpoint_does_not(dynamodb: "DynamoDBClient") -> None:
    checkpoints = CheckpointStore(aws_at_moto(), TABLE, POOL, clock=lambda: NOW)
    checkpoints.save(BEGUN, expected=None, deadline=AN_HOUR)
    checkpoints.save_listed("run-1", 0, b"prints", {}, deadline=AN_HOUR)
    checkpoints.save_report("run-1", {}, deadline=AN_HOUR)

    items = {item["pk"]["S"].partition("#")[0]: item for item in dynamodb.scan(TableName=TABLE)["Items"]}
    assert {kind: item.get("ttl") for kind, item in items.items()} == {
        "RECONCILE": None,
        "LISTED": {"N": str(int(NOW) + 7 * 86400)},
        "REPORT": {"N": str(int(NOW) + 90 * 86400)},
    }


@pytest.mark.usefixtures("dynamodb")
def test_a_checkpoint_that_was_repeated_after_it_had_arrived_is_not_lost() -> None:
    def arrives_without_an_answer(request: httpx.Request) -> httpx.Response:
        arrived = answer(request)
        if request.headers["X-Amz-Target"].endswith(".PutItem") and arrived.status_code == 200:
            raise httpx.ReadTimeout("the answer is lost")
        return arrived

    checkpoints = CheckpointStore(aws_over(httpx.MockTransport(arrives_without_an_answer)), TABLE, POOL)
    written = checkpoints.save(BEGUN, expected=None, deadline=AN_HOUR)

    assert checkpoints.load(deadline=AN_HOUR) == written


@pytest.mark.usefixtures("dynamodb")
def test_another_failure_is_told_as_it_is() -> None:
    with pytest.raises(AwsError, match="ResourceNotFoundException"):
        CheckpointStore(aws_at_moto(), "no-such-table", POOL).save(BEGUN, expected=None, deadline=AN_HOUR)
