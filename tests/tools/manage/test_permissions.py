"""The permissions in docs/operations.md are those that the commands need."""

import contextlib
import re
import secrets
import time

import pytest

from local.whop_simulator import Simulator
from tests.fakes.moto_aws import AN_HOUR, aws_at_moto
from tests.fakes.source_tree import ROOT
from tests.tools.manage.deployment import DeployedStack, restored_table
from tests.tools.manage.sealed_world import CACHE_SECONDS, run_later, sealed_world
from whop_chat.cognito.user import UserRef
from whop_chat.sync.queue import Source, encode
from whop_chat.users.record import Record, Status
from whop_chat.whop.circuit_state import CircuitState, DynamoDBCircuitStore, Reason

CONFLICT = Record(
    status=Status.BLOCKED, reason="identity_conflict", conflict_whop_user_id="user_1", email_mode="verified"
)
DOCUMENT = (ROOT / "docs" / "operations.md").read_text()
ROWS = {
    command: set(re.findall(r"`([a-z-]+:\w+)`", permissions))
    for command, permissions in re.findall(r"^\| `([a-z -]+)` \| (`[a-z-]+:.*) \|$", DOCUMENT, re.MULTILINE)
}
EVERYWHERE = {"sts:GetCallerIdentity", "cloudformation:DescribeStacks"}
# For a user who is no longer listed, and for one who had another Whop user before.
RARE = {"cognito-idp:AdminGetUser", "dynamodb:DeleteItem"}
ARGUMENTS = {
    "adopt-table": ("adopt-table", "restored"),
    "status": ("status", "ann@example.test"),
    "list": ("list", "--blocked"),
    "sync": ("sync", "ann@example.test"),
    "deny": ("deny", "ann@example.test"),
    "allow": ("allow", "ann@example.test"),
    "relink": ("relink", "--by-verified-email", "--yes"),
    "reconcile": ("reconcile", "--wait"),
    "reconcile --limit": ("reconcile", "--backfill", "--limit", "1", "--yes"),
    "reconcile --group": ("reconcile", "--backfill", "--group", "beta", "--yes"),
    "close-circuit": ("close-circuit",),
    "rotate-key": ("rotate-key",),
    "rotate-data-key": ("rotate-data-key",),
    "create-oauth-app": ("create-oauth-app",),
    "report": ("report",),
    "doctor": ("doctor",),
    "dead-letters list": ("dead-letters", "list"),
    "dead-letters redrive": ("dead-letters", "redrive"),
    "dead-letters discard": ("dead-letters", "discard", "--yes"),
}


@pytest.fixture(autouse=True)
def _somebody_blocked_and_two_dead_letters(run: DeployedStack) -> None:
    ann = run.cloud.sign_up("ann")
    run.write(ann, CONFLICT)
    run.cloud.sign_up("bob")
    with contextlib.suppress(run.cloud.cognito.exceptions.GroupExistsException):
        run.cloud.cognito.create_group(UserPoolId=run.cloud.pool_id, GroupName="beta")
    run.cloud.cognito.admin_add_user_to_group(UserPoolId=run.cloud.pool_id, Username="bob", GroupName="beta")
    for pool_id in (run.cloud.pool_id, "eu-west-1_Other"):
        body = encode(UserRef(pool_id=pool_id, sub=ann.sub, username="ann"), Source.CHANGE)
        run.cloud.sqs.send_message(QueueUrl=run.cloud.dead_letter_queue_url, MessageBody=body)


def test_every_command_is_in_the_table() -> None:
    assert ROWS.keys() == ARGUMENTS.keys()


@pytest.mark.parametrize("command", ARGUMENTS)
def test_a_command_needs_the_permissions_of_the_table(
    run: DeployedStack, whop: Simulator, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    new_key = secrets.token_urlsafe(24)
    whop.add_key(new_key, company_id=run.cloud.environment["WHOP_COMPANY_ID"], owner_level=True)
    run.outputs["ApiUrl"] = "https://api.team.test"
    run.parameters |= {
        "WhopBaseUrl": "https://api.whop.com",
        "WhopApiVersion": "2026-10-15-1",
        "WhopCompanyId": run.cloud.environment["WHOP_COMPANY_ID"],
    }
    if command == "close-circuit":
        waits = DynamoDBCircuitStore(aws_at_moto(), "users", run.cloud.environment["WHOP_COMPANY_ID"])
        waits.extend("create_account", CircuitState(time.time() + 3600, Reason.LIMITED), deadline=AN_HOUR)
    with sealed_world(run), restored_table(run, f"USER#{run.cloud.pool_id}#ann"):
        before = {"allow": ("deny", "ann"), "report": ("reconcile",), "rotate-data-key": ("rotate-data-key",)}
        if command in before:
            run(*before[command])
            run.asked.clear()
            run_later(monkeypatch, CACHE_SECONDS + 10)
        done = run(*ARGUMENTS[command], pipe=new_key)

    assert done.status == 0, done.err
    assert run.asked - EVERYWHERE == ROWS[command] - RARE
