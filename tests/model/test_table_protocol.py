"""The protocols on the real users table: its conditions keep one worker from writing over another."""

from local.whop_simulator import Readings
from tests.model.table_users import TableUserRepository
from tests.model.world import Script, World, every_script


def test_two_workers_on_one_user_leave_one_account() -> None:
    def run(script: Script) -> None:
        world = World(Readings(), script.decide, disturbances=1, table=TableUserRepository())
        ann = world.add_user("ann", "ann@home.test")
        world.run(ann, ann)
        world.settle(ann)
        world.check(ann)

    assert every_script(run) > 400


def test_a_name_that_is_set_during_a_deletion_does_not_bring_the_user_back() -> None:
    def run(script: Script) -> None:
        world = World(
            Readings(), script.decide, disturbances=0, change_disturbances={"crash": None}, table=TableUserRepository()
        )
        ann = world.add_user("ann", "ann@home.test", "Ann")
        world.enrol(ann)
        world.run_together((world.sync, ann), (world.delete, ann))
        world.settle_by_messages(ann)
        world.check_deleted(ann)

    assert every_script(run) > 10
