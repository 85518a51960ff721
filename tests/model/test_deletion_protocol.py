"""A deletion beside whatever else happens to the user: exhaustively where it is small, by chance where it is not."""

import random

import pytest

from local.whop_simulator import Readings
from tests.model.test_enrolment_protocol import READINGS, SEEDS
from tests.model.world import CHANGE_DISTURBANCES, Script, World, every_script
from whop_chat.enrolment.cleanup import DeletePolicy
from whop_chat.users.record import Status

POLICIES: tuple[DeletePolicy, ...] = ("keep-account", "delete-account")


def world_of(readings: Readings, script: Script, policy: DeletePolicy, disturbances: int = 1) -> World:
    return World(readings, script.decide, disturbances, policy=policy, change_disturbances=CHANGE_DISTURBANCES)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("readings", READINGS.values(), ids=READINGS)
def test_a_user_who_is_deleted_while_they_are_enrolled_ends_as_a_tombstone(
    readings: Readings, policy: DeletePolicy
) -> None:
    def run(script: Script) -> None:
        world = world_of(readings, script, policy)
        ann = world.add_user("ann", "ann@home.test", "Ann")
        world.run_together((world.enrol, ann), (world.delete, ann))
        world.settle_by_messages(ann)
        if world.users.get(ann) is None:
            assert world.accounts(ann) == []
            return
        world.check_deleted(ann)

    assert every_script(run) > 400


# The clean-up has a step more under this policy, and a disturbance multiplies with each: their orders are enough.
@pytest.mark.parametrize(("policy", "disturbances"), [("keep-account", 1), ("delete-account", 0)])
def test_a_linked_user_who_is_deleted_while_their_name_is_set_ends_as_a_tombstone(
    policy: DeletePolicy, disturbances: int
) -> None:
    def run(script: Script) -> None:
        world = world_of(Readings(), script, policy, disturbances)
        ann = world.add_user("ann", "ann@home.test", "Ann")
        world.enrol(ann)
        world.run_together((world.sync, ann), (world.delete, ann))
        world.settle_by_messages(ann)
        world.check_deleted(ann)

    assert every_script(run) > (400 if disturbances else 10)


@pytest.mark.parametrize("policy", POLICIES)
def test_two_messages_of_one_deletion_do_no_harm_to_each_other(policy: DeletePolicy) -> None:
    def run(script: Script) -> None:
        world = world_of(Readings(), script, policy, disturbances=0)
        ann = world.add_user("ann", "ann@home.test", "Ann")
        world.sync(ann)
        world.run_together((world.delete, ann), (world.delete, ann))
        world.settle_by_messages(ann)
        world.check_deleted(ann)

    assert every_script(run) > 10


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_falls_together_with_a_deletion_it_ends_as_a_tombstone_and_the_others_are_linked(seed: int) -> None:
    chance = random.Random(seed)
    world = World(
        chance.choice(list(READINGS.values())),
        chance.choice,
        disturbances=chance.randrange(1, 9),
        policy=chance.choice(POLICIES),
        change_disturbances=CHANGE_DISTURBANCES,
    )
    ann, ben = world.add_user("ann", "ann@home.test", "Ann"), world.add_user("ben", "ben@home.test")
    tasks = [(chance.choice((world.enrol, world.sync)), chance.choice((ann, ann, ben))) for _ in range(4)]
    world.run_together(*tasks, (world.delete, ann))
    world.pass_time(chance.choice((0, 1, 11)))
    world.settle_by_messages(ann, ben)
    if world.users.get(ann) is not None:
        world.check_deleted(ann)
    assert world.record(ben).status is Status.LINKED


@pytest.mark.parametrize("seed", SEEDS)
def test_who_signs_up_again_inherits_the_identity_and_keeps_their_own_name(seed: int) -> None:
    chance = random.Random(seed)
    world = World(
        Readings(),
        chance.choice,
        disturbances=chance.randrange(5),
        policy=chance.choice(POLICIES),
        reuse="inherit",
        change_disturbances=CHANGE_DISTURBANCES,
    )
    old, new = (world.add_user(sub, "ann@home.test", sub) for sub in ("old", "new"))
    world.settle(old)
    world.sync(old)
    before = world.record(old).whop_user_id
    world.run_together((world.delete, old), (world.delete, old), (world.sync, new), (world.enrol, new))
    world.settle_by_messages(old, new)

    record, left = world.record(new), world.record(old)
    assert (record.status, record.whop_user_id) == (Status.LINKED, before)
    assert world.users.reservations == {before: (new.pool_id, new.sub)}
    assert (left.status, left.whop_user_id) == (Status.DELETED, None)
    assert world.names() == {before: "new"}
