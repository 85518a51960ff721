"""Our AWS client, with moto behind it: botocore checks each parameter we send and builds the request once more."""

import base64
import functools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import boto3
import httpx
from botocore.exceptions import BotoCoreError, ClientError

from whop_chat.runtime.aws import Aws
from whop_chat.runtime.base_settings import AwsCredentials, AwsSettings
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.http import HttpClient

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

REGION = "eu-west-1"
AN_HOUR = Deadline(3600)
"""For calls whose time is not what is tested."""
CREDENTIALS = AwsCredentials(access_key_id="testing", secret_access_key="testing", session_token=None)
SETTINGS = AwsSettings(region=REGION, credentials=CREDENTIALS, endpoint=None)


@functools.cache
def session() -> boto3.Session:
    """The one AWS session of all unit tests: each new one reads the models of the services again."""
    return boto3.Session()


@functools.cache
def client(service: str) -> Any:
    """The SDK's client, through which our calls go; a test may stub it or listen to its events."""
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
    """What AWS, as moto knows it, answers to a request of ours."""
    service = request.url.host.partition(".")[0]
    operation = request.headers["X-Amz-Target"].rpartition(".")[2]
    try:
        result = client(service)._make_api_call(operation, json.loads(request.content, object_hook=_read))
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
        body = {"__type": f"com.amazonaws#{error.response['Error']['Code']}", "Item": error.response.get("Item")}
        return httpx.Response(status, json=body)
    except BotoCoreError as error:
        raise httpx.ConnectError(str(error)) from error
    result.pop("ResponseMetadata", None)
    return httpx.Response(200, content=json.dumps(result, default=_written))


def aws_at_moto() -> Aws:
    """For use inside `moto.mock_aws`."""
    return Aws(HttpClient(httpx.MockTransport(answer)), SETTINGS, sleep=lambda _seconds: None)


@contextmanager
def table(name: str) -> "Iterator[DynamoDBClient]":
    """As `made_table`, gone after the block."""
    made = made_table(name)
    yield made
    made.delete_table(TableName=name)


def _read(member: dict[str, Any]) -> dict[str, Any]:
    """The SDK takes bytes as they are, where the wire has them in base64 (DynamoDB, "Low-level API", binary)."""
    return {"B": base64.b64decode(member["B"])} if member.keys() == {"B"} else member


def _written(value: object) -> object:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.timestamp() if isinstance(value, datetime) else str(value)
