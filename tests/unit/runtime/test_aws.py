"""boto3's clients over our HTTP client: within the time they are given, and silent about what they carried."""

import io
import json
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from tests.fakes import moto_aws
from tests.fakes.clock import Clock
from tests.fakes.http_server import Server
from tests.fakes.moto_aws import AN_HOUR
from whop_chat.cognito.pool import UserPool
from whop_chat.cognito.user import UserRef
from whop_chat.reconcile.checkpoint import CheckpointStore
from whop_chat.runtime.aws import AwsError, aws_call, read_many
from whop_chat.runtime.aws_clients import carried_clients
from whop_chat.runtime.aws_session import AwsClients
from whop_chat.runtime.botocore_clients import botocore_clients
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.runtime.errors import TransportError
from whop_chat.runtime.http import HttpClient, Request, Response
from whop_chat.runtime.version import VERSION
from whop_chat.sync.queue import Source, SyncQueue
from whop_chat.users.repository import DynamoDBUserRepository
from whop_chat.whop.api_key import ApiKey, NotConfigured

OK = httpx.Response(200, json={"Item": {}})
KEY: dict[str, Any] = {"TableName": "users", "Key": {"pk": {"S": "USER#1"}}}


def aws_over(server: Callable[[httpx.Request], httpx.Response], **options: Any) -> AwsClients:
    return moto_aws.aws_over(httpx.MockTransport(server), **options)


def get_item(server: Callable[[httpx.Request], httpx.Response], deadline: Deadline = AN_HOUR, **options: Any) -> Any:
    aws = aws_over(server, **options)
    with aws_call(deadline):
        answer: Any = aws.dynamodb.get_item(**KEY)
    answer.pop("ResponseMetadata")
    return answer


def refusal(code: str, status: int = 400) -> httpx.Response:
    return httpx.Response(status, json={"__type": f"com.amazon.coral#{code}", "message": "ada@example.test"})


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
    get_item(server, region=region)

    assert server.requests[0].url.host == host
    assert f"/{region}/dynamodb/aws4_request" in server.requests[0].headers["Authorization"]
    assert server.requests[0].headers["X-Amz-Security-Token"] == "testing"


def test_aws_learns_the_release_that_calls_it() -> None:
    server = Server(OK)
    get_item(server)

    assert server.requests[0].headers["User-Agent"].split()[0] == f"whop-chat-auth/{VERSION}"


