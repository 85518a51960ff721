"""Messages: they name a user, say nothing about them, and are read strictly."""

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from botocore.stub import Stubber
from hypothesis import given, settings
from hypothesis import strategies as st
from moto import mock_aws

from tests.fakes.functions import event
from tests.fakes.moto_aws import AN_HOUR, aws_at_moto, client
from whop_chat.cognito.user import UserRef
from whop_chat.runtime.aws import AwsError
from whop_chat.sync.queue import QueueDepth, Source, SyncMessage, SyncQueue, UnreadableMessage, decode, encode

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

ADA = UserRef(pool_id="eu-west-1_Ab3dEf6Gh", sub="sub-ada", username="ada@example.test")
BOB = UserRef(pool_id="eu-west-1_Ab3dEf6Gh", sub="sub-bob", username="bob")
TEXT = st.text(min_size=1)
RUN = "20270115T080000Z-0a1b2c"
SUB = st.from_regex(r"[A-Za-z0-9_-]{1,128}", fullmatch=True)


@settings(max_examples=50)
@given(pool=TEXT, sub=SUB, username=TEXT, source=st.sampled_from(Source))
def test_a_message_comes_back_as_the_user_it_was_about_and_why(
    pool: str, sub: str, username: str, source: Source
) -> None:
    user = UserRef(pool_id=pool, sub=sub, username=username)

    assert decode(encode(user, source)) == SyncMessage(user, source)


def test_a_message_can_name_the_app_client() -> None:
    body = encode(ADA, Source.SIGN_UP, "web")

    assert json.loads(body)["client"] == "web"
    assert decode(body) == SyncMessage(ADA, Source.SIGN_UP, "web")


def test_a_message_can_name_the_run_that_sent_it() -> None:
    body = encode(ADA, Source.ENROL, run=RUN)

    assert json.loads(body)["run"] == RUN
    assert decode(body) == SyncMessage(ADA, Source.ENROL, run=RUN)


@pytest.mark.parametrize("run", ["", "run-1", 7, f"{RUN}#sub", [RUN]], ids=repr)
def test_a_run_that_is_not_one_of_ours_makes_a_message_unreadable(run: object) -> None:
    body = json.dumps({**json.loads(encode(ADA, Source.ENROL)), "run": run})

    with pytest.raises(UnreadableMessage):
        decode(body)


@pytest.mark.parametrize("source", Source)
def test_only_a_message_that_says_so_is_to_enrol(source: Source) -> None:
    assert SyncMessage(ADA, source, run=RUN).enrols == (source in (Source.ENROL, Source.PASSWORDLESS))


def test_a_message_holds_a_version_the_name_of_the_user_why_and_nothing_else() -> None:
    assert json.loads(encode(ADA, Source.SIGN_IN)) == {
        "version": 1,
        "pool": ADA.pool_id,
        "username": ADA.username,
        "sub": ADA.sub,
        "source": "sign_in",
    }


def test_a_message_that_does_not_say_why_proves_nothing() -> None:
    body = json.dumps({"version": 1, "pool": ADA.pool_id, "username": ADA.username, "sub": ADA.sub})

    assert decode(body) == SyncMessage(ADA, Source.RECONCILE)


def test_the_messages_among_the_events_are_ours() -> None:
    for record in event("sync_user_batch")["Records"]:
        message = decode(record["body"])
        assert encode(message.user, message.source) == record["body"]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "not a message of ours",
        "null",
        "7",
        '"text"',
        "[]",
        "{}",
        "[" * 100_000,
        '{"version": 1, "pool": "p", "username": "u"}',
        '{"version": 2, "pool": "p", "username": "u", "sub": "s"}',
        '{"version": "1", "pool": "p", "username": "u", "sub": "s"}',
        '{"version": true, "pool": "p", "username": "u", "sub": "s"}',
        '{"version": 1.0, "pool": "p", "username": "u", "sub": "s"}',
        '{"version": 1, "pool": "p", "username": "u", "sub": ""}',
        '{"version": 1, "pool": "p", "username": ["u"], "sub": "s"}',
        '{"version": 1, "pool": "p", "username": "u", "sub": "s\\" or sub ^= \\""}',
        '{"version": 1, "pool": "p", "username": "u", "sub": "s", "source": "weather"}',
        '{"version": 1, "pool": "p", "username": "u", "sub": "s", "source": ["sign_up"]}',
        '{"version": 1, "pool": "p", "username": "u", "sub": "s", "client": ["web"]}',
        '{"version": 1, "pool": null, "username": "u", "sub": "s"}',
    ],
    ids=lambda body: body[:60],
)
def test_anything_else_is_unreadable(body: str) -> None:
    with pytest.raises(UnreadableMessage):
        decode(body)


@pytest.fixture(scope="module")
def sqs() -> "Iterator[SQSClient]":
    with mock_aws():
        yield client("sqs")


@pytest.fixture
def url(sqs: "SQSClient") -> Iterator[str]:
    url = sqs.create_queue(QueueName="sync", Attributes={"VisibilityTimeout": "0"})["QueueUrl"]
    yield url
    sqs.delete_queue(QueueUrl=url)


def bodies(sqs: "SQSClient", url: str) -> list[str]:
    return [message["Body"] for message in sqs.receive_message(QueueUrl=url).get("Messages", [])]


