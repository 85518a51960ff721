"""A Whop user passes on: inherited from a deleted user, or relinked by an operator."""

import dataclasses
from typing import Any

import pytest

from tests.unit.enrolment.world import ANN, BEN, POOL, World, person
from whop_chat.cognito.pool import UserGone
from whop_chat.cognito.user import UserRef
from whop_chat.enrolment.errors import Blocked, Denied, Link
from whop_chat.runtime.deadline import Deadline
from whop_chat.users.lifecycle import tombstone
from whop_chat.users.record import Record, Status


def deleted(world: World, *, cleaned: bool = True) -> Link:
    """The link that Ann had before she was deleted; Ben has her address."""
    link = world.enrol(ANN)
    buried = tombstone(world.record(ANN), int(world.now))
    world.write(dataclasses.replace(buried, cleaned_at=int(world.now) if cleaned else None), ANN)
    world.people[BEN.sub] = person(BEN.sub, email="sub-ann@home.test")
    return link


def test_by_default_nobody_inherits_an_identity(world: World) -> None:
    link = deleted(world)
    with pytest.raises(Blocked, match="identity_conflict"):
        world.enrol(BEN)
    assert world.users.reservations == {link.whop_user_id: (POOL, ANN.sub)}


def test_with_inherit_the_identity_is_inherited(world: World) -> None:
    world.reuse = "inherit"
    link = deleted(world)
    assert world.enrol(BEN) == Link(link.whop_user_id, created=True)
    assert world.users.reservations == {link.whop_user_id: (POOL, BEN.sub)}
    left = world.record(ANN)
    assert (left.status, left.whop_user_id, left.whop_account_id) == (Status.DELETED, None, None)
    assert left.cleaned_at is not None
    assert world.enrol(BEN) == Link(link.whop_user_id)


def test_it_is_not_inherited_before_the_clean_up(world: World) -> None:
    world.reuse = "inherit"
    link = deleted(world, cleaned=False)
    with pytest.raises(Blocked, match="identity_conflict"):
        world.enrol(BEN)
    assert world.users.reservations == {link.whop_user_id: (POOL, ANN.sub)}

    world.write(dataclasses.replace(world.record(ANN), cleaned_at=int(world.now)), ANN)
    world.now += 60
    assert world.enrol(BEN).whop_user_id == link.whop_user_id
    assert len([account for account in world.accounts() if account["external_id"].endswith(":sub-ben:1")]) == 1


@pytest.mark.parametrize("status", [Status.LINKED, Status.DENIED, Status.DISABLED])
def test_nobody_inherits_from_a_user_who_is_not_deleted(world: World, status: Status) -> None:
    world.reuse = "inherit"
    link = world.enrol(ANN)
    world.write(dataclasses.replace(world.record(ANN), status=status), ANN)
    world.people[BEN.sub] = person(BEN.sub, email="sub-ann@home.test")
    with pytest.raises(Blocked, match="identity_conflict"):
        world.enrol(BEN)
    assert world.users.reservations == {link.whop_user_id: (POOL, ANN.sub)}


def test_a_clean_up_that_begins_again_comes_first(world: World) -> None:
    world.reuse = "inherit"
    link = deleted(world)
    take = world.users.transfer

    def reopened_meanwhile(*args: Any, **options: Any) -> Record:
        world.write(dataclasses.replace(world.record(ANN), cleaned_at=None), ANN)
        return take(*args, **options)

    world.users.transfer = reopened_meanwhile  # type: ignore[method-assign]
    with pytest.raises(Blocked, match="identity_conflict"):
        world.enrol(BEN)
    assert world.record(BEN).retry_at == world.now + 60
    assert world.users.reservations == {link.whop_user_id: (POOL, ANN.sub)}


def relink(world: World, user: UserRef = BEN) -> Link:
    return world.enrolment.relink(user, world.people[user.sub], may_take_from=lambda _: True, deadline=Deadline(3))


def test_an_operator_moves_a_whop_user_with_the_address(world: World) -> None:
    world.people[BEN.sub] = person(BEN.sub, email="sub-ann@home.test")
    link = world.enrol(ANN)
    with pytest.raises(Blocked):
        world.enrol(BEN)

    assert relink(world) == Link(link.whop_user_id, created=True)
    assert world.users.reservations == {link.whop_user_id: (POOL, BEN.sub)}
    assert world.enrol(BEN) == Link(link.whop_user_id)
    with pytest.raises(Blocked, match="identity_conflict"):
        world.enrol(ANN)


def test_who_lost_a_whop_user_is_looked_at_again_with_another_address(world: World) -> None:
    world.people[BEN.sub] = person(BEN.sub, email="sub-ann@home.test")
    world.enrol(ANN)
    relink(world)

    def synced() -> Link:
        return world.enrolment.enrol(ANN, world.record(ANN), world.people[ANN.sub], deadline=Deadline(3))

    with pytest.raises(Blocked, match="identity_conflict"):
        synced()
    world.people[ANN.sub] = person(ANN.sub, email="new@home.test")
    assert synced().created


def test_a_denied_holder_stays_denied(world: World) -> None:
    world.people[BEN.sub] = person(BEN.sub, email="sub-ann@home.test")
    world.enrol(ANN)
    world.write(dataclasses.replace(world.record(ANN), status=Status.DENIED), ANN)
    relink(world)
    left = world.record(ANN)
    assert (left.status, left.whop_user_id, left.profile_digest) == (Status.DENIED, None, None)


def test_the_holder_may_be_of_another_pool_or_unrecorded(world: World) -> None:
    link = world.enrol(ANN)
    world.users.records[("eu-west-1_Old", "sub-old")] = world.users.records.pop((POOL, ANN.sub))
    world.people[BEN.sub] = person(BEN.sub, email="sub-ann@home.test")
    world.users.reservations[link.whop_user_id] = ("eu-west-1_Old", "sub-old")
    assert relink(world).whop_user_id == link.whop_user_id
    assert world.users.records[("eu-west-1_Old", "sub-old")].status is Status.BLOCKED

    world.users.reservations[link.whop_user_id] = (POOL, "sub-nobody")
    del world.users.records[(POOL, BEN.sub)]
    assert relink(world).whop_user_id == link.whop_user_id


def test_a_whop_user_that_its_holder_linked_themselves_stays_theirs(world: World) -> None:
    link = world.enrol(ANN)
    world.write(dataclasses.replace(world.record(ANN), own_whop_user_id=link.whop_user_id), ANN)
    world.people[BEN.sub] = person(BEN.sub, email="sub-ann@home.test")
    with pytest.raises(Blocked, match="identity_conflict"):
        relink(world)
    assert world.users.reservations == {link.whop_user_id: (POOL, ANN.sub)}


def test_a_relink_waits_for_a_clean_up_as_well(world: World) -> None:
    deleted(world, cleaned=False)
    with pytest.raises(Blocked, match="identity_conflict"):
        relink(world)


def test_a_relink_of_a_linked_user_changes_nothing(world: World) -> None:
    link = world.enrol(ANN)
    assert relink(world, ANN) == Link(link.whop_user_id)


@pytest.mark.parametrize(("status", "error"), [(Status.DENIED, Denied), (Status.DELETED, UserGone)])
def test_a_relink_lets_no_denied_user_in(world: World, status: Status, error: type[Exception]) -> None:
    world.write(Record(status=status), BEN)
    with pytest.raises(error):
        relink(world)
