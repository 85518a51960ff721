"""The versions of a stack in the artifact bucket: a packaged template and its parameters each.

    <stack>/versions/<version>/template.yaml
    <stack>/versions/<version>/parameters.json

The bucket is the one that the SAM CLI makes once a region. It keeps the code of all versions, as long as nobody sets
a lifecycle rule.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from tools.deploy.errors import DeployError

_SAM_STACK = "aws-sam-cli-managed-default"


@dataclass(frozen=True, slots=True)
class Version:
    """A version that was deployed, last at ``deployed_at``."""

    name: str
    deployed_at: datetime


class Artifacts:
    """The versions of one stack."""

    def __init__(self, s3: Any, bucket: str, stack: str) -> None:
        self._s3, self._bucket = s3, bucket
        self._prefix = f"{stack}/versions/"

    def upload(self, version: str, template: str) -> None:
        """Store the packaged template of a version that is not deployed yet."""
        self._put(version, "template.yaml", template)

    def url(self, version: str) -> str:
        """The address of a version's template, for CloudFormation."""
        return f"{self._s3.meta.endpoint_url}/{self._bucket}/{self._key(version, 'template.yaml')}"

    def record(self, version: str, parameters: Mapping[str, str]) -> None:
        """Note that the version is deployed now, with these parameters."""
        self._put(version, "parameters.json", json.dumps(parameters, indent=2))

    def remove(self, version: str) -> None:
        """Forget a version that was not deployed. Its code stays: other versions can have the same."""
        for file in ("parameters.json", "template.yaml"):
            self._s3.delete_object(Bucket=self._bucket, Key=self._key(version, file))

    def parameters(self, version: str) -> dict[str, str]:
        """The parameters of a version. Raises `DeployError` if there is no such version."""
        try:
            found = self._s3.get_object(Bucket=self._bucket, Key=self._key(version, "parameters.json"))
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "NoSuchKey":
                raise
            raise DeployError(f"There is no version {version}.") from None
        values: dict[str, str] = json.loads(found["Body"].read())
        return values

    def versions(self) -> list[Version]:
        """All versions, the one deployed last first."""
        return sorted(self._all(), key=lambda each: (each.deployed_at, each.name), reverse=True)

    def _all(self) -> Iterator[Version]:
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix):
            for each in page.get("Contents", []):
                version, _, file = each["Key"].removeprefix(self._prefix).partition("/")
                if file == "parameters.json":
                    yield Version(version, each["LastModified"])

    def _put(self, version: str, file: str, text: str) -> None:
        self._s3.put_object(Bucket=self._bucket, Key=self._key(version, file), Body=text.encode())

    def _key(self, version: str, file: str) -> str:
        return f"{self._prefix}{version}/{file}"


def bucket(cloudformation: Any) -> str:
    """The artifact bucket of the region. Raises `DeployError` if nothing was deployed there yet."""
    try:
        stack = cloudformation.describe_stacks(StackName=_SAM_STACK)["Stacks"][0]
    except ClientError as error:
        # CloudFormation's code for a stack that does not exist (AWS, DescribeStacks).
        if error.response.get("Error", {}).get("Code") != "ValidationError":
            raise
        raise DeployError("The SAM CLI has no bucket in this region, so nothing was deployed by make deploy.") from None
    outputs = {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}
    name: str = outputs["SourceBucket"]
    return name