def test_what_is_sent_arrives(sqs: "SQSClient", url: str) -> None:
    SyncQueue(aws_at_moto(), url).send(ADA, Source.CHANGE, deadline=AN_HOUR)

    assert [decode(body) for body in bodies(sqs, url)] == [SyncMessage(ADA, Source.CHANGE)]


def test_many_that_are_sent_at_once_all_arrive(sqs: "SQSClient", url: str) -> None:
    SyncQueue(aws_at_moto(), url).send_many([ADA, BOB], Source.RECONCILE, run=RUN, deadline=AN_HOUR)

    arrived = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert {decode(message["Body"]) for message in arrived} == {
        SyncMessage(ADA, Source.RECONCILE, run=RUN),
        SyncMessage(BOB, Source.RECONCILE, run=RUN),
    }


def test_many_can_be_told_to_wait(sqs: "SQSClient", url: str) -> None:
    SyncQueue(aws_at_moto(), url).send_many([ADA, BOB], Source.RECONCILE, run=RUN, delay_seconds=900, deadline=AN_HOUR)

    assert bodies(sqs, url) == []
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessagesDelayed"])
    assert attributes["Attributes"]["ApproximateNumberOfMessagesDelayed"] == "2"


def test_the_id_of_the_request_or_the_run_is_an_attribute_of_each_message(sqs: "SQSClient", url: str) -> None:
    queue = SyncQueue(aws_at_moto(), url)
    queue.send(ADA, Source.CHANGE, correlation_id="one", deadline=AN_HOUR)
    queue.send_many([ADA], Source.RECONCILE, run=RUN, deadline=AN_HOUR)
    queue.send(ADA, Source.CHANGE, deadline=AN_HOUR)

    answer: Any = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
    found = [each.get("MessageAttributes", {}).get("correlation_id") for each in answer["Messages"]]
    assert sorted(each["StringValue"] if each else "" for each in found) == ["", RUN, "one"]


def test_what_waits_is_what_is_to_be_handled_now_or_again(sqs: "SQSClient", url: str) -> None:
    queue = SyncQueue(aws_at_moto(), url)
    assert queue.depth(deadline=AN_HOUR) == QueueDepth(0, 0)
    queue.send_many([ADA, BOB, ADA], Source.RECONCILE, run=RUN, deadline=AN_HOUR)
    queue.send_many([BOB], Source.RECONCILE, run=RUN, delay_seconds=900, deadline=AN_HOUR)
    sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1, VisibilityTimeout=30)

    assert queue.depth(deadline=AN_HOUR) == QueueDepth(visible=2, hidden=1, delayed=1)


def test_many_of_which_one_was_refused_are_an_error(sqs: "SQSClient", url: str) -> None:
    answer = {
        "Successful": [{"Id": "0", "MessageId": "1", "MD5OfMessageBody": "x"}],
        "Failed": [{"Id": "1", "Code": "InternalError", "SenderFault": False}],
    }
    with Stubber(aws_at_moto().sqs) as stubber:
        stubber.add_response("send_message_batch", answer)
        with pytest.raises(AwsError, match="SendMessageBatch: InternalError"):
            SyncQueue(aws_at_moto(), url).send_many([ADA, BOB], Source.RECONCILE, run=RUN, deadline=AN_HOUR)


def test_a_raw_body_arrives_as_it_is(sqs: "SQSClient", url: str) -> None:
    SyncQueue(aws_at_moto(), url).send_raw("not a message of ours", deadline=AN_HOUR)

    assert bodies(sqs, url) == ["not a message of ours"]


def test_a_postponed_message_is_not_delivered_before_its_time(sqs: "SQSClient", url: str) -> None:
    queue = SyncQueue(aws_at_moto(), url)
    queue.send(ADA, Source.SIGN_UP, deadline=AN_HOUR)
    (message,) = sqs.receive_message(QueueUrl=url, VisibilityTimeout=30)["Messages"]

    queue.postpone(message["ReceiptHandle"], 0, deadline=AN_HOUR)
    assert len(received := sqs.receive_message(QueueUrl=url, VisibilityTimeout=30)["Messages"]) == 1
    queue.postpone(received[0]["ReceiptHandle"], 900, deadline=AN_HOUR)
    assert bodies(sqs, url) == []


@pytest.mark.parametrize(
    "use",
    [
        lambda queue: queue.send(ADA, Source.SIGN_UP, deadline=AN_HOUR),
        lambda queue: queue.send_many([ADA], Source.SIGN_UP, run=RUN, deadline=AN_HOUR),
        lambda queue: queue.send_raw("body", deadline=AN_HOUR),
        lambda queue: queue.depth(deadline=AN_HOUR),
        lambda queue: queue.postpone("receipt", 1, deadline=AN_HOUR),
    ],
    ids=["send", "send_many", "send_raw", "depth", "postpone"],
)
def test_a_queue_that_is_not_there_is_told_by_its_code_alone(
    sqs: "SQSClient", url: str, use: Callable[[SyncQueue], None]
) -> None:
    with pytest.raises(AwsError, match=r"^\w+: [\w.]*NonExistentQueue$"):
        use(SyncQueue(aws_at_moto(), f"{url}-missing"))
