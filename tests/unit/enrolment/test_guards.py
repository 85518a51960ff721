"""Who is enrolled at all: address, pool and what an operator decided."""

import pytest

from local.whop_simulator import Fault
from tests.fakes.whop import rate_limiter
from tests.unit.enrolment.world import ANN, BEN, HOUR, World, person
from whop_chat.cognito.pool import UserDisabled, UserGone
from whop_chat.cognito.user import UserRef
from whop_chat.enrolment.email_policy import AliasEmail, VerifiedEmail
from whop_chat.enrolment.errors import Blocked, DeletedMeanwhile, Denied, EnrolmentInProgress, Link
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.metrics import ENROLMENTS
from whop_chat.users.record import Record, Status
from whop_chat.whop.errors import OutOfPermits, WhopUnavailable


def test_a_new_user_gets_an_account_and_its_owner(world: World) -> None:
    link = world.enrol()
    [account] = world.accounts()
    assert link == Link(account["owner_id"], created=True)
    assert account["email"] == "sub-ann@home.test"
    assert account["external_id"] == account["metadata"]["external_id"] == "cognito:eu-west-1_Pool:sub-ann:1"
    record = world.record()
    assert (record.status, record.whop_user_id, record.whop_account_id) == (
        Status.LINKED,
        account["owner_id"],
        account["id"],
    )
    assert (record.idempotency_key, record.email_digest, record.lease_until) == (None, None, 0)


def test_a_linked_user_costs_no_call(world: World) -> None:
    first = world.enrol()
    before = len(world.simulator.calls())
    world.people.clear()
    assert world.enrol() == Link(first.whop_user_id)
    assert len(world.simulator.calls()) == before


def test_an_enrolment_is_counted_once_by_its_outcome(world: World) -> None:
    world.enrol()
    world.enrol()

    assert world.telemetry.counted(ENROLMENTS) == [{"outcome": "linked"}]


def test_a_user_who_cannot_be_enrolled_counts_as_refused_at_the_attempt_only(world: World) -> None:
    world.people[ANN.sub] = person(ANN.sub, email_verified=False)
    for _ in range(2):
        with pytest.raises(Blocked):
            world.enrol()

    assert world.telemetry.counted(ENROLMENTS) == [{"outcome": "refused"}]


def test_an_attempt_that_whop_does_not_answer_counts_as_failed(world: World) -> None:
    world.simulator.add_fault(Fault("accounts.create", "status", status=500, count=2))
    with pytest.raises(WhopUnavailable):
        world.enrol()

    assert world.telemetry.counted(ENROLMENTS) == [{"outcome": "failed"}]


def test_an_attempt_that_waits_for_another_one_does_not_count(world: World) -> None:
    world.users.put(ANN, Record(status=Status.PENDING, lease_until=int(world.now) + 5), expected=None)
    with pytest.raises(EnrolmentInProgress):
        world.enrol()

    assert world.telemetry.counted(ENROLMENTS) == []


def test_an_attempt_that_waits_for_a_permit_does_not_count(world: World) -> None:
    """In a backfill this is the pace, not a failure."""
    world.rate_limiter = rate_limiter(lambda: world.now, places=1)
    world.enrol(BEN)
    with pytest.raises(OutOfPermits):
        world.enrol(ANN)

    assert world.telemetry.counted(ENROLMENTS) == [{"outcome": "linked"}]


def test_the_account_is_titled_by_nothing_personal(world: World) -> None:
    world.people[ANN.sub] = person(ANN.sub, name="Ann Smith")
    world.enrol()
    assert world.accounts()[0]["title"] == "cognito:eu-west-1_Pool:sub-ann:1"


def test_a_user_who_is_gone_leaves_nothing_behind(world: World) -> None:
    del world.people[ANN.sub]
    with pytest.raises(UserGone):
        world.enrol()
    assert world.users.get(ANN) is None
    assert world.accounts() == []


def test_a_record_without_the_address_keeps_no_address(world: World) -> None:
    world.simulator.add_fault(Fault("accounts.create", "drop_after", count=2))
    with pytest.raises(WhopUnavailable):
        world.enrol()
    assert "home.test" not in repr(world.record())


def test_an_unverified_address_blocks_for_a_minute(world: World) -> None:
    world.people[ANN.sub] = person(ANN.sub, email_verified=False)
    with pytest.raises(Blocked, match="no_verified_email"):
        world.enrol()
    world.people[ANN.sub] = person(ANN.sub)
    world.now += 59
    with pytest.raises(Blocked, match="no_verified_email"):
        world.enrol()
    world.now += 1
    assert world.enrol().created
    assert world.record().reason is None


