"""Whose account an answer is about, and one address of two users."""

from typing import Any

import pytest

from local.whop_simulator import Fault
from tests.unit.enrolment.world import ANN, BEN, DAY, World, forged, person
from whop_chat.enrolment.email_policy import AliasEmail
from whop_chat.enrolment.errors import Blocked, Link
from whop_chat.runtime.deadline import Deadline
from whop_chat.users.lease import LEASE_SECONDS
from whop_chat.users.record import Status
from whop_chat.whop.errors import WhopInvalidResponse, WhopUnavailable


def test_a_forged_answer_without_a_fault_is_taken(world: World) -> None:
    """So that the refusals below are for the one thing that each of them changes."""
    world.simulator.add_fault(Fault("accounts.create", "malformed", body=forged()))
    assert world.enrol().whop_user_id == "user_Other"


@pytest.mark.parametrize(
    "changes",
    [
        {"external_id": "cognito:eu-west-1_Pool:sub-ben:1"},
        {"external_id": "cognito:eu-west-1_Pool:sub-ann:2"},
        {"external_id": None, "metadata": None},
        {"external_id": "COGNITO:eu-west-1_Pool:sub-ann:1"},
        {"email": "stranger@home.test"},
        {"email": None},
    ],
)
def test_an_account_that_was_not_asked_for_is_a_mismatch(world: World, changes: dict[str, Any]) -> None:
    world.simulator.add_fault(Fault("accounts.create", "malformed", body=forged(**changes)))
    with pytest.raises(Blocked, match="identity_mismatch"):
        world.enrol()
    assert world.record().status is Status.BLOCKED
    world.now += DAY
    with pytest.raises(Blocked, match="identity_mismatch"):
        world.enrol()
    assert len(world.creates()) == 1


@pytest.mark.parametrize("parent", [{"id": "biz_Stranger"}, None])
def test_an_account_of_another_company_blocks_nobody(world: World, parent: Any) -> None:
    """With a wrong key every user would get one; a block would outlast the mistake."""
    world.simulator.add_fault(Fault("accounts.create", "malformed", body=forged(parent_account=parent)))
    with pytest.raises(WhopInvalidResponse, match="create_account: no answer parent_account"):
        world.enrol()
    assert (world.record().status, world.record().lease_until) == (Status.PENDING, 0)
    assert world.enrol().created
    assert len(world.accounts()) == 1


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("straße@home.test", "strasse@home.test"),
        ("ſmith@home.test", "smith@home.test"),
        ("\u212aim@home.test", "kim@home.test"),  # the Kelvin sign
        ("oﬃce@home.test", "office@home.test"),
        ("é@home.test", "É@home.test"),
        ("i@home.test", "İ@home.test"),
    ],
)
def test_an_account_whose_address_only_unicode_folds_alike_is_a_mismatch(
    world: World, asked: str, answered: str
) -> None:
    """A Whop that folds would answer with the account of a victim, whose token the user would then get."""
    world.people[ANN.sub] = person(ANN.sub, email=asked)
    world.simulator.add_fault(Fault("accounts.create", "malformed", body=forged(email=answered)))
    with pytest.raises(Blocked, match="identity_mismatch"):
        world.enrol()


def test_the_case_of_ascii_letters_is_ignored(world: World) -> None:
    world.people[ANN.sub] = person(ANN.sub, email="Ann@Home.test")
    world.simulator.add_fault(Fault("accounts.create", "malformed", body=forged(email="aNN@hOME.test")))
    assert world.enrol().whop_user_id == "user_Other"


def test_a_conflict_is_tried_again_by_a_sync_that_finds_another_address(world: World) -> None:
    world.people[BEN.sub] = person(BEN.sub, email="sub-ann@home.test")
    world.enrol(ANN)
    with pytest.raises(Blocked, match="identity_conflict"):
        world.enrol(BEN)

    def synced() -> Link:
        return world.enrolment.enrol(BEN, world.record(BEN), world.people[BEN.sub], deadline=Deadline(3))

    with pytest.raises(Blocked, match="identity_conflict"):
        synced()
    world.people[BEN.sub] = person(BEN.sub, email="ben@home.test")
    assert synced().created
    assert "home.test" not in repr(world.record(BEN))


def test_one_address_of_two_users_is_a_conflict(world: World) -> None:
    world.people[BEN.sub] = person(BEN.sub, email="SUB-ANN@home.test")
    first = world.enrol(ANN)
    with pytest.raises(Blocked, match="identity_conflict"):
        world.enrol(BEN)
    assert world.record(ANN).whop_user_id == first.whop_user_id
    ben = world.record(BEN)
    assert (ben.status, ben.generation, ben.whop_user_id) == (Status.BLOCKED, 2, None)
    [given_up] = [a for a in world.accounts() if a["metadata"]["external_id"].endswith("sub-ben:1")]
    assert given_up["external_id"], "the clean-up after Ben has to find it"


def test_a_late_create_finds_the_account_given_up(world: World) -> None:
    world.people[BEN.sub] = person(BEN.sub, email="sub-ann@home.test")
    world.enrol(ANN)
    for _ in range(2):
        world.simulator.add_fault(Fault("accounts.create", "delay", seconds=60))
    with pytest.raises(WhopUnavailable):
        world.enrol(BEN)
    world.now += LEASE_SECONDS + 1

    with pytest.raises(Blocked, match="identity_conflict"):
        world.enrol(BEN)
    world.now += 60
    world.simulator.advance(0)

    assert len([a for a in world.accounts() if a["metadata"]["external_id"].endswith("sub-ben:1")]) == 1


def test_a_conflict_stays_until_somebody_acts(world: World) -> None:
    world.people[BEN.sub] = person(BEN.sub, email="sub-ann@home.test")
    world.enrol(ANN)
    with pytest.raises(Blocked):
        world.enrol(BEN)
    creates = len(world.creates())
    world.now += 365 * DAY
    with pytest.raises(Blocked, match="identity_conflict"):
        world.enrol(BEN)
    assert len(world.creates()) == creates
    world.addresses = AliasEmail("chat+{sub}@team.test")
    assert world.enrol(BEN).created
