"""A link whose Whop user is unknown to Whop."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest

from local.whop_simulator import Fault
from tests.unit.enrolment.world import ANN, BEN, DAY, POOL, World, forged, person
from whop_chat.cognito.pool import UserDisabled
from whop_chat.cognito.user import UserRef
from whop_chat.enrolment.errors import Denied, EnrolmentInProgress, Link
from whop_chat.runtime.deadline import Deadline
from whop_chat.users.lease import LEASE_SECONDS
from whop_chat.users.lifecycle import SETTLING_SECONDS, reinstate, suspend, tombstone
from whop_chat.users.record import Status
from whop_chat.whop.client import Account, Whop
from whop_chat.whop.errors import WhopForbidden, WhopRateLimited, WhopUnavailable


def repair(world: World, unknown: str) -> Link | None:
    return world.enrolment.repair(ANN, unknown, deadline=Deadline(3))


def test_the_first_repair_finds_the_same_account(world: World) -> None:
    link = world.enrol()
    assert repair(world, link.whop_user_id) == Link(link.whop_user_id)
    assert world.record().generation == 1
    assert len(world.creates()) == 1


def test_a_link_follows_the_account_to_its_new_owner(world: World) -> None:
    link = world.enrol()
    world.users.link(ANN, dataclasses.replace(world.record(), whop_user_id="user_Before"), expected=world.record())
    assert repair(world, "user_Before") == Link(link.whop_user_id)
    assert world.users.reservations == {link.whop_user_id: (POOL, ANN.sub)}
    assert len(world.creates()) == 1


def test_the_second_repair_makes_a_new_account(world: World) -> None:
    link = world.enrol()
    repair(world, link.whop_user_id)
    repair(world, link.whop_user_id)
    assert world.record().generation == 2
    assert len(world.accounts()) == 2


def test_a_third_repair_has_to_wait_a_day(world: World) -> None:
    link = world.enrol()
    repair(world, link.whop_user_id)
    repair(world, link.whop_user_id)
    world.now += DAY - 1
    assert repair(world, link.whop_user_id) is None
    assert len(world.accounts()) == 2
    world.now += 1
    assert repair(world, link.whop_user_id) is not None


def test_a_link_that_was_repaired_meanwhile_is_used(world: World) -> None:
    link = world.enrol()
    assert repair(world, "user_Before") == Link(link.whop_user_id)
    assert len(world.creates()) == 1


def test_a_repair_of_a_user_whose_record_is_gone_enrols_them(world: World) -> None:
    repaired = repair(world, "user_Before")
    assert repaired is not None
    assert repaired.created


def test_a_repair_releases_the_former_whop_user(world: World) -> None:
    link = world.enrol()
    repair(world, link.whop_user_id)
    world.people[ANN.sub] = person(ANN.sub, email="new@home.test")
    repaired = repair(world, link.whop_user_id)
    assert repaired is not None
    assert world.users.reservations == {repaired.whop_user_id: (POOL, ANN.sub)}


def _unverified(world: World) -> None:
    world.people[ANN.sub] = person(ANN.sub, email_verified=False)


def _refused_address(world: World) -> None:
    world.simulator.add_fault(Fault("accounts.create", "status", status=422))


def _taken(world: World) -> None:
    world.people[ANN.sub] = person(ANN.sub, email="sub-ben@home.test")
    world.enrol(BEN)


@pytest.mark.parametrize("obstacle", [_unverified, _refused_address, _taken])
def test_a_repair_that_leads_nowhere_keeps_the_link(world: World, obstacle: Callable[[World], None]) -> None:
    link = world.enrol()
    repair(world, link.whop_user_id)
    obstacle(world)
    assert repair(world, link.whop_user_id) is None
    assert world.enrol() == Link(link.whop_user_id)
    assert world.record().generation == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault("accounts.create", "unreachable", count=2),
        Fault("accounts.create", "status", status=429, wait=1),
        Fault("accounts.create", "crash_before"),
    ],
    ids=["unreachable", "429", "in flight"],
)
def test_a_repair_without_an_answer_does_not_count(world: World, fault: Fault) -> None:
    link = world.enrol()
    repair(world, link.whop_user_id)
    world.simulator.add_fault(fault)
    with pytest.raises((WhopUnavailable, WhopRateLimited, EnrolmentInProgress)):
        repair(world, link.whop_user_id)
    assert world.enrol() == Link(link.whop_user_id)
    world.now += LEASE_SECONDS
    repaired = repair(world, link.whop_user_id)
    assert repaired is not None
    assert repaired.created


def test_a_repair_that_whop_refuses_counts(world: World) -> None:
    link = world.enrol()
    repair(world, link.whop_user_id)
    world.simulator.add_fault(Fault("accounts.create", "status", status=403))
    with pytest.raises(WhopForbidden):
        repair(world, link.whop_user_id)
    assert repair(world, link.whop_user_id) is None


def test_a_look_up_that_whop_refuses_counts_too(world: World) -> None:
    link = world.enrol()
    world.simulator.add_fault(Fault("accounts.list", "status", status=403))
    with pytest.raises(WhopForbidden):
        repair(world, link.whop_user_id)

    repaired = repair(world, link.whop_user_id)
    assert repaired is not None
    assert repaired.created


def _whop_hears_a_repair_late(world: World, user: UserRef, link: Link) -> None:
    """The second of two repairs, which asks for a new account; its answer does not come in time."""
    world.enrolment.repair(user, link.whop_user_id, deadline=Deadline(3))
    for _ in range(2):
        world.simulator.add_fault(Fault("accounts.create", "delay", seconds=60))
    with pytest.raises(WhopUnavailable):
        world.enrolment.repair(user, link.whop_user_id, deadline=Deadline(3))
    world.now += LEASE_SECONDS + 1


def test_a_repair_continues_the_create_of_the_last_one(world: World) -> None:
    link = world.enrol()
    _whop_hears_a_repair_late(world, ANN, link)
    world.now += 60
    world.simulator.advance(0)
    repaired = repair(world, link.whop_user_id)

    assert repaired is not None
    assert len(set(world.creates())) == 2  # the keys of the enrolment and of both repairs
    assert (world.record().generation, world.record().idempotency_key) == (2, None)
    assert len(world.accounts()) == 2


def test_a_repair_with_another_address_is_a_new_generation(world: World) -> None:
    link = world.enrol()
    _whop_hears_a_repair_late(world, ANN, link)
    world.people[ANN.sub] = person(ANN.sub, email="new@home.test")

    assert repair(world, link.whop_user_id) is not None
    assert world.record().generation == 3


def test_a_tombstone_knows_of_a_repair_that_may_still_land(world: World) -> None:
    link = world.enrol()
    _whop_hears_a_repair_late(world, ANN, link)
    buried = tombstone(world.record(), int(world.now))

    assert (buried.generation, buried.retry_at) == (2, world.now + SETTLING_SECONDS)


@pytest.mark.parametrize("obstacle", ["the address is Ann's", "no address"])
def test_failing_repairs_use_up_one_generation(world: World, obstacle: str) -> None:
    world.enrol(ANN)
    link = world.enrol(BEN)
    proved = obstacle == "the address is Ann's"
    world.people[BEN.sub] = person(BEN.sub, email="sub-ann@home.test", email_verified=proved)
    for _day in range(5):
        for _ in range(2):
            world.enrolment.repair(BEN, link.whop_user_id, deadline=Deadline(3))
        world.now += DAY

    assert len(world.accounts()) == (3 if proved else 2)
    assert tombstone(world.record(BEN), 0).generation <= 3


def _blocked_repairs_under_changing_addresses(world: World, link: Link) -> None:
    """Three days with two repairs each. Every day the address is another user's."""
    for name in ("ben", "cid", "dee"):
        holder = dataclasses.replace(BEN, sub=f"sub-{name}", username=name)
        world.people[holder.sub] = person(holder.sub)
        world.enrol(holder)
        world.people[ANN.sub] = person(ANN.sub, email=f"sub-{name}@home.test")
        world.now += DAY
        for _ in range(2):
            repair(world, link.whop_user_id)


