"""Change sets of a stack with one queue."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import WaiterError
from botocore.stub import Stubber
from moto import mock_aws

from tools.deploy import stacks
from tools.deploy.errors import DeployError
from tools.deploy.stacks import ChangeSet

REGION = "us-east-1"
TEMPLATE = {
    "Parameters": {"Days": {"Type": "String"}},
    "Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"MessageRetentionPeriod": {"Ref": "Days"}}}},
}


class Account:
    """An account with a template in a bucket."""

    def __init__(self) -> None:
        self.client: Any = boto3.client("cloudformation", region_name=REGION)
        s3: Any = boto3.client("s3", region_name=REGION)
        s3.create_bucket(Bucket="artifacts")
        s3.put_object(Bucket="artifacts", Key="template", Body=json.dumps(TEMPLATE).encode())

    def change_set(self, days: int) -> ChangeSet | None:
        """A change set that keeps messages for so many seconds."""
        url = "https://s3.amazonaws.com/artifacts/template"
        return ChangeSet.create(self.client, "chat", f"to-{days}", url, {"Days": str(days)})


@pytest.fixture
def account() -> Iterator[Account]:
    with mock_aws():
        yield Account()


def test_a_stack_is_created_and_then_changed(account: Account) -> None:
    for seconds in (3600, 7200):
        change_set = account.change_set(seconds)
        assert change_set is not None
        change_set.execute()

        stack = stacks.find(account.client, "chat")
        assert stack is not None
        assert stack.parameters == {"Days": str(seconds)}


def test_a_change_set_tells_what_it_does(account: Account) -> None:
    change_set = account.change_set(3600)

    assert change_set is not None
    assert [(each.action, each.resource, each.kind) for each in change_set.changes] == [
        ("Add", "Queue", "AWS::SQS::Queue")
    ]
    assert stacks.find(account.client, "chat") is None


def test_a_declined_creation_leaves_no_stack(account: Account) -> None:
    change_set = account.change_set(3600)
    assert change_set is not None

    change_set.discard()

    active = ["REVIEW_IN_PROGRESS", "CREATE_COMPLETE"]
    assert account.client.list_stacks(StackStatusFilter=active)["StackSummaries"] == []


def test_the_same_again_changes_nothing_and_leaves_no_change_set(account: Account) -> None:
    first = account.change_set(3600)
    assert first is not None
    first.execute()

    assert account.change_set(3600) is None
    left = account.client.list_change_sets(StackName="chat")["Summaries"]
    assert [each for each in left if each["Status"] == "FAILED"] == []


@pytest.mark.parametrize(
    ("status", "advice"),
    [("UPDATE_IN_PROGRESS", "is busy"), ("ROLLBACK_COMPLETE", "aws cloudformation delete-stack --stack-name chat")],
)
def test_a_stack_that_cannot_be_deployed_now_is_refused_with_advice(status: str, advice: str) -> None:
    client: Any = boto3.client("cloudformation", region_name=REGION)
    with Stubber(client) as stub:
        found = {"StackName": "chat", "CreationTime": 0, "StackStatus": status}
        stub.add_response("describe_stacks", {"Stacks": [found]})

        with pytest.raises(DeployError, match=advice):
            ChangeSet.create(client, "chat", "one", "https://example.test/template", {})


def test_a_failed_deployment_says_what_failed_in_this_deployment_only() -> None:
    client: Any = boto3.client("cloudformation", region_name=REGION)
    arn = f"arn:aws:cloudformation:{REGION}:123456789012:stack/chat/1"
    events = [
        _event(arn, "chat", "UPDATE_ROLLBACK_COMPLETE"),
        _event(arn, "Other", "UPDATE_FAILED", "second"),
        _event(arn, "Queue", "UPDATE_FAILED", "first"),
        _event(arn, "chat", "UPDATE_IN_PROGRESS"),
        _event(arn, "Queue", "UPDATE_FAILED", "of yesterday"),
    ]
    with Stubber(client) as stub:
        stub.add_response("execute_change_set", {})
        found = {"StackName": "chat", "CreationTime": 0, "StackStatus": "UPDATE_ROLLBACK_COMPLETE"}
        stub.add_response("describe_stacks", {"Stacks": [found]})
        stub.add_response("describe_stack_events", {"StackEvents": events})

        with pytest.raises(DeployError) as failure:
            ChangeSet(client, "chat", f"{arn}/change-set", is_new=False).execute()

    assert str(failure.value).splitlines()[1:] == ["Queue: first", "Other: second"]


@pytest.mark.parametrize("code", ["ExpiredToken", "Throttling"])
def test_a_deployment_that_nobody_could_follow_is_not_called_failed(code: str) -> None:
    once = Config(retries={"total_max_attempts": 1})
    client: Any = boto3.client("cloudformation", region_name=REGION, config=once)
    with Stubber(client) as stub:
        stub.add_response("execute_change_set", {})
        stub.add_client_error("describe_stacks", code)

        with pytest.raises(WaiterError, match=code):
            ChangeSet(client, "chat", "change-set", is_new=False).execute()


def _event(arn: str, resource: str, status: str, reason: str = "") -> dict[str, Any]:
    return {
        "StackId": arn,
        "EventId": f"{resource}-{status}-{reason}",
        "StackName": "chat",
        "LogicalResourceId": resource,
        "PhysicalResourceId": arn if resource == "chat" else resource,
        "Timestamp": 0,
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
    }
