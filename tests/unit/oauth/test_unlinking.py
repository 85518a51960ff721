"""Unlinking: the link first, then the grant, and nothing forgotten."""

import dataclasses

import pytest

from local.whop_simulator import Fault
from tests.fakes.moto_aws import AN_HOUR
from tests.unit.oauth.world import ADA, BEN, World
from whop_chat.oauth.errors import LinkRequired
from whop_chat.users.record import Status
from whop_chat.whop.errors import WhopUnavailable


def unlink(world: World) -> bool:
    return world.unlinking.unlink(ADA, deadline=AN_HOUR)


def test_an_unlinked_user_has_no_link_no_account_and_no_grant(world: World) -> None:
    own = world.link().id
    assert unlink(world)
    record = world.record()
    assert record is not None
    assert record.own_whop_user_id is None
    assert world.users.holder(own, deadline=AN_HOUR) is None
    assert world.grants() == 0
    with pytest.raises(LinkRequired):
        world.token()
    assert world.link(BEN).id == own


def test_unlinking_twice_or_without_a_link_changes_nothing(world: World) -> None:
    assert not unlink(world)
    world.link()
    assert (unlink(world), unlink(world)) == (True, False)


def test_a_revocation_that_fails_is_kept_and_done_by_a_sync(world: World) -> None:
    world.link()
    world.simulator.add_fault(Fault("oauth.revoke", "unreachable"))
    assert unlink(world)
    assert (world.grants(), world.enqueued) == (1, [ADA])
    world.unlinking.revoke_all(ADA, deadline=AN_HOUR)
    assert world.grants() == 0
    calls = len(world.simulator.calls("oauth.revoke"))
    world.unlinking.revoke_all(ADA, deadline=AN_HOUR)
    assert len(world.simulator.calls("oauth.revoke")) == calls


def test_what_a_sync_cannot_revoke_either_stays_for_the_next(world: World) -> None:
    world.link()
    world.simulator.add_fault(Fault("oauth.revoke", "status", count=2, status=503))
    unlink(world)
    with pytest.raises(WhopUnavailable):
        world.unlinking.revoke_all(ADA, deadline=AN_HOUR)
    world.unlinking.revoke_all(ADA, deadline=AN_HOUR)
    assert world.grants() == 0


def test_a_revocation_that_waits_does_not_touch_a_new_link(world: World) -> None:
    own = world.link().id
    world.simulator.add_fault(Fault("oauth.revoke", "unreachable"))
    unlink(world)
    world.link()
    world.unlinking.revoke_all(ADA, deadline=AN_HOUR)
    assert world.grants() == 1
    assert world.whop_user_of(world.token().token) == own


def test_a_revocation_survives_a_new_data_key(world: World) -> None:
    world.link()
    world.simulator.add_fault(Fault("oauth.revoke", "unreachable"))
    unlink(world)
    world.rotate_data_key()
    world.instance()
    world.unlinking.revoke_all(ADA, deadline=AN_HOUR)
    assert world.grants() == 0


def test_the_link_of_a_deleted_user_is_removed_and_revoked(world: World) -> None:
    own = world.link().id
    record = world.record()
    assert record is not None
    tombstone = dataclasses.replace(record, status=Status.DELETED)
    tombstone = world.users.put(ADA, tombstone, expected=record, deadline=AN_HOUR)
    removed = world.unlinking.remove(ADA, deadline=AN_HOUR)
    world.unlinking.revoke_all(ADA, deadline=AN_HOUR)
    assert removed == world.record()
    assert removed is not None
    assert (removed.status, removed.own_whop_user_id) == (Status.DELETED, None)
    assert world.users.holder(own, deadline=AN_HOUR) is None
    assert world.grants() == 0