def test_a_link_is_repaired_at_the_first_sync_after_the_address_has_settled(world: World) -> None:
    link = world.enrol()
    _blocked_repairs_under_changing_addresses(world, link)
    settled = world.people[ANN.sub] = person(ANN.sub, email="new@home.test")
    repaired = world.enrolment.repair(ANN, link.whop_user_id, settled, deadline=Deadline(3))

    assert repaired is not None
    assert repaired.created
    assert world.record().linked_to == repaired.whop_user_id != link.whop_user_id


def test_a_link_that_a_repair_did_not_replace_has_its_name_due(world: World) -> None:
    """So the next sync asks Whop about the user, whatever their name is."""
    link = world.enrol()
    world.write(dataclasses.replace(world.record(), profile_digest="the digest of a name"))
    _blocked_repairs_under_changing_addresses(world, link)

    assert world.record().profile_digest is None


def test_an_address_that_blocked_a_repair_is_not_tried_again_within_a_day(world: World) -> None:
    link = world.enrol()
    _blocked_repairs_under_changing_addresses(world, link)
    creates = len(world.creates())

    assert world.enrolment.repair(ANN, link.whop_user_id, world.people[ANN.sub], deadline=Deadline(3)) is None
    assert len(world.creates()) == creates


def test_another_address_is_a_reason_for_one_more_repair_and_not_for_many(world: World) -> None:
    link = world.enrol()
    _blocked_repairs_under_changing_addresses(world, link)
    settled = world.people[ANN.sub] = person(ANN.sub, email="new@home.test")
    world.simulator.add_fault(Fault("accounts.create", "status", status=403))
    with pytest.raises(WhopForbidden):
        world.enrolment.repair(ANN, link.whop_user_id, settled, deadline=Deadline(3))

    assert world.enrolment.repair(ANN, link.whop_user_id, settled, deadline=Deadline(3)) is None


