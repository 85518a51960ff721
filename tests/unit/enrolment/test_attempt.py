"""One attempt: its lease, its idempotency key, a conflict, and what ends it. Several at once are in tests/model."""

from typing import Any

import httpx
import pytest

from local.whop_simulator import Fault, Readings
from tests.unit.enrolment.world import ANN, World, person
from whop_chat.cognito.user import UserRef
from whop_chat.enrolment.errors import Blocked, EnrolmentInProgress
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.users.lease import LEASE_SECONDS
from whop_chat.users.lifecycle import tombstone, unused_generations
from whop_chat.users.record import Record, Status
from whop_chat.whop.api_key import NotConfigured
from whop_chat.whop.errors import WhopConflict, WhopForbidden, WhopRateLimited, WhopRefused, WhopUnavailable


def test_a_changed_address_starts_a_new_generation(world: World) -> None:
    world.simulator.add_fault(Fault("accounts.create", "drop_after"))
    world.simulator.add_fault(Fault("accounts.create", "status", status=503))
    with pytest.raises(WhopUnavailable):
        world.enrol()
    world.people[ANN.sub] = person(ANN.sub, email="new@home.test")
    link = world.enrol()
    assert world.record().generation == 2
    [account] = [a for a in world.accounts() if a["owner_id"] == link.whop_user_id]
    assert (account["email"], account["external_id"]) == ("new@home.test", "cognito:eu-west-1_Pool:sub-ann:2")
    [unused] = [a for a in world.accounts() if a["owner_id"] != link.whop_user_id]
    assert unused["external_id"] == "cognito:eu-west-1_Pool:sub-ann:1"
    assert unused_generations(world.record()) == [1]


def test_a_lease_that_is_held_is_respected(world: World) -> None:
    world.write(Record(status=Status.PENDING, lease_until=int(world.now) + 1))
    with pytest.raises(EnrolmentInProgress) as progress:
        world.enrol()
    assert progress.value.retry_after == 1
    assert world.creates() == []


def test_a_lease_that_ran_out_is_taken_over(world: World) -> None:
    world.write(Record(status=Status.PENDING, lease_until=int(world.now)))
    assert world.enrol().created


def test_a_lease_lasts_at_most_ten_seconds(world: World) -> None:
    leases: list[int] = []
    put = world.users.put

    def watched(user: UserRef, record: Record, *, expected: Record | None, deadline: Deadline | None = None) -> Record:
        leases.append(record.lease_until - int(world.now))
        return put(user, record, expected=expected)

    world.users.put = watched  # type: ignore[method-assign]
    world.enrol()
    assert leases == [LEASE_SECONDS]
    assert LEASE_SECONDS <= 10


@pytest.mark.parametrize(("kind", "count"), [("drop_before", 2), ("drop_after", 2), ("truncated", 2), ("malformed", 1)])
def test_an_unknown_outcome_sends_the_same_key_again(world: World, kind: Any, count: int) -> None:
    world.simulator.add_fault(Fault("accounts.create", kind, count=count))
    with pytest.raises(Exception, match="create_account"):
        world.enrol()
    assert world.record().lease_until == 0
    world.enrol()
    assert len(set(world.creates())) == 1
    assert len(world.accounts()) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_definitive_refusal_retires_the_key(world: World, status: int) -> None:
    world.simulator.add_fault(Fault("accounts.create", "status", status=status))
    with pytest.raises(Exception, match=f"create_account: {status}"):
        world.enrol()
    assert world.record().lease_until == 0
    assert world.record().idempotency_key is None
    world.enrol()
    assert len(set(world.creates())) == 2


@pytest.mark.parametrize(("status", "error"), [(422, Blocked), (403, WhopForbidden)])
def test_a_refusal_of_a_repeated_request_keeps_the_key(world: World, status: int, error: type[Exception]) -> None:
    world.simulator.add_fault(Fault("accounts.create", "delay", seconds=60))
    world.simulator.add_fault(Fault("accounts.create", "status", status=status))

    with pytest.raises(error):
        world.enrol()

    assert world.record().idempotency_key is not None
    assert tombstone(world.record(), int(world.now)).retry_at is not None


