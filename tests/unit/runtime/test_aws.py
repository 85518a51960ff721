"""The AWS client: signed as the SDK signs, within the time it is given, and silent about what it carried."""

import dataclasses
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any
from unittest.mock import patch

import botocore.auth
import httpx
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSRequest
from botocore.credentials import Credentials
from moto import mock_aws

from tests.fakes.moto_aws import AN_HOUR, client
from tests.fakes.shared import Clock, Server
from whop_chat.cognito.pool import PoolUsers
from whop_chat.cognito.user import UserRef
from whop_chat.reconcile.checkpoint import Ledger
from whop_chat.runtime.aws import COGNITO, DYNAMODB, SECRETS_MANAGER, SQS, Aws, AwsError, Service
from whop_chat.runtime.base_settings import AwsCredentials, AwsSettings
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.runtime.http import HttpClient
from whop_chat.sync.queue import Source, SyncQueue
from whop_chat.users.repository import Users
from whop_chat.whop.api_key import ApiKey, NotConfigured

CREDENTIALS = AwsCredentials(access_key_id="AnId", secret_access_key="a-secret", session_token="a-token")
SETTINGS = AwsSettings(region="eu-west-1", credentials=CREDENTIALS, endpoint=None)
OK = httpx.Response(200, json={"Item": {}})
KEY = {"TableName": "users", "Key": {"pk": {"S": "USER#1"}}}


def aws_over(server: Callable[[httpx.Request], httpx.Response], settings: AwsSettings = SETTINGS) -> Aws:
    return Aws(HttpClient(httpx.MockTransport(server)), settings, sleep=lambda _seconds: None)


def get_item(server: Server, deadline: Deadline = AN_HOUR) -> dict[str, Any]:
    return aws_over(server).call(DYNAMODB, "GetItem", KEY, deadline=deadline)


def refusal(code: str, status: int = 400) -> httpx.Response:
    return httpx.Response(status, json={"__type": f"com.amazon.coral#{code}", "message": "ada@example.test"})


CALLS: list[tuple[Service, str, dict[str, Any]]] = [
    (DYNAMODB, "GetItem", {"TableName": "t", "Key": {"pk": {"S": "p"}}, "ConsistentRead": True}),
    (DYNAMODB, "PutItem", {"TableName": "t", "Item": {"pk": {"S": "é\n"}, "n": {"N": "7"}}}),
    (DYNAMODB, "TransactWriteItems", {"TransactItems": [{"Delete": KEY}], "ClientRequestToken": "0123456789abcdef"}),
    (SECRETS_MANAGER, "GetSecretValue", {"SecretId": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:a"}),
    (SQS, "SendMessage", {"QueueUrl": "https://sqs.eu-west-1.amazonaws.com/1/q", "MessageBody": '{"a": 1}'}),
    (SQS, "ChangeMessageVisibility", {"QueueUrl": "https://q", "ReceiptHandle": "r", "VisibilityTimeout": 9}),
    (COGNITO, "AdminGetUser", {"UserPoolId": "eu-west-1_A", "Username": "ada@example.test"}),
]


@pytest.mark.parametrize(("service", "operation", "parameters"), CALLS, ids=[call[1] for call in CALLS])
def test_a_call_is_what_the_sdk_would_send(service: Service, operation: str, parameters: dict[str, Any]) -> None:
    """The same address, target, content type and parameters, under the same signature for what is signed."""
    server = Server(httpx.Response(200, json={}))
    aws_over(server).call(service, operation, parameters, deadline=AN_HOUR)
    (ours,) = server.requests
    theirs = _sdk_request(service, operation, parameters)

    assert (ours.method, str(ours.url)) == (theirs.method, theirs.url)
    assert json.loads(ours.content) == json.loads(_body(theirs))
    for header in ("X-Amz-Target", "Content-Type"):
        assert ours.headers[header] == _text(theirs.headers[header])
    assert ours.headers["X-Amz-Security-Token"] == "a-token"
    assert ours.headers["Authorization"] == _sdk_signature(ours, service)


def _sdk_request(service: Service, operation: str, parameters: dict[str, Any]) -> AWSPreparedRequest:
    sent: list[AWSPreparedRequest] = []

    def keep(request: AWSPreparedRequest, **_: Any) -> None:
        sent.append(request)
        raise _Kept

    sdk = client(service.name)
    event = f"before-send.{sdk.meta.service_model.service_id.hyphenize()}.{operation}"
    sdk.meta.events.register_first(event, keep)
    try:
        with mock_aws(), pytest.raises(_Kept):
            sdk._make_api_call(operation, parameters)
    finally:
        sdk.meta.events.unregister(event, keep)
    return sent[0]


class _Kept(Exception):
    pass


def _sdk_signature(ours: httpx.Request, service: Service) -> str:
    """What botocore's signer makes of our request, at the time that stands in it."""
    signed = ("content-type", "x-amz-target")
    request = AWSRequest(
        ours.method,
        str(ours.url),
        headers={name: ours.headers[name] for name in signed},
        data=ours.content,
    )
    credentials = Credentials("AnId", "a-secret", "a-token")
    at = ours.headers["X-Amz-Date"]
    with patch.object(botocore.auth, "get_current_datetime", _clock_at(at)):
        botocore.auth.SigV4Auth(credentials, service.name, "eu-west-1").add_auth(request)
    return str(request.headers["Authorization"])


def _clock_at(stamp: str) -> Callable[..., Any]:
    return lambda **_: datetime.strptime(f"{stamp}+0000", "%Y%m%dT%H%M%SZ%z").replace(tzinfo=None)


def _body(request: AWSPreparedRequest) -> str:
    return _text(request.body)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-west-1", "dynamodb.eu-west-1.amazonaws.com"),
        ("cn-north-1", "dynamodb.cn-north-1.amazonaws.com.cn"),
        ("us-gov-west-1", "dynamodb.us-gov-west-1.amazonaws.com"),
        ("us-iso-east-1", "dynamodb.us-iso-east-1.c2s.ic.gov"),
    ],
)
def test_each_partition_has_its_own_domain(region: str, host: str) -> None:
    server = Server(OK)
    lasting = dataclasses.replace(CREDENTIALS, session_token=None)
    settings = dataclasses.replace(SETTINGS, region=region, credentials=lasting)
    aws_over(server, settings).call(DYNAMODB, "GetItem", KEY, deadline=AN_HOUR)

    assert server.requests[0].url.host == host
    assert f"/{region}/dynamodb/aws4_request" in server.requests[0].headers["Authorization"]
    assert "X-Amz-Security-Token" not in server.requests[0].headers