def test_a_link_is_repaired_at_the_first_sync_after_the_address_is_verified(world: World) -> None:
    link = world.enrol()
    world.people[ANN.sub] = person(ANN.sub, email="new@home.test", email_verified=False)
    for _ in range(3):
        repair(world, link.whop_user_id)
    settled = world.people[ANN.sub] = person(ANN.sub, email="new@home.test")
    repaired = world.enrolment.repair(ANN, link.whop_user_id, settled, deadline=Deadline(3))

    assert repaired is not None
    assert repaired.created


def test_repairs_without_an_outcome_use_up_one_generation(world: World) -> None:
    world.enrol(ANN)
    link = world.enrol(BEN)
    world.people[BEN.sub] = person(BEN.sub, email="sub-ann@home.test")
    for _day in range(4):
        _whop_hears_a_repair_late(world, BEN, link)
        world.now += 60
        world.simulator.advance(0)
        world.enrolment.repair(BEN, link.whop_user_id, deadline=Deadline(3))
        world.now += DAY

    assert sorted(account["metadata"]["external_id"][-1] for account in world.accounts()) == ["1", "1", "2"]


@pytest.mark.parametrize("status", [Status.DISABLED, Status.DENIED])
def test_a_repair_continues_after_a_user_was_shut_out(
    world: World, monkeypatch: pytest.MonkeyPatch, status: Status
) -> None:
    link = world.enrol()
    repair(world, link.whop_user_id)
    create = Whop.create_account

    def meanwhile(whop: Whop, **asked: Any) -> Account:
        world.write(suspend(world.record(), status))
        return create(whop, **asked)

    with monkeypatch.context() as patch:
        patch.setattr(Whop, "create_account", meanwhile)
        with pytest.raises((UserDisabled, Denied)):
            repair(world, link.whop_user_id)
    world.write(reinstate(world.record()))
    world.now += DAY
    for _ in range(2):
        repair(world, link.whop_user_id)

    assert len(world.accounts()) == 2
    assert tombstone(world.record(), 0).generation == 2


def test_a_link_follows_the_users_account_to_another_owner(world: World) -> None:
    world.enrol()
    account = json.loads(forged(id=world.record().whop_account_id))
    world.simulator.add_fault(Fault("accounts.list", "malformed", body=json.dumps({"data": [account]})))
    assert repair(world, str(world.record().whop_user_id)) == Link("user_Other")


@pytest.mark.parametrize(
    "changes", [{"parent_account": {"id": "biz_Stranger"}}, {"email": "stranger@home.test"}, {"id": "biz_Other"}]
)
def test_a_look_up_follows_only_the_account_asked_for(world: World, changes: dict[str, Any]) -> None:
    link = world.enrol()
    account = json.loads(forged(id=world.record().whop_account_id)) | changes
    world.simulator.add_fault(Fault("accounts.list", "malformed", body=json.dumps({"data": [account]})))
    assert repair(world, link.whop_user_id) == Link(link.whop_user_id)
    assert world.record().repairs == 1


def test_a_look_up_with_another_users_whop_user_counts(world: World) -> None:
    bens = world.enrol(BEN).whop_user_id
    link = world.enrol()
    account = json.loads(forged(id=world.record().whop_account_id, owner={"id": bens}))
    world.simulator.add_fault(Fault("accounts.list", "malformed", body=json.dumps({"data": [account]})))
    assert repair(world, link.whop_user_id) == Link(link.whop_user_id)
    repaired = repair(world, link.whop_user_id)
    assert repaired is not None
    assert repaired.created


def test_a_new_owner_gets_the_name_of_the_user(world: World) -> None:
    world.enrol()
    named = dataclasses.replace(world.record(), whop_user_id="user_Before", profile_digest="digest")
    world.users.link(ANN, named, expected=world.record())
    repair(world, "user_Before")
    assert world.record().profile_digest is None


PICTURED: dict[str, Any] = {
    "picture_digest": "address",
    "picture_content": "file",
    "picture_at": 7,
    "picture_file_id": "file_1",
}


def test_a_new_owner_has_no_picture_of_ours(world: World) -> None:
    world.enrol()
    pictured = dataclasses.replace(world.record(), whop_user_id="user_Before", **PICTURED)
    world.users.link(ANN, pictured, expected=world.record())
    repair(world, "user_Before")

    assert {name: getattr(world.record(), name) for name in PICTURED} == dict.fromkeys(PICTURED)


def test_a_new_account_has_no_picture_of_ours(world: World) -> None:
    link = world.enrol()
    world.write(dataclasses.replace(world.record(), **PICTURED))
    repair(world, link.whop_user_id)
    replaced = repair(world, link.whop_user_id)

    assert replaced is not None
    assert replaced.created
    assert {name: getattr(world.record(), name) for name in PICTURED} == dict.fromkeys(PICTURED)
