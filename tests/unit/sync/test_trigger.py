"""Sign-up: one message for a new user, and nothing that happens to it reaches the person who signs up."""

import copy
import json
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from moto import mock_aws

from tests.fakes import moto_aws
from tests.fakes.functions import Context, event, load_function
from tests.fakes.queue import Queue
from tests.fakes.telemetry import RecordingTelemetry
from whop_chat.cognito.user import UserRef
from whop_chat.runtime import botocore_clients
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.metrics import SIGN_UPS_NOT_ENQUEUED
from whop_chat.sync.queue import Source, SyncMessage, SyncQueue, decode
from whop_chat.sync.trigger import enqueue

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

SIGN_UP = event("post_confirmation_sign_up")
ADA = UserRef(pool_id="eu-west-1_Ab3dEf6Gh", sub="0a1b2c3d-4e5f-6789-abcd-ef0123456789", username="ada")
OTHER_SOURCES = [
    "PostConfirmation_ConfirmForgotPassword",
    "PreSignUp_SignUp",
    "postconfirmation_confirmsignup",
    "",
    None,
]
CLIENT_ID = SIGN_UP["callerContext"]["clientId"]
BROKEN: list[dict[str, Any]] = [
    {},
    {"triggerSource": SIGN_UP["triggerSource"]},
    {**SIGN_UP, "request": None},
    {**SIGN_UP, "request": {"userAttributes": {}}},
    {name: value for name, value in SIGN_UP.items() if name != "userName"},
]


def enqueued(request: dict[str, Any], queue: Queue | None = None) -> tuple[list[UserRef], RecordingTelemetry]:
    """Whom ``enqueue`` put on the queue, and what it reported."""
    queue, told = queue or Queue(), RecordingTelemetry()
    enqueue(request, lambda: queue, lambda: told)
    return [decode(body).user for body in queue.sent], told


@pytest.mark.parametrize("context", [None, {}, "web", {"clientId": None}, {"clientId": ["web"]}], ids=repr)
def test_an_event_that_names_no_client_is_enqueued_all_the_same(context: Any) -> None:
    queue = Queue()
    enqueue({**SIGN_UP, "callerContext": context}, lambda: queue, RecordingTelemetry)

    assert [decode(body) for body in queue.sent] == [SyncMessage(ADA, Source.SIGN_UP)]


def test_the_id_of_the_request_goes_with_the_message() -> None:
    queue = Queue()
    enqueue(SIGN_UP, lambda: queue, RecordingTelemetry, correlation_id="request-1")

    assert queue.correlation_ids == ["request-1"]


@pytest.mark.parametrize(
    ("name", "username"),
    [("post_confirmation_sign_up", "ada"), ("post_confirmation_federated", "google_109876543210987654321")],
)
def test_a_user_who_signed_up_is_put_on_the_queue(name: str, username: str) -> None:
    users, told = enqueued(event(name))

    assert users == [UserRef(pool_id=ADA.pool_id, sub=ADA.sub, username=username)]
    assert told.events == [("sign-up enqueued", {})]
    assert told.users == [ADA.sub]


def test_what_the_client_sent_along_is_not_believed() -> None:
    request = copy.deepcopy(SIGN_UP)
    request["request"]["clientMetadata"] = {"sub": "another", "userName": "another", "userPoolId": "another"}

    assert enqueued(request)[0] == [ADA]


def test_a_user_who_signed_in_is_put_on_the_queue_as_such() -> None:
    queue, told = Queue(), RecordingTelemetry()
    enqueue(event("post_authentication"), lambda: queue, lambda: told)

    assert [decode(body) for body in queue.sent] == [SyncMessage(ADA, Source.SIGN_IN, CLIENT_ID)]
    assert told.events == [("sign-in enqueued", {})]


def test_a_sign_in_that_cannot_be_enqueued_is_counted_as_one() -> None:
    error = AwsError("ServiceUnavailable")

    told = enqueued(event("post_authentication"), Queue(error))[1]
    assert told.failures == [(error, "sign-in not enqueued")]
    assert told.counts == []


@pytest.mark.parametrize("source", OTHER_SOURCES)
def test_any_other_trigger_makes_no_queue_and_sends_nothing(source: str | None) -> None:
    def unwanted() -> SyncQueue:
        raise AssertionError("a queue was made")

    told = RecordingTelemetry()
    enqueue({**SIGN_UP, "triggerSource": source}, unwanted, lambda: told)

    assert told.events == [("neither a sign-up nor a sign-in", {"source": source})]
    assert told.failures == []


@pytest.mark.parametrize("request_", BROKEN, ids=range(len(BROKEN)))
def test_an_event_that_cannot_be_read_is_told_and_counted(request_: dict[str, Any]) -> None:
    users, told = enqueued(request_)

    assert users == []
    assert [message for _, message in told.failures] == ["sign-up not enqueued"]
    assert told.counted(SIGN_UPS_NOT_ENQUEUED) == [{}]