@pytest.mark.parametrize("status", [400, 403, 409, 422, 500])
def test_a_replayed_answer_gets_a_new_key_at_once(world: World, status: int) -> None:
    world.old_answers = [httpx.Response(status, headers={"Idempotent-Replayed": "true"}, json={"error": {}})]
    assert world.enrol().created
    assert world.record().generation == 1


def test_a_key_of_another_request_is_replaced_at_once(world: World) -> None:
    """As after a deployment with another API version: the version is part of what a key stands for."""
    error = {"error": {"type": "invalid_request_error", "code": "idempotency_key_mismatch"}}
    world.old_answers = [httpx.Response(400, json=error)]
    assert world.enrol().created


def test_answers_that_are_always_replayed_end_the_attempt(world: World) -> None:
    world.old_answers = [httpx.Response(403, headers={"Idempotent-Replayed": "true"}, json={"error": {}})] * 9
    with pytest.raises(WhopForbidden):
        world.enrol()
    assert len(world.old_answers) == 6
    world.old_answers = []
    assert world.enrol().created


def test_a_server_error_that_is_replayed_gets_a_new_key(world: World) -> None:
    world.simulator.set_readings(Readings(server_error="replayed"))
    world.simulator.add_fault(Fault("accounts.create", "status_after", status=500))
    world.simulator.add_fault(Fault("accounts.create", "unreachable"))
    with pytest.raises(WhopUnavailable):
        world.enrol()
    assert world.enrol().created
    assert len(world.accounts()) == 1


def test_a_rate_limit_releases_the_lease_and_is_raised(world: World) -> None:
    world.simulator.add_fault(Fault("accounts.create", "status", status=429, wait=12))
    with pytest.raises(WhopRateLimited) as refusal:
        world.enrol()
    assert refusal.value.retry_after == 12
    assert world.record().lease_until == 0
    assert world.enrol().created


def test_no_time_left_releases_the_lease(world: World) -> None:
    with pytest.raises(DeadlineExceeded):
        world.enrolment.enrol(ANN, None, deadline=Deadline(0))
    assert world.record().lease_until == 0
    assert world.enrol().created


def test_a_conflict_with_ones_own_account_finds_it(world: World) -> None:
    world.simulator.add_fault(Fault("accounts.create", "crash_after"))
    link = world.enrol()
    assert [account["owner_id"] for account in world.accounts()] == [link.whop_user_id]


def test_a_running_request_is_given_the_time_of_a_lease(world: World) -> None:
    world.simulator.add_fault(Fault("accounts.create", "crash_before"))
    with pytest.raises(EnrolmentInProgress):
        world.enrol()
    world.now += LEASE_SECONDS - 1
    with pytest.raises(EnrolmentInProgress):
        world.enrol()
    world.now += 1
    assert world.enrol().created
    assert len(world.accounts()) == 1
    assert len(set(world.creates())) == 2


def test_an_external_id_of_another_address_is_replaced(world: World) -> None:
    first = world.enrol()
    world.write(Record(status=Status.PENDING))
    world.people[ANN.sub] = person(ANN.sub, email="new@home.test")
    second = world.enrol()
    assert second.whop_user_id != first.whop_user_id
    assert world.record().generation == 2
    old, new = sorted(world.accounts(), key=lambda account: account["created_at"])
    assert (old["external_id"], new["external_id"]) == (
        "cognito:eu-west-1_Pool:sub-ann:1",
        "cognito:eu-west-1_Pool:sub-ann:2",
    )


def test_an_unexplained_conflict_starts_a_new_generation(world: World) -> None:
    world.simulator.add_fault(Fault("accounts.create", "status", status=409))
    assert world.enrol().created
    assert world.record().generation == 2


