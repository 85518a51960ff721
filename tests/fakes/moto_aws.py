"""AWS as moto knows it, below our own HTTP client: what botocore built, moto answers."""

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
import botocore.awsrequest
import httpx
import pytest
from moto.core.models import botocore_stubber
from moto.secretsmanager.models import SecretsManagerBackend

from whop_chat.runtime.aws_clients import carried_clients
from whop_chat.runtime.aws_session import AwsClients
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.http import HttpClient

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

REGION = "eu-west-1"
# DynamoDB checks a condition and writes in one step. Between moto's two steps, another thread could write.
_one_at_a_time = threading.Lock()
AN_HOUR = Deadline(3600)
"""For calls whose time is not what is tested."""


@functools.cache
def session() -> boto3.Session:
    """The one AWS session of all unit tests: each new one reads the models of the services again."""
    return boto3.Session()


@functools.cache
def client(service: str) -> Any:
    """A client of the SDK, for what a test prepares and looks up."""
    return session().client(service, region_name=REGION)  # type: ignore[call-overload]


def made_table(name: str) -> "DynamoDBClient":
    """A new table as the template has it, inside `moto.mock_aws`."""
    dynamodb: DynamoDBClient = client("dynamodb")
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return dynamodb


def answer(request: httpx.Request) -> httpx.Response:
    """What moto answers, inside `moto.mock_aws`, to a request that our HTTP client was to carry."""
    asked = botocore.awsrequest.AWSRequest(
        request.method, str(request.url), headers=dict(request.headers), data=request.content
    ).prepare()
    with _one_at_a_time:
        reply = botocore_stubber(event_name="before-send.any.Operation", request=asked)
    if reply is None:
        raise httpx.ConnectError("nobody there")
    return httpx.Response(reply.status_code, headers=dict(reply.headers), content=reply.content)


def aws_over(transport: httpx.BaseTransport, **options: Any) -> AwsClients:
    """Our clients over ``transport``; no time passes between two attempts."""
    options = {"region": REGION, "sleep": lambda _seconds: None, **options}
    return carried_clients(HttpClient(transport), **options)


@functools.cache
def aws_at_moto() -> AwsClients:
    """For use inside `moto.mock_aws`."""
    return aws_over(httpx.MockTransport(answer))


@contextmanager
def current_secrets() -> Iterator[None]:
    """Let moto answer the version with the label AWSCURRENT, also after that label was moved, as AWS does."""
    moved = SecretsManagerBackend.update_secret_version_stage

    def update(self: Any, *, secret_id: str, version_stage: str, move_to_version_id: str, **rest: str) -> Any:
        answer = moved(
            self, secret_id=secret_id, version_stage=version_stage, move_to_version_id=move_to_version_id, **rest
        )
        if version_stage == "AWSCURRENT":
            self.secrets[secret_id].set_default_version_id(move_to_version_id)
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SecretsManagerBackend, "update_secret_version_stage", update)
        yield


@contextmanager
def table(name: str) -> "Iterator[DynamoDBClient]":
    """As `made_table`, gone after the block."""
    made = made_table(name)
    yield made
    made.delete_table(TableName=name)
