"""The calls of the whole run beside what the template allows: nothing is missing, and nothing is there in vain."""

import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from local.stack import LocalStack
from tests.template.test_oauth import APP
from tests.template.translation import deployed, of_type

# The emulator reads queues for a function, writes logs and traces, and encrypts, all in its own name.
_WITHOUT_A_CALL_HERE = {
    "kms:*",
    "logs:*",
    "sqs:DeleteMessage",
    "sqs:ReceiveMessage",
    "xray:*",
}


@pytest.fixture
def decisions(cloud: LocalStack, request: pytest.FixtureRequest) -> set[tuple[str, str, str]]:
    """(logical id of the role, action, Sid) of every call, if every other test of this folder has run."""
    modules = set(Path(__file__).parent.glob("test_*.py"))
    if not modules <= {item.path for item in request.session.items}:
        pytest.skip("only a run of all end-to-end tests makes all calls")
    ours = of_type(deployed(AuthModes="both", **APP), "AWS::IAM::Role")
    decided = {(_logical_id(each.role), each.action, each.sid) for each in cloud.decisions()}
    return {each for each in decided if each[0] in ours}


def test_no_call_of_a_function_was_denied(decisions: set[tuple[str, str, str]]) -> None:
    assert {(role, action) for role, action, sid in decisions if not sid} == set()


def test_every_permission_of_a_function_was_used(decisions: set[tuple[str, str, str]]) -> None:
    resources = deployed(TokenReuse="always", WatchCloudTrail="true", AvatarSource="s3://pictures/avatars/{sub}")
    allowed = {
        (role, action, statement["Sid"])
        for role, each in of_type(resources, "AWS::IAM::Role").items()
        for policy in each["Properties"]["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
        for action in _as_list(statement["Action"])
        if not any(fnmatch(action, pattern) for pattern in _WITHOUT_A_CALL_HERE)
    }

    # Lambda demands it of a function with a queue, and never uses it in a call of the function's own.
    demanded = {("SyncUserRole", "sqs:GetQueueAttributes", "WorkThroughTheQueue")}
    assert allowed - decisions == demanded


def _logical_id(role: str) -> str:
    """``MintTokenRole`` of ``whop-chat-MintTokenRole-1A2B3C``."""
    found = re.search(r"-([A-Z][A-Za-z]+Role)-", role)
    return found[1] if found else role


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