def test_an_unexplained_conflict_under_an_old_key_may_be_about_the_first_request(world: World) -> None:
    world.simulator.add_fault(Fault("accounts.create", "drop_before", count=2))
    with pytest.raises(WhopUnavailable):
        world.enrol()
    world.now += LEASE_SECONDS
    world.simulator.add_fault(Fault("accounts.create", "status", status=409))

    assert world.enrol().created
    assert world.record().generation == 1


def test_an_unexplained_conflict_under_a_key_that_was_replaced_starts_one_too(world: World) -> None:
    world.simulator.add_fault(Fault("accounts.create", "drop_before", count=2))
    with pytest.raises(WhopUnavailable):
        world.enrol()
    conflict = httpx.Response(409, json={"error": {}})
    replayed = httpx.Response(409, headers={"Idempotent-Replayed": "true"}, json={"error": {}})
    world.old_answers = [conflict, replayed]  # the last one first

    assert world.enrol().created
    assert world.record().generation == 2


def test_a_conflict_that_never_ends_uses_up_five_generations_and_blocks_for_an_hour(world: World) -> None:
    world.simulator.add_fault(Fault("accounts.create", "status", status=409, count=1000))
    for _ in range(4):
        with pytest.raises((Blocked, WhopConflict)):
            world.enrol()
        world.now += LEASE_SECONDS
    assert (world.record().status, world.record().reason) == (Status.BLOCKED, "enrolment_rejected")
    for _ in range(3):
        world.now += 3600
        with pytest.raises(Blocked, match="enrolment_rejected"):
            world.enrol()
    assert world.record().generation == 5


def test_an_external_id_of_another_address_is_replaced_in_any_generation(world: World) -> None:
    world.write(Record(status=Status.PENDING, generation=7))
    world.enrol()
    world.write(Record(status=Status.PENDING, generation=7))
    world.people[ANN.sub] = person(ANN.sub, email="new@home.test")

    assert world.enrol().created
    assert world.record().generation == 8


def test_a_missing_permission_blocks_nobody(world: World) -> None:
    world.simulator.add_fault(Fault("accounts.create", "status", status=403))
    with pytest.raises(WhopForbidden):
        world.enrol()
    assert world.record().status is Status.PENDING


@pytest.mark.parametrize("error", [NotConfigured(), AwsError("Throttling", operation="GetSecretValue")])
def test_a_missing_api_key_releases_the_lease(world: World, error: Exception) -> None:
    world.keyless = error
    with pytest.raises(type(error)):
        world.enrol()
    assert (world.record().status, world.record().lease_until) == (Status.PENDING, 0)
    world.keyless = None
    assert world.enrol().created


def test_a_refused_look_up_keeps_the_key_of_the_create(world: World) -> None:
    world.simulator.add_fault(Fault("accounts.create", "crash_after"))
    world.simulator.add_fault(Fault("accounts.list", "status", status=403))
    with pytest.raises(WhopForbidden):
        world.enrol()
    assert world.record().idempotency_key is not None
    assert world.enrol().created
    assert len(world.accounts()) == 1


@pytest.mark.parametrize("status", [400, 404])
def test_a_refusal_without_the_address_blocks_nobody(world: World, status: int) -> None:
    world.simulator.add_fault(Fault("accounts.create", "status", status=status))
    with pytest.raises(WhopRefused):
        world.enrol()
    assert world.record().status is Status.PENDING
    assert world.enrol().created


def test_a_refusal_that_names_the_address_blocks(world: World) -> None:
    world.old_answers = [httpx.Response(400, json={"error": {"type": "invalid_request_error", "param": "email"}})]
    with pytest.raises(Blocked, match=r"^enrolment_rejected$"):
        world.enrol()
    assert world.record().reason == "enrolment_rejected"


def test_a_create_in_flight_is_not_asked_about(world: World) -> None:
    world.simulator.add_fault(Fault("accounts.create", "crash_before"))
    with pytest.raises(EnrolmentInProgress):
        world.enrol()
    calls = len(world.simulator.calls())
    world.now += LEASE_SECONDS - 1
    with pytest.raises(EnrolmentInProgress):
        world.enrol()
    assert len(world.simulator.calls()) == calls