@pytest.mark.parametrize(
    "passing",
    [
        refusal(code="ThrottlingException"),
        refusal(code="ProvisionedThroughputExceededException"),
        refusal(code="TransactionInProgressException"),
        refusal(status=500, code="InternalServerError"),
        httpx.Response(503, content=b"<html>"),
        httpx.ConnectError("nobody there"),
        httpx.RemoteProtocolError("hung up"),
    ],
    ids=lambda answer: getattr(answer, "status_code", None) or type(answer).__name__,
)
def test_what_may_pass_at_once_is_tried_once_more(passing: httpx.Response | Exception) -> None:
    assert get_item(Server(passing, OK)) == {"Item": {}}
    server = Server(passing, passing, OK)
    with pytest.raises(AwsError):
        get_item(server)
    assert server.answers == [OK]


@pytest.mark.parametrize("code", ["ConditionalCheckFailedException", "AccessDeniedException", "ValidationException"])
def test_a_refusal_is_final(code: str) -> None:
    server = Server(refusal(code=code), OK)
    with pytest.raises(AwsError) as caught:
        get_item(server)
    assert (caught.value.code, server.answers) == (code, [OK])


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (httpx.Response(400, json={"__type": "ValidationException"}), "ValidationException"),
        (httpx.Response(400, json={"__type": "com.amazonaws.sqs#QueueDoesNotExist"}), "QueueDoesNotExist"),
        (
            httpx.Response(400, headers={"x-amzn-ErrorType": "UserNotFoundException:http://internal/"}, json={}),
            "UserNotFoundException",
        ),
        (httpx.Response(403, content=b"<AccessDenied/>"), "Status403"),
        (httpx.Response(400, json={"__type": "for ada@example.test"}), "Status400"),
        (httpx.Response(400, json={"__type": None}), "Status400"),
        (httpx.Response(400, json=["an", "array"]), "Status400"),
        (httpx.Response(200, content=b"<html>"), "InvalidResponse"),
        (httpx.Response(200, json=[]), "InvalidResponse"),
        (httpx.Response(302, headers={"Location": "https://example.test"}), "Status302"),
    ],
)
def test_an_error_is_told_by_its_code_alone(answer: httpx.Response, code: str) -> None:
    with pytest.raises(AwsError) as caught:
        get_item(Server(answer))
    assert str(caught.value) == f"GetItem: {code}"
    assert caught.value.__context__ is None or "ada@example.test" not in repr(caught.value.__context__)


def test_an_answer_without_a_body_says_that_it_worked() -> None:
    assert get_item(Server(httpx.Response(200))) == {}


def test_a_call_is_not_started_without_time() -> None:
    server = Server(OK)
    with pytest.raises(DeadlineExceeded):
        get_item(server, Deadline(0))
    assert server.requests == []


def test_a_second_attempt_is_not_made_when_its_answer_could_not_arrive() -> None:
    clock = Clock()

    def slow(_request: httpx.Request) -> httpx.Response:
        clock.advance(2.95)
        raise httpx.ReadTimeout("slow")

    aws = aws_over(slow)
    with pytest.raises(AwsError, match="ReadTimeout"):
        aws.call(DYNAMODB, "GetItem", KEY, deadline=Deadline(3, clock=clock))


def test_one_attempt_does_not_use_up_the_time_of_the_other() -> None:
    timeouts: list[float] = []

    def noted(request: httpx.Request) -> httpx.Response:
        timeouts.append(request.extensions["timeout"]["read"])
        raise httpx.ReadTimeout("slow")

    with pytest.raises(AwsError):
        aws_over(noted).call(DYNAMODB, "GetItem", KEY, deadline=Deadline(3, clock=Clock()))
    assert timeouts == [1.0, 1.0]


