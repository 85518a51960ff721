"""A user's name at Whop while it changes: whatever call takes effect last, a later sync sets the newest again."""

import random

import pytest

from local.whop_simulator import Fault, Readings
from tests.model.test_enrolment_protocol import SEEDS
from tests.model.world import CHANGE_DISTURBANCES, POOL, Script, World, every_script
from whop_chat.cognito.display_name import NEUTRAL_NAME
from whop_chat.cognito.user import UserRef
from whop_chat.users.lifecycle import SETTLING_SECONDS

LATE = SETTLING_SECONDS - 60.0
DISTURBANCES = {
    **CHANGE_DISTURBANCES,
    "first attempt late": Fault("users.update", "delay", seconds=LATE),
    "both attempts late": Fault("users.update", "delay", seconds=LATE, count=2),
}


class NamedWorld(World):
    """A world in which users change their name."""

    def rename(self, user: UserRef) -> None:
        """The user changes their name in the pool, if they are still there, and a message follows."""
        if user.sub not in self.people:
            return
        self.add_user(user.sub, f"{user.sub}@home.test", "Newest")
        self._pause()
        self.sync(user)

    def name(self, user: UserRef) -> str:
        """The name in the company of the Whop user that ``user`` has."""
        return self.names()[str(self.record(user).whop_user_id)]


def world_of(script: Script, disturbances: int = 1) -> NamedWorld:
    return NamedWorld(Readings(), script.decide, disturbances, change_disturbances=DISTURBANCES)


def test_the_newest_of_two_names_stays_whatever_goes_wrong_with_a_call() -> None:
    def run(script: Script) -> None:
        world = world_of(script)
        ann = world.add_user("ann", "ann@home.test", "Ann")
        world.enrol(ann)
        world.run_together((world.sync, ann), (world.rename, ann))
        world.settle_by_messages(ann)
        assert world.name(ann) == "Newest"

    assert every_script(run) > 400


def test_a_call_that_takes_effect_after_a_deletion_gives_nobody_their_name_back() -> None:
    def run(script: Script) -> None:
        world = world_of(script)
        ann = world.add_user("ann", "ann@home.test", "Ann")
        world.enrol(ann)
        world.run_together((world.sync, ann), (world.delete, ann))
        world.settle_by_messages(ann)
        world.check_deleted(ann)

    assert every_script(run) > 400


@pytest.mark.parametrize("seed", SEEDS)
def test_an_heir_keeps_their_name_whatever_was_in_flight_for_the_user_before_them(seed: int) -> None:
    chance = random.Random(seed)
    world = NamedWorld(
        Readings(), chance.choice, chance.randrange(1, 6), reuse="inherit", change_disturbances=DISTURBANCES
    )
    ann = world.add_user("ann", "ann@home.test", "Ann")
    world.enrol(ann)
    world.run_together((world.sync, ann), (world.rename, ann), (world.delete, ann))
    heir = world.add_user("heir", "ann@home.test", "Heir")
    world.run_together((world.sync, ann), (world.sync, heir))
    world.settle_by_messages(ann, heir)
    record = world.users.records[(POOL, heir.sub)]
    assert record.whop_user_id is None or world.name(heir) == "Heir"
    assert "Newest" not in world.names().values()
    assert set(world.names().values()) <= {"Heir", NEUTRAL_NAME}