def test_a_queue_that_fails_is_told_and_counted() -> None:
    error = AwsError("ServiceUnavailable")

    assert enqueued(SIGN_UP, Queue(error))[1].failures == [(error, "sign-up not enqueued")]


def test_a_queue_that_cannot_be_made_is_told_and_counted() -> None:
    def broken() -> SyncQueue:
        raise RuntimeError

    told = RecordingTelemetry()
    enqueue(SIGN_UP, broken, lambda: told)

    assert [message for _, message in told.failures] == ["sign-up not enqueued"]


# The function


@pytest.fixture(scope="module")
def sqs() -> "Iterator[SQSClient]":
    with mock_aws():
        yield moto_aws.client("sqs")


@pytest.fixture
def url(sqs: "SQSClient", monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The sync queue, named in the environment."""
    url = sqs.create_queue(QueueName="sync")["QueueUrl"]
    monkeypatch.setenv("SYNC_QUEUE_URL", url)
    yield url
    sqs.delete_queue(QueueUrl=url)


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[], ModuleType]:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "on_signup")
    monkeypatch.setattr(botocore_clients, "botocore_clients", lambda **_: moto_aws.aws_at_moto())
    return lambda: load_function("on_signup")


def test_the_function_enqueues_the_user_and_answers_with_the_event(
    sqs: "SQSClient", url: str, load: Callable[[], ModuleType]
) -> None:
    function = load()

    assert function.handler(event("post_confirmation_sign_up"), Context()) == SIGN_UP
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    assert decode(message["Body"]) == SyncMessage(ADA, Source.SIGN_UP, CLIENT_ID)


def test_the_function_makes_its_queue_once(url: str, load: Callable[[], ModuleType]) -> None:
    function = load()
    for _ in range(3):
        function.handler(event("post_confirmation_sign_up"), Context())

    assert function._queue.cache_info().misses == 1


@pytest.mark.parametrize("source", OTHER_SOURCES)
def test_the_function_answers_any_other_trigger_with_the_event_and_sends_nothing(
    sqs: "SQSClient", url: str, load: Callable[[], ModuleType], source: str | None
) -> None:
    request = {**SIGN_UP, "triggerSource": source}

    assert load().handler(copy.deepcopy(request), Context()) == request
    assert "Messages" not in sqs.receive_message(QueueUrl=url)


def test_a_forgotten_password_sends_nothing(sqs: "SQSClient", url: str, load: Callable[[], ModuleType]) -> None:
    request = event("post_confirmation_forgot_password")

    assert load().handler(copy.deepcopy(request), Context()) == request
    assert "Messages" not in sqs.receive_message(QueueUrl=url)


@pytest.mark.parametrize("environment", [{}, {"SYNC_QUEUE_URL": ""}, {"SYNC_QUEUE_URL": "not a url"}])
def test_a_wrong_environment_fails_no_sign_up(
    url: str, monkeypatch: pytest.MonkeyPatch, load: Callable[[], ModuleType], environment: dict[str, str]
) -> None:
    monkeypatch.delenv("SYNC_QUEUE_URL")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert load().handler(event("post_confirmation_sign_up"), Context()) == SIGN_UP


def test_a_queue_that_is_not_there_fails_no_sign_up(
    sqs: "SQSClient", url: str, monkeypatch: pytest.MonkeyPatch, load: Callable[[], ModuleType]
) -> None:
    monkeypatch.setenv("SYNC_QUEUE_URL", f"{url}-missing")

    assert load().handler(event("post_confirmation_sign_up"), Context()) == SIGN_UP


@pytest.mark.parametrize("request_", BROKEN, ids=range(len(BROKEN)))
def test_an_event_that_cannot_be_read_comes_back_as_it_was(
    url: str, load: Callable[[], ModuleType], request_: dict[str, Any]
) -> None:
    assert load().handler(copy.deepcopy(request_), Context()) == request_


def test_a_log_that_cannot_be_written_neither_fails_nor_loses_a_sign_up(
    sqs: "SQSClient", url: str, load: Callable[[], ModuleType]
) -> None:
    function = load()

    class Mute(RecordingTelemetry):
        def bind_request(self, context: Any, correlation_id: str | None = None) -> None:
            raise OSError

    function._observer = Mute  # type: ignore[attr-defined]

    assert function.handler(event("post_confirmation_sign_up"), Context()) == SIGN_UP
    assert len(sqs.receive_message(QueueUrl=url)["Messages"]) == 1


def test_metrics_that_cannot_be_written_fail_no_sign_up(
    url: str, load: Callable[[], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("POWERTOOLS_METRICS_NAMESPACE")

    assert load().handler(event("post_confirmation_sign_up"), Context()) == SIGN_UP


def test_what_the_function_writes_holds_neither_address_nor_user_name(
    url: str,
    load: Callable[[], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "on_signup_written")
    load().handler({**event("post_confirmation_sign_up"), "userName": "user-name-of-ada"}, Context())

    written = capsys.readouterr().out
    assert {json.loads(line).get("message") for line in written.splitlines()} >= {"sign-up enqueued"}
    assert "user-name-of-ada" not in written
    assert "example.test" not in written