def test_an_endpoint_on_this_machine_gets_the_calls_of_all_services() -> None:
    server = Server(OK, OK)
    local = dataclasses.replace(SETTINGS, endpoint="http://127.0.0.1:4566")
    aws = aws_over(server, local)
    aws.call(DYNAMODB, "GetItem", KEY, deadline=AN_HOUR)
    aws.call(SQS, "SendMessage", {}, deadline=AN_HOUR)
    assert [str(request.url) for request in server.requests] == ["http://127.0.0.1:4566"] * 2
    assert [request.headers["Host"] for request in server.requests] == ["127.0.0.1:4566"] * 2


ADA = UserRef(pool_id="eu-west-1_A", sub="sub-ada", username="ada")
ROW = {"Username": "ada", "Enabled": True, "UserStatus": "CONFIRMED"}
READINGS: list[tuple[Callable[[Aws], object], dict[str, Any]]] = [
    (lambda aws: Users(aws, "t").get(ADA, deadline=AN_HOUR), {"Item": ["pk"]}),
    (lambda aws: Users(aws, "t").get(ADA, deadline=AN_HOUR), {"Item": {"generation": {"N": "1"}}}),
    (lambda aws: Users(aws, "t").get(ADA, deadline=AN_HOUR), {"Item": {"status": {"S": "engaged"}}}),
    (
        lambda aws: Users(aws, "t").get(ADA, deadline=AN_HOUR),
        {"Item": {"status": {"S": "linked"}, "repairs": {"S": "1"}}},
    ),
    (lambda aws: Users(aws, "t").get(ADA, deadline=AN_HOUR), {"Item": {"generation": {"N": "1e999"}}}),
    (lambda aws: Users(aws, "t").holder("user_A", deadline=AN_HOUR), {"Item": {"sub": {"S": "sub-ada"}}}),
    (lambda aws: Users(aws, "t").get_many([ADA], deadline=AN_HOUR), {"Responses": []}),
    (lambda aws: Users(aws, "t").get_many([ADA], deadline=AN_HOUR), {"Responses": {"t": [{"pk": {"S": "another"}}]}}),
    (lambda aws: Users(aws, "t").known("eu-west-1_A", None, deadline=AN_HOUR), {"Items": [{}]}),
    (lambda aws: PoolUsers(aws, "eu-west-1_A", ()).read(ADA, deadline=AN_HOUR), {**ROW, "UserAttributes": "sub"}),
    (lambda aws: PoolUsers(aws, "eu-west-1_A", ()).find(ADA, deadline=AN_HOUR), {"Users": [7]}),
    (lambda aws: PoolUsers(aws, "eu-west-1_A", ()).page(None, deadline=AN_HOUR), {"Users": [{**ROW, "Username": 7}]}),
    (lambda aws: Ledger(aws, "t", "eu-west-1_A").load(deadline=AN_HOUR), {"Item": {"checkpoint": {"S": "{}"}}}),
    (lambda aws: list(Ledger(aws, "t", "eu-west-1_A").listed("run", 1, seconds=60)), {"Responses": {"t": [{}]}}),
    (lambda aws: SyncQueue(aws, "https://q").waiting(deadline=AN_HOUR), {"Attributes": {"Messages": "many"}}),
    (lambda aws: SyncQueue(aws, "https://q").send_many([ADA], Source.COMMAND, deadline=AN_HOUR), {"Failed": [7]}),
]


@pytest.mark.parametrize(("read", "answer"), READINGS)
def test_an_answer_of_another_shape_is_an_error_of_aws_and_no_defect(
    read: Callable[[Aws], object], answer: dict[str, Any]
) -> None:
    with pytest.raises(AwsError, match=r"^\w+: InvalidResponse$"):
        read(aws_over(Server(httpx.Response(200, json=answer))))


def test_a_record_of_what_no_user_can_be_stops_no_reconcile() -> None:
    keys = ("USER#eu-west-1_A#sub-ada", "USER#eu-west-1_A#x y", "USER#eu-west-1_A#")
    aws = aws_over(Server(httpx.Response(200, json={"Items": [{"pk": {"S": key}} for key in keys]})))

    assert list(Users(aws, "t").known("eu-west-1_A", None, deadline=AN_HOUR).places) == ["sub-ada"]


def test_a_secret_that_is_no_text_is_not_configured() -> None:
    aws = aws_over(Server(httpx.Response(200, json={"SecretString": ["key"]})))

    with pytest.raises(NotConfigured):
        ApiKey(aws, "arn").current(deadline=AN_HOUR)


def test_an_address_that_no_encoding_takes_is_none() -> None:
    attributes = [{"Name": "sub", "Value": "sub-ada"}, {"Name": "email", "Value": "a\ud800@example.test"}]
    answer = json.dumps({**ROW, "UserAttributes": attributes})
    aws = aws_over(Server(httpx.Response(200, content=answer)))

    assert PoolUsers(aws, "eu-west-1_A", ()).read(ADA, deadline=AN_HOUR).email is None