def test_an_untrusted_provider_blocks_under_a_reason_of_its_own(world: World) -> None:
    world.people[ANN.sub] = person(ANN.sub, providers=("Google",))
    with pytest.raises(Blocked, match="provider_not_trusted"):
        world.enrol()
    assert world.record().reason == "provider_not_trusted"
    world.addresses = VerifiedEmail(frozenset({"Google"}))
    world.now += 60
    assert world.enrol().created


def test_a_block_without_a_reason_is_a_block(world: World) -> None:
    world.write(Record(status=Status.BLOCKED, email_mode="verified"))
    with pytest.raises(Blocked, match=r"^blocked$"):
        world.enrolment.enrol(ANN, world.record(), deadline=Deadline(3))


def test_a_block_ends_when_the_team_switches_to_aliases(world: World) -> None:
    world.people[ANN.sub] = person(ANN.sub, email=None, email_verified=False)
    with pytest.raises(Blocked):
        world.enrol()
    world.addresses = AliasEmail("chat+{sub}@team.test")
    assert world.enrol().created
    assert world.accounts()[0]["email"] == "chat+sub-ann@team.test"


def test_an_existing_person_at_whop_keeps_their_user(world: World) -> None:
    """Whoever proves the address to Cognito is its owner, at Whop as well."""
    user_id = world.simulator.add_person("sub-ann@home.test")
    assert world.enrol().whop_user_id == user_id


def test_an_address_that_whop_refuses_blocks_for_an_hour(world: World) -> None:
    world.simulator.add_fault(Fault("accounts.create", "status", status=422))
    with pytest.raises(Blocked, match="enrolment_rejected"):
        world.enrol()
    world.now += HOUR - 1
    with pytest.raises(Blocked, match="enrolment_rejected"):
        world.enrol()
    world.now += 1
    assert world.enrol().created


def test_a_pool_user_that_is_given_is_used(world: World) -> None:
    del world.people[ANN.sub]
    world.enrolment.enrol(ANN, None, person("sub-ann", email="seen@home.test"), deadline=Deadline(3))
    assert [account["email"] for account in world.accounts()] == ["seen@home.test"]


def test_a_denied_user_is_not_enrolled(world: World) -> None:
    world.write(Record(status=Status.DENIED))
    with pytest.raises(Denied):
        world.enrol()


def test_a_disabled_user_is_not_enrolled(world: World) -> None:
    world.write(Record(status=Status.DISABLED, whop_user_id="user_Ann"))
    with pytest.raises(UserDisabled):
        world.enrol()


def test_a_deleted_user_is_not_enrolled(world: World) -> None:
    world.write(Record(status=Status.DELETED))
    with pytest.raises(UserGone) as gone:
        world.enrol()
    assert not isinstance(gone.value, DeletedMeanwhile)


def meanwhile(world: World, theirs: Record) -> None:
    """Another worker writes ``theirs`` just before the next write."""
    put = world.users.put

    def overtaken(
        user: UserRef, record: Record, *, expected: Record | None, deadline: Deadline | None = None
    ) -> Record:
        world.users.put = put  # type: ignore[method-assign]
        world.write(theirs)
        return put(user, record, expected=expected)

    world.users.put = overtaken  # type: ignore[method-assign]


def test_who_loses_the_race_to_a_worker_that_gave_up_comes_again(world: World) -> None:
    meanwhile(world, Record(status=Status.PENDING))
    with pytest.raises(EnrolmentInProgress):
        world.enrol()
    assert world.enrol().created


def test_who_loses_the_race_gets_the_link_of_the_winner(world: World) -> None:
    meanwhile(world, Record(status=Status.LINKED, whop_user_id="user_Winner"))
    assert world.enrol() == Link("user_Winner")


def test_so_does_a_repair(world: World) -> None:
    link = world.enrol()
    meanwhile(world, Record(status=Status.LINKED, whop_user_id="user_Winner"))
    assert world.enrolment.repair(ANN, link.whop_user_id, deadline=Deadline(3)) == Link("user_Winner")


@pytest.mark.parametrize(
    ("status", "error"),
    [(Status.DENIED, Denied), (Status.DISABLED, UserDisabled), (Status.DELETED, DeletedMeanwhile)],
)
def test_a_decision_during_an_enrolment_stands(world: World, status: Status, error: type[Exception]) -> None:
    link = world.users.link

    def decided_meanwhile(
        user: UserRef, record: Record, *, expected: Record, deadline: Deadline | None = None
    ) -> Record:
        world.write(Record(status=status))
        return link(user, record, expected=expected)

    world.users.link = decided_meanwhile  # type: ignore[method-assign]
    with pytest.raises(error):
        world.enrol()
    assert world.record().status is status
    assert world.users.reservations == {}
