"""A pool that was there before, brought into step and kept there."""

from dataclasses import dataclass
from typing import Any

import pytest

from local.demo.chat_app import User
from local.processes import wait_until
from local.stack import Deployment, LocalStack
from local.whop_simulator.control import SimulatorControl
from tests.e2e.confidential import Confidential
from tests.e2e.harness import (
    SYNC_SECONDS,
    SyncLane,
    TeamApp,
    accounts_of,
    deploy_again,
    invoke,
    made_up_username,
    make_key,
    record_with_status,
)
from whop_chat.reconcile.command import Command


@dataclass(frozen=True, slots=True)
class OldPool:
    """A pool with users of every kind, and a stack that was deployed on it afterwards."""

    cloud: LocalStack
    deployment: Deployment
    app: TeamApp
    lane: SyncLane
    active: list[tuple[str, User]]
    unverified: User
    disabled: User
    invited: User

    def run(self, **order: object) -> dict[str, Any]:
        """Let the function do what an operator's event asks for, then let the queue be worked through."""
        event = {"command": "start", **order}
        Command.of(event)
        answer: dict[str, Any] = invoke(self.cloud, self.deployment["ReconcileFunctionName"], event)
        assert answer.get("phase") == "finished", answer
        self.lane.settle()
        return answer

    def record(self, user: User) -> dict[str, str]:
        return self.cloud.user_record(self.deployment, user.sub)


@pytest.fixture(scope="module")
def old_pool(cloud: LocalStack, stack: Deployment, confidential: Confidential) -> OldPool:
    pool_id = cloud.cognito.create_user_pool(PoolName="old", AutoVerifiedAttributes=["email"])["UserPool"]["Id"]
    client = cloud.cognito.create_user_pool_client(UserPoolId=pool_id, ClientName="web")["UserPoolClient"]["ClientId"]
    deployment = deploy_again(cloud, stack, "old-pool", {"UserPoolId": pool_id, "UserPoolClientIds": client})
    cloud.put_api_key(deployment, make_key(cloud, confidential))
    app = TeamApp(cloud, deployment, confidential, pool_id=pool_id, client_id=client)
    names = [made_up_username() for _ in range(5)]
    users = [app.create_by_admin(username=name, verified=number != 3) for number, name in enumerate(names)]
    for number, name in enumerate(names):
        rename(cloud, pool_id, name, f"Person {number}")
    cloud.cognito.admin_disable_user(UserPoolId=pool_id, Username=names[4])
    invited = made_up_username()
    confidential.username(invited)
    sub = {
        each["Name"]: each["Value"]
        for each in cloud.cognito.admin_create_user(
            UserPoolId=pool_id, Username=invited, MessageAction="SUPPRESS", UserAttributes=[]
        )["User"]["Attributes"]
    }["sub"]
    return OldPool(
        cloud,
        deployment,
        app,
        SyncLane(cloud, deployment),
        list(zip(names[:3], users[:3], strict=True)),
        users[3],
        users[4],
        User(sub=sub, email="", password=""),
    )


def rename(cloud: LocalStack, pool_id: str, username: str, name: str) -> None:
    cloud.cognito.admin_update_user_attributes(
        UserPoolId=pool_id, Username=username, UserAttributes=[{"Name": "name", "Value": name}]
    )


def names_at_whop(whop: SimulatorControl, owner: str) -> list[str]:
    return [each["name"] for each in whop.state()["profiles"] if each["user_id"] == owner]


def test_a_pool_that_was_there_before_is_brought_into_step_and_kept_there(
    cloud: LocalStack, old_pool: OldPool, whop: SimulatorControl
) -> None:
    everybody = [*(user for _, user in old_pool.active), old_pool.unverified, old_pool.disabled, old_pool.invited]

    # A dry run says what a backfill would do, and does nothing; a run that nobody told to enrols nobody.
    would = old_pool.run(backfill=True, dry_run=True)
    assert would["counts"] | {"seen": 6, "missing": 3, "disabled": 1, "inactive": 0, "blocked": 2} == would["counts"]
    assert would["blocked_by_reason"] == {"no_verified_email": 2}
    assert old_pool.run()["counts"] == would["counts"]
    assert [old_pool.record(user) for user in everybody] == [{}] * 6

    # A backfill.
    done = old_pool.run(backfill=True)
    assert done["counts"] == {**would["counts"], "enqueued_create": 3}
    owners = {}
    for number, (name, user) in enumerate(old_pool.active):
        owners[name] = record_with_status(cloud, old_pool.deployment, user, "linked")["whop_user_id"]
        assert len(accounts_of(whop, user)) == 1
        assert names_at_whop(whop, owners[name]) == [f"Person {number}"]
    assert [old_pool.record(user) for user in everybody[3:]] == [{}] * 3

    # Nothing is left to do.
    calls = len(whop.calls())
    assert old_pool.run(backfill=True)["counts"] == {**would["counts"], "in_step": 3, "linked": 3, "missing": 0}
    assert len(whop.calls()) == calls

    # One gets another name, one is disabled, one is deleted; nobody announces it.
    (renamed, _), (disabled, out), (_, gone) = old_pool.active
    rename(cloud, old_pool.app.pool_id, renamed, "Another Name")
    cloud.cognito.admin_disable_user(UserPoolId=old_pool.app.pool_id, Username=disabled)
    cloud.cognito.admin_delete_user(UserPoolId=old_pool.app.pool_id, Username=old_pool.active[2][0])
    drifted = old_pool.run()["counts"]
    assert (drifted["stale"], drifted["orphaned"]) == (2, 1)
    assert (drifted["enqueued_update"], drifted["enqueued_orphan"]) == (2, 1)
    assert wait_until(lambda: names_at_whop(whop, owners[renamed]) == ["Another Name"], SYNC_SECONDS)
    record_with_status(cloud, old_pool.deployment, out, "disabled")
    record_with_status(cloud, old_pool.deployment, gone, "deleted")
    # The tombstone comes first, then the clean-up at Whop.
    assert wait_until(lambda: "Person 2" not in names_at_whop(whop, owners[old_pool.active[2][0]]), SYNC_SECONDS)

    # And in again.
    cloud.cognito.admin_enable_user(UserPoolId=old_pool.app.pool_id, Username=disabled)
    assert old_pool.run()["counts"]["stale"] == 1
    record_with_status(cloud, old_pool.deployment, out, "linked")
    settled = old_pool.run()["counts"]
    assert (settled["in_step"], settled["stale"], settled["checked"], settled["orphaned"]) == (2, 0, 0, 0)


def test_the_last_report_is_kept_and_a_tick_without_a_run_does_nothing(cloud: LocalStack, old_pool: OldPool) -> None:
    done = old_pool.run()
    table = old_pool.deployment["UsersTableName"]
    key = {"pk": {"S": f"REPORT#{old_pool.app.pool_id}#{done['run']}"}}

    assert "ttl" in cloud.dynamodb.get_item(TableName=table, Key=key)["Item"]
    function = old_pool.deployment["ReconcileFunctionName"]
    assert invoke(cloud, function, {"command": "continue"}) == {"refused": "no run is under way"}
    assert "refused" in invoke(cloud, function, {"backfill": True})
