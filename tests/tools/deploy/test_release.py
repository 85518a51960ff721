"""What a deployment leaves behind that fails, or that the operator interrupts."""

import io
import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import WaiterError
from moto import mock_aws
from rich.console import Console

from tools.deploy import release
from tools.deploy.answers import Overlay
from tools.deploy.errors import DeployError
from tools.deploy.release import Target
from tools.deploy.sam import Sam
from tools.deploy.samconfig import Stage
from tools.deploy.screen import Screen
from tools.deploy.stacks import ChangeSet

REGION = "us-east-1"
BUCKET_STACK = {
    "Resources": {"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "artifacts"}}},
    "Outputs": {"SourceBucket": {"Value": {"Ref": "Bucket"}}},
}
TEMPLATE = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}


class _Interrupted(Screen):
    def approve(self, question: str) -> None:
        raise KeyboardInterrupt


class Account:
    """An account with SAM's bucket and no other stack."""

    def __init__(self, screen: Screen) -> None:
        session = boto3.Session(region_name=REGION)
        self.cloudformation: Any = session.client("cloudformation")
        bucket = json.dumps(BUCKET_STACK)
        self.cloudformation.create_stack(StackName="aws-sam-cli-managed-default", TemplateBody=bucket)
        self.target = Target(session, Stage("dev", "chat", {}), screen, may_change_table=False)
        self.versions = self.target.artifacts()


@mock_aws
def test_an_interrupt_at_the_question_leaves_no_change_set_and_no_empty_stack() -> None:
    account = Account(_Interrupted(Console(file=io.StringIO()), yes=False))
    account.versions.upload("one", json.dumps(TEMPLATE))
    account.versions.record("one", {})

    with pytest.raises(KeyboardInterrupt):
        release.rollback(account.target, "one")

    left = account.cloudformation.list_stacks(StackStatusFilter=["REVIEW_IN_PROGRESS"])["StackSummaries"]
    assert left == []


class _Built(Sam):
    """A SAM CLI whose package is `TEMPLATE`."""

    def require_version(self) -> None:
        pass

    def package(self, built: Path, prefix: str, region: str) -> str:
        return json.dumps(TEMPLATE)


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (DeployError("The deployment failed."), 0),
        (WaiterError("StackUpdateComplete", "ExpiredToken", {}), 1),
        (KeyboardInterrupt(), 1),
    ],
)
@mock_aws
def test_a_failed_deployment_is_no_version_and_one_that_goes_on_unseen_is(
    error: BaseException, kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def execute(_change_set: ChangeSet) -> None:
        raise error

    monkeypatch.setattr(ChangeSet, "execute", execute)
    account = Account(Screen(Console(file=io.StringIO()), yes=True))
    given = {"AllowedOrigins": "https://app.example.test", "WhopCompanyId": "biz_Test"}

    with pytest.raises(type(error)):
        release.deploy(account.target, _Built([]), Overlay(tmp_path / "dev.toml"), given, tmp_path)

    assert len(account.versions.versions()) == kept
