"""The end of a deployment that the operator interrupts."""

import io
import json
from typing import Any

import boto3
import pytest
from moto import mock_aws
from rich.console import Console

from tools.deploy import release
from tools.deploy.artifacts import Artifacts
from tools.deploy.release import Target
from tools.deploy.samconfig import Stage
from tools.deploy.screen import Screen

REGION = "us-east-1"
BUCKET_STACK = {
    "Resources": {"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "artifacts"}}},
    "Outputs": {"SourceBucket": {"Value": {"Ref": "Bucket"}}},
}
TEMPLATE = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}


class _Interrupted(Screen):
    def approve(self, question: str) -> None:
        raise KeyboardInterrupt


@mock_aws
def test_an_interrupt_at_the_question_leaves_no_change_set_and_no_empty_stack() -> None:
    session = boto3.Session(region_name=REGION)
    cloudformation: Any = session.client("cloudformation")
    cloudformation.create_stack(StackName="aws-sam-cli-managed-default", TemplateBody=json.dumps(BUCKET_STACK))
    versions = Artifacts(session.client("s3"), "artifacts", "chat")
    versions.upload("one", json.dumps(TEMPLATE))
    versions.record("one", {})
    screen = _Interrupted(Console(file=io.StringIO()), yes=False)
    target = Target(session, Stage("dev", "chat", {}), screen, may_change_table=False)

    with pytest.raises(KeyboardInterrupt):
        release.rollback(target, "one")

    left = cloudformation.list_stacks(StackStatusFilter=["REVIEW_IN_PROGRESS"])["StackSummaries"]
    assert left == []
