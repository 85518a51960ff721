"""The versions of a stack in the artifact bucket."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tools.deploy.artifacts import Artifacts, bucket
from tools.deploy.errors import DeployError

REGION = "eu-west-1"


@pytest.fixture
def s3() -> Iterator[Any]:
    with mock_aws():
        client: Any = boto3.client("s3", region_name=REGION)
        client.create_bucket(Bucket="artifacts", CreateBucketConfiguration={"LocationConstraint": REGION})
        yield client


@pytest.fixture
def versions(s3: Any) -> Artifacts:
    return Artifacts(s3, "artifacts", "chat")


def test_a_version_has_its_template_and_its_parameters(s3: Any, versions: Artifacts) -> None:
    versions.upload("one", "Resources: {}")
    versions.record("one", {"DeniedGroups": "banned,people we block"})

    key = versions.url("one").partition("/artifacts/")[2]
    assert s3.get_object(Bucket="artifacts", Key=key)["Body"].read() == b"Resources: {}"
    assert versions.parameters("one") == {"DeniedGroups": "banned,people we block"}
    assert [each.name for each in versions.versions()] == ["one"]


def test_a_template_that_was_not_deployed_is_no_version(versions: Artifacts) -> None:
    versions.upload("one", "Resources: {}")

    assert versions.versions() == []
    with pytest.raises(DeployError, match="no version one"):
        versions.parameters("one")


def test_a_removed_version_is_gone_and_others_stay(versions: Artifacts) -> None:
    for name in ("one", "two"):
        versions.upload(name, "Resources: {}")
        versions.record(name, {})

    versions.remove("two")

    assert [each.name for each in versions.versions()] == ["one"]


def test_the_versions_of_another_stack_are_not_listed(s3: Any, versions: Artifacts) -> None:
    Artifacts(s3, "artifacts", "chat-2").record("one", {})

    assert versions.versions() == []


def test_without_a_deployment_there_is_no_bucket() -> None:
    with mock_aws(), pytest.raises(DeployError, match="no bucket"):
        bucket(boto3.client("cloudformation", region_name=REGION))