@pytest.mark.parametrize(
    "passing",
    [
        refusal(code="ThrottlingException"),
        refusal(code="ProvisionedThroughputExceededException"),
        httpx.Response(400, json={"code": "ThrottlingException"}),
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
        (httpx.Response(403, content=b"<AccessDenied/>"), "Status403"),
        (httpx.Response(400, json={"__type": "for ada@example.test"}), "Status400"),
        (httpx.Response(400, json={"__type": None}), "Status400"),
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


@pytest.mark.parametrize("status", [200, 202, 204, 206])
@pytest.mark.parametrize("content", [b"", b"<html>"])
def test_only_200_with_an_answer_is_a_success(status: int, content: bytes) -> None:
    with pytest.raises(AwsError, match="GetItem: InvalidResponse"):
        get_item(Server(httpx.Response(status, content=content)))


def test_a_message_without_an_id_is_not_on_the_queue() -> None:
    queue = SyncQueue(aws_over(Server(httpx.Response(200, json={}))), "https://q")
    with pytest.raises(AwsError, match="SendMessage: InvalidResponse"):
        queue.send_raw("{}", deadline=AN_HOUR)


def test_an_operation_that_answers_nothing_needs_no_body() -> None:
    aws = aws_over(Server(httpx.Response(200)))
    with aws_call(AN_HOUR):
        aws.sqs.change_message_visibility(QueueUrl="https://q", ReceiptHandle="r", VisibilityTimeout=1)


def test_a_call_is_not_started_without_time() -> None:
    server = Server(OK)
    with pytest.raises(DeadlineExceeded):
        get_item(server, Deadline(0))
    assert server.requests == []


def test_a_second_attempt_is_not_made_when_its_answer_could_not_arrive() -> None:
    clock, asked = Clock(), list[httpx.Request]()

    def slow(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        clock.advance(2.95)
        raise httpx.ReadTimeout("slow")

    with pytest.raises(AwsError, match="ReadTimeout"):
        get_item(slow, Deadline(3, clock=clock))
    assert len(asked) == 1


def test_one_attempt_does_not_use_up_the_time_of_the_other() -> None:
    clock, left = Clock(), list[float]()

    class Slow(HttpClient):
        def send(self, request: Request, *, deadline: Deadline, max_bytes: int) -> Response:
            left.append(deadline.remaining())
            raise TransportError("ReadTimeout")

    aws = carried_clients(Slow(), region="eu-west-1", sleep=clock.advance)
    with pytest.raises(AwsError), aws_call(Deadline(3, clock=clock)):
        aws.dynamodb.get_item(**KEY)
    assert left == [1.0, 1.0]


def test_an_endpoint_on_this_machine_gets_the_calls_of_all_services() -> None:
    server = Server(OK, OK)
    aws = aws_over(server, endpoint="http://127.0.0.1:4566")
    with aws_call(AN_HOUR):
        aws.dynamodb.get_item(**KEY)
    with aws_call(AN_HOUR):
        aws.sqs.send_message(QueueUrl="http://127.0.0.1:4566/1/q", MessageBody="a")
    assert [request.url.host for request in server.requests] == ["127.0.0.1"] * 2
    assert [request.headers["Host"] for request in server.requests] == ["127.0.0.1:4566"] * 2


class TestSurroundings:
    """What an environment may hold, and what it must not change."""

    @pytest.mark.parametrize(
        "name",
        ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "AWS_CA_BUNDLE"],
    )
    def test_no_variable_leads_a_call_elsewhere(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        monkeypatch.setenv(name, "http://elsewhere.example")
        server = Server(OK)
        get_item(server)

        assert str(server.requests[0].url) == "https://dynamodb.eu-west-1.amazonaws.com/"

    def test_no_file_is_read(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            file = tmp_path / name
            file.write_text(
                "[default]\nregion = us-east-2\nendpoint_url = http://elsewhere.example\n"
                "aws_access_key_id = theirs\naws_secret_access_key = theirs\n"
            )
            monkeypatch.setenv(name, str(file))
        monkeypatch.setenv("AWS_PROFILE", "somebody")
        server = Server(OK)
        get_item(server)

        assert str(server.requests[0].url) == "https://dynamodb.eu-west-1.amazonaws.com/"
        assert "Credential=testing/" in server.requests[0].headers["Authorization"]

    def test_without_credentials_nobody_is_asked_for_some(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_EC2_METADATA_DISABLED"):
            monkeypatch.delenv(name)
        server = Server(OK)
        with pytest.raises(AwsError, match="NoCredentialsError"):
            get_item(server)

        assert server.requests == []

    def test_the_trigger_s_clients_keep_to_the_same(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://elsewhere.example")
        aws = botocore_clients(region="eu-west-1")

        assert aws.sqs.meta.endpoint_url == "https://sqs.eu-west-1.amazonaws.com"


class TestBotocoreClients:
    """The clients of `on_signup` are carried by the same rules, over botocore's own HTTP."""

    @staticmethod
    def send(monkeypatch: pytest.MonkeyPatch, *answers: tuple[int, bytes]) -> list[tuple[int, bytes]]:
        """Send a message, and return the answers that nobody asked for."""
        left = list(answers)

        class Http:
            def __init__(self, **_: Any) -> None: ...

            def send(self, _: Any) -> Any:
                status, content = left.pop(0)
                return SimpleNamespace(status_code=status, headers={}, raw=io.BytesIO(content))

        monkeypatch.setattr("whop_chat.runtime.botocore_clients.StrictSession", Http)
        queue = SyncQueue(botocore_clients(region="eu-west-1"), "https://q")
        queue.send_raw("{}", deadline=AN_HOUR)
        return left

    SENT = (200, b'{"MessageId": "1"}')

    @pytest.mark.parametrize(
        "passing", [(503, b""), (400, b'{"__type": "com.amazonaws.sqs#RequestThrottled"}')], ids=str
    )
    def test_what_may_pass_at_once_is_tried_once_more(
        self, monkeypatch: pytest.MonkeyPatch, passing: tuple[int, bytes]
    ) -> None:
        assert self.send(monkeypatch, passing, self.SENT) == []
        with pytest.raises(AwsError):
            self.send(monkeypatch, passing, passing, self.SENT)

    @pytest.mark.parametrize(
        "answer", [(200, b""), (200, b"<html>"), (202, b""), (200, b"{}"), (200, b" " * 100_000)], ids=repr
    )
    def test_what_proves_nothing_is_no_success(
        self, monkeypatch: pytest.MonkeyPatch, answer: tuple[int, bytes]
    ) -> None:
        with pytest.raises(AwsError):
            self.send(monkeypatch, answer, answer)


class TestBinding:
    """A call has a deadline, or it is not made."""

    def test_a_call_without_a_deadline_is_a_defect(self) -> None:
        server = Server(OK)
        with pytest.raises(RuntimeError, match="outside of aws_call"):
            aws_over(server).dynamodb.get_item(**KEY)

        assert server.requests == []

    def test_a_thread_has_to_bind_its_own_deadline(self) -> None:
        aws, errors = aws_over(Server(OK)), list[Exception]()

        def call() -> None:
            try:
                aws.dynamodb.get_item(**KEY)
            except Exception as error:
                errors.append(error)

        with aws_call(AN_HOUR):
            thread = threading.Thread(target=call)
            thread.start()
            thread.join()

        assert [type(error) for error in errors] == [RuntimeError]

    def test_a_deadline_ends_with_its_block(self) -> None:
        aws = aws_over(Server(OK, OK))
        with aws_call(AN_HOUR):
            aws.dynamodb.get_item(**KEY)
        with pytest.raises(RuntimeError):
            aws.dynamodb.get_item(**KEY)


class TestSecrecy:
    """AWS repeats parameters in its messages, and a parameter can be a user name."""

    def test_no_message_of_aws_survives(self) -> None:
        with pytest.raises(AwsError) as caught:
            get_item(Server(refusal("ValidationException")))

        assert "ada@example.test" not in everything_about(caught.value)

    def test_no_wrong_parameter_survives(self) -> None:
        aws = aws_over(Server(OK))
        wrong: Any = {"TableName": "users", "Key": "ada@example.test"}
        with pytest.raises(TypeError) as caught, aws_call(AN_HOUR):
            aws.dynamodb.get_item(**wrong)

        assert "ada@example.test" not in everything_about(caught.value)


def everything_about(error: BaseException | None) -> str:
    """An error and all that it was made from."""
    told = ""
    while error is not None:
        told += f"{error!r} {error} {vars(error)}"
        error = error.__cause__ or error.__context__
    return told


def test_what_did_not_fit_into_an_answer_is_asked_for_again() -> None:
    first = {"Responses": {"t": [{"pk": {"S": "a"}}]}, "UnprocessedKeys": {"t": {"Keys": [{"pk": {"S": "b"}}]}}}
    server = Server(
        httpx.Response(200, json=first), httpx.Response(200, json={"Responses": {"t": [{"pk": {"S": "b"}}]}})
    )

    items = read_many(aws_over(server).dynamodb, "t", ["a", "b"], deadline=AN_HOUR)

    assert [item["pk"]["S"] for item in items] == ["a", "b"]
    assert json.loads(server.requests[1].content)["RequestItems"]["t"]["Keys"] == [{"pk": {"S": "b"}}]


ADA = UserRef(pool_id="eu-west-1_A", sub="sub-ada", username="ada")
ROW = {"Username": "ada", "Enabled": True, "UserStatus": "CONFIRMED"}
READINGS: list[tuple[Callable[[AwsClients], object], dict[str, Any]]] = [
    (lambda aws: DynamoDBUserRepository(aws, "t").get(ADA, deadline=AN_HOUR), {"Item": ["pk"]}),
    (lambda aws: DynamoDBUserRepository(aws, "t").get(ADA, deadline=AN_HOUR), {"Item": {"generation": {"N": "1"}}}),
    (lambda aws: DynamoDBUserRepository(aws, "t").get(ADA, deadline=AN_HOUR), {"Item": {"status": {"S": "engaged"}}}),
    (
        lambda aws: DynamoDBUserRepository(aws, "t").get(ADA, deadline=AN_HOUR),
        {"Item": {"status": {"S": "linked"}, "repairs": {"S": "1"}}},
    ),
    (lambda aws: DynamoDBUserRepository(aws, "t").get(ADA, deadline=AN_HOUR), {"Item": {"generation": {"N": "1e999"}}}),
    (
        lambda aws: DynamoDBUserRepository(aws, "t").holder("user_A", deadline=AN_HOUR),
        {"Item": {"sub": {"S": "sub-ada"}}},
    ),
    (lambda aws: DynamoDBUserRepository(aws, "t").get_many([ADA], deadline=AN_HOUR), {"Responses": []}),
    (
        lambda aws: DynamoDBUserRepository(aws, "t").get_many([ADA], deadline=AN_HOUR),
        {"Responses": {"t": [{"pk": {"S": "another"}}]}},
    ),
    (lambda aws: DynamoDBUserRepository(aws, "t").scan("eu-west-1_A", None, deadline=AN_HOUR), {"Items": [{}]}),
    (lambda aws: UserPool(aws, "eu-west-1_A", ()).admin_get(ADA, deadline=AN_HOUR), {**ROW, "UserAttributes": "sub"}),
    (lambda aws: UserPool(aws, "eu-west-1_A", ()).lookup(ADA, deadline=AN_HOUR), {"Users": [7]}),
    (
        lambda aws: UserPool(aws, "eu-west-1_A", ()).list_page(None, deadline=AN_HOUR),
        {"Users": [{**ROW, "Username": 7}]},
    ),
    (
        lambda aws: CheckpointStore(aws, "t", "eu-west-1_A").load(deadline=AN_HOUR),
        {"Item": {"checkpoint": {"S": "{}"}}},
    ),
    (
        lambda aws: list(CheckpointStore(aws, "t", "eu-west-1_A").load_listed("run", 1, seconds=60)),
        {"Responses": {"t": [{}]}},
    ),
    (
        lambda aws: list(CheckpointStore(aws, "t", "eu-west-1_A").load_addresses("run", 1, seconds=60)),
        {"Responses": {"t": [{}]}},
    ),
    (lambda aws: UserPool(aws, "eu-west-1_A", ()).admin_get(ADA, deadline=AN_HOUR), {**ROW, "UserCreateDate": 1e20}),
    (lambda aws: SyncQueue(aws, "https://q").depth(deadline=AN_HOUR), {"Attributes": {"Messages": "many"}}),
    (
        lambda aws: SyncQueue(aws, "https://q").send_many([ADA], Source.ENROL, run="r", deadline=AN_HOUR),
        {"Failed": [7]},
    ),
]


@pytest.mark.parametrize(("read", "answer"), READINGS)
def test_an_answer_of_another_shape_is_an_error_of_aws_and_no_defect(
    read: Callable[[AwsClients], object], answer: dict[str, Any]
) -> None:
    with pytest.raises(AwsError, match=r"^\w+: InvalidResponse$"):
        read(aws_over(Server(httpx.Response(200, json=answer))))


def test_a_record_of_what_no_user_can_be_stops_no_reconcile() -> None:
    keys = ("USER#eu-west-1_A#sub-ada", "USER#eu-west-1_A#x y", "USER#eu-west-1_A#")
    aws = aws_over(Server(httpx.Response(200, json={"Items": [{"pk": {"S": key}} for key in keys]})))

    assert list(DynamoDBUserRepository(aws, "t").scan("eu-west-1_A", None, deadline=AN_HOUR).keys) == ["sub-ada"]


def test_a_secret_that_is_no_text_is_not_configured() -> None:
    aws = aws_over(Server(httpx.Response(200, json={"SecretString": ["key"], "VersionId": "1"})))

    with pytest.raises(NotConfigured):
        ApiKey(aws, "arn").current(deadline=AN_HOUR)


def test_an_address_that_no_encoding_takes_is_none() -> None:
    attributes = [{"Name": "sub", "Value": "sub-ada"}, {"Name": "email", "Value": "a\ud800@example.test"}]
    answer = json.dumps({**ROW, "UserAttributes": attributes})
    aws = aws_over(Server(httpx.Response(200, content=answer)))

    assert UserPool(aws, "eu-west-1_A", ()).admin_get(ADA, deadline=AN_HOUR).email is None
