"""A repair that fails, and a deletion after it: the clean-up finds whatever the repair asked Whop for."""

import dataclasses

import pytest

from local.whop_simulator import Readings
from tests.model.test_deletion_protocol import POLICIES, world_of
from tests.model.test_enrolment_protocol import READINGS
from tests.model.world import Script, every_script
from whop_chat.enrolment.cleanup import DeletePolicy


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("readings", READINGS.values(), ids=READINGS)
def test_whatever_a_repair_made_is_cleaned_up_after(readings: Readings, policy: DeletePolicy) -> None:
    def run(script: Script) -> None:
        world = world_of(readings, script, policy)
        ann = world.add_user("ann", "ann@home.test", "Ann")
        world.sync(ann)
        world.people["ann"] = dataclasses.replace(world.people["ann"], email="ann@work.test")
        world.run_together((world.repair, ann))
        world.run_together((world.delete, ann))
        world.settle_by_messages(ann)
        world.check_deleted(ann)

    assert every_script(run) > 10
