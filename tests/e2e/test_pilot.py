"""A backfill of some users first, of all later, and one that is stopped in the middle."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.demo.chat_app import User
from local.stack import Deployment, LocalStack
from tests.e2e.confidential import Confidential
from tests.e2e.harness import SyncLane, TeamApp, accounts_of, deploy_again, made_up_username, make_key, manage

_USERS = 12


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool with users whom nobody has enrolled, and the stack on it."""

    cloud: LocalStack
    deployment: Deployment
    lane: SyncLane
    users: list[User]

    def reconcile(self, *arguments: str, status: int = 0) -> dict[str, Any]:
        """What the command answers as JSON, when it ends with ``status``."""
        done = manage(self.cloud, self.deployment.name, "reconcile", *arguments)
        assert done.returncode == status, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    @property
    def enrolled(self) -> list[User]:
        """Who has an account at Whop: so many e-mails Whop has sent."""
        found = [(user, accounts_of(self.cloud.whop, user)) for user in self.users]
        assert all(len(accounts) <= 1 for _, accounts in found)
        return [user for user, accounts in found if accounts]


@pytest.fixture(scope="module")
def pool(cloud: LocalStack, stack: Deployment, confidential: Confidential) -> Pool:
    pool_id = cloud.cognito.create_user_pool(PoolName="pilot")["UserPool"]["Id"]
    client = cloud.cognito.create_user_pool_client(UserPoolId=pool_id, ClientName="web")["UserPoolClient"]["ClientId"]
    deployment = deploy_again(cloud, stack, "pilot", {"UserPoolId": pool_id, "UserPoolClientIds": client})
    cloud.put_api_key(deployment, make_key(cloud, confidential))
    app = TeamApp(cloud, deployment, confidential, pool_id=pool_id, client_id=client)
    users = [app.create_by_admin(username=made_up_username()) for _ in range(_USERS)]
    return Pool(cloud, deployment, SyncLane(cloud, deployment), users)


def test_a_backfill_is_tried_on_some_users_first(pool: Pool, tmp_path: Path) -> None:
    # Exactly two, then exactly those that a file names.
    first = pool.reconcile("--backfill", "--limit", "2", "--yes", "--wait")
    assert (first["outcome"], first["users"]["handed_on"], first["users"]["enrolled"]) == ("completed", 2, 2)
    assert len(pool.enrolled) == 2
    named = [user for user in pool.users if user not in pool.enrolled][:3]
    file = tmp_path / "emails"
    file.write_text("".join(f"{user.email}\n" for user in [*named, pool.enrolled[0]]) + "nobody@people.example.test\n")
    second = pool.reconcile("--backfill", "--emails-from", str(file), "--yes", "--wait")
    assert (second["users"]["handed_on"], second["users"]["enrolled"], second["lines_not_found"]) == (3, 3, [5])
    assert len(pool.enrolled) == 5
    assert all(user in pool.enrolled for user in named)

    # All others. The function has handed them on before any of them is enrolled.
    with pool.lane.paused():
        begun = pool.reconcile("--backfill", "--yes")
        assert (begun["users"]["handed_on"], begun["users"]["enrolled"], begun["users"]["waiting"]) == (7, 0, 7)
    pool.lane.settle()
    run = begun["run"]["run"]
    watched = pool.reconcile("--watch", run)
    assert (watched["outcome"], watched["users"]["enrolled"]) == ("completed", 7)
    assert len(pool.enrolled) == _USERS


def test_who_waits_when_a_run_is_stopped_is_not_enrolled_by_it(pool: Pool, confidential: Confidential) -> None:
    app = TeamApp(
        pool.cloud,
        pool.deployment,
        confidential,
        pool_id=pool.deployment["UserPoolId"],
        client_id=pool.deployment["UserPoolClientId"],
    )
    names = [made_up_username() for _ in range(5)]
    others = [app.create_by_admin(username=name) for name in names]
    again = Pool(pool.cloud, pool.deployment, pool.lane, others)
    two = [user.sub for user in others[:2]]
    with pool.lane.paused():
        begun = again.reconcile("--backfill", "--yes")
        assert begun["users"]["waiting"] == 5
        run = begun["run"]["run"]
        # Two users get their first token meanwhile: they are enrolled, though not by the message.
        for user, name in zip(others[:2], names[:2], strict=True):
            assert app.mint(app.sign_in(user, username=name).access).status_code == 200
        stopped = again.reconcile("--stop", run)
        assert (stopped["outcome"], stopped["enrolled"], stopped["waiting"]) == ("stopped", 0, 5)
    pool.lane.settle()

    ended = again.reconcile("--watch", run)
    assert (ended["users"]["enrolled"], ended["users"]["stopped"], ended["users"]["waiting"]) == (2, 3, 0)
    assert {user.sub for user in again.enrolled} == set(two)
    # Another run may enrol them.
    rest = again.reconcile("--backfill", "--yes", "--wait")
    assert (rest["users"]["handed_on"], rest["users"]["enrolled"]) == (3, 3)
    assert len(again.enrolled) == 5


def test_a_dry_run_foresees_a_conflict(pool: Pool, confidential: Confidential) -> None:
    app = TeamApp(
        pool.cloud,
        pool.deployment,
        confidential,
        pool_id=pool.deployment["UserPoolId"],
        client_id=pool.deployment["UserPoolClientId"],
    )
    before = len(pool.cloud.whop.calls())
    first = app.create_by_admin(username=made_up_username())
    app.create_by_admin(first.email, username=made_up_username())
    would = pool.reconcile("--backfill", "--dry-run", "--wait")["run"]

    assert (would["counts"]["may_conflict"], would["may_conflict_by_provider"]) == (2, {"COGNITO": 2})
    assert would["counts"]["linked"] == _USERS + 5
    assert len(pool.cloud.whop.calls()) == before
