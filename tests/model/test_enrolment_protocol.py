"""The enrolment protocol: exhaustively where it is small, by chance where it is not."""

import random

import pytest

from local.whop_simulator import Readings
from tests.model.world import Script, World, every_script
from whop_chat.cognito.user import UserRef
from whop_chat.users.record import Status

READINGS = {
    "likelier": Readings(),
    "external_id ignored": Readings(external_id_ignored=True, lost_answer="held"),
    "one account an address": Readings(
        external_id_ignored=True, metadata_external_id_counts=False, server_error="held", existing_account_status=201
    ),
}
SEEDS = range(150)


def outcome(world: World, user: UserRef) -> str:
    """``linked``, or why not."""
    record = world.record(user)
    return "linked" if record.status is Status.LINKED else str(record.reason)


@pytest.mark.parametrize("readings", READINGS.values(), ids=READINGS)
def test_two_workers_on_one_user_leave_one_account_whatever_goes_wrong_with_a_call(readings: Readings) -> None:
    def run(script: Script) -> None:
        world = World(readings, script.decide, disturbances=1)
        ann = world.add_user("ann", "ann@home.test")
        world.run(ann, ann)
        world.settle(ann)
        world.check(ann)
        assert outcome(world, ann) == "linked"

    assert every_script(run) > 400


def test_two_users_enrolled_at_once_both_arrive_whatever_goes_wrong_with_a_call() -> None:
    def run(script: Script) -> None:
        world = World(Readings(), script.decide, disturbances=1)
        ann = world.add_user("ann", "ann@home.test")
        ben = world.add_user("ben", "ben@home.test")
        world.run(ann, ben)
        world.settle(ann, ben)
        world.check(ann, ben)
        assert {outcome(world, ann), outcome(world, ben)} == {"linked"}

    assert every_script(run) > 400


@pytest.mark.parametrize("readings", READINGS.values(), ids=READINGS)
def test_of_two_users_with_one_address_exactly_one_is_linked_whatever_goes_wrong_with_a_call(
    readings: Readings,
) -> None:
    def run(script: Script) -> None:
        world = World(readings, script.decide, disturbances=1)
        ann = world.add_user("ann", "shared@home.test")
        ben = world.add_user("ben", "shared@home.test")
        world.run(ann, ben)
        world.settle(ann, ben)
        world.check(ann, ben)
        outcomes = {outcome(world, ann), outcome(world, ben)}
        assert outcomes in ({"linked", "identity_conflict"}, {"linked", "identity_mismatch"})

    assert every_script(run) > 400


@pytest.mark.parametrize("seed", SEEDS)
def test_many_workers_and_many_disturbances_leave_nobody_stuck(seed: int) -> None:
    chance = random.Random(seed)
    readings = chance.choice(list(READINGS.values()))
    world = World(readings, chance.choice, disturbances=chance.randrange(1, 9))
    users = [world.add_user(f"user-{number}", f"{chance.randrange(3)}@home.test") for number in range(4)]
    for _ in range(3):
        world.run(*chance.choices(users, k=5))
        world.pass_time(chance.choice((0, 1, 11)))
    world.settle(*users)
    world.check(*users)
