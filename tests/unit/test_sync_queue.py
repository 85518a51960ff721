"""Messages: they name a user, say nothing about them, and are read strictly."""

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moto import mock_aws

from tests.unit.fakes import event
from tests.unit.moto_aws import AN_HOUR, aws_at_moto, client
from whop_chat.aws import AwsError
from whop_chat.identity import UserRef
from whop_chat.sync_queue import SyncQueue, UnreadableMessage, decode, encode

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

ADA = UserRef(pool_id="eu-west-1_Ab3dEf6Gh", sub="sub-ada", username="ada@example.test")
TEXT = st.text(min_size=1)


@settings(max_examples=50)
@given(pool=TEXT, sub=TEXT, username=TEXT)
def test_a_message_comes_back_as_the_user_it_was_about(pool: str, sub: str, username: str) -> None:
    user = UserRef(pool_id=pool, sub=sub, username=username)

    assert decode(encode(user)) == user


def test_a_message_holds_a_version_and_the_name_of_the_user_and_nothing_else() -> None:
    assert json.loads(encode(ADA)) == {"version": 1, "pool": ADA.pool_id, "username": ADA.username, "sub": ADA.sub}


def test_the_messages_among_the_events_are_ours() -> None:
    for record in event("sync_user_batch")["Records"]:
        assert encode(decode(record["body"])) == record["body"]


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
    SyncQueue(aws_at_moto(), url).send(ADA, deadline=AN_HOUR)

    assert [decode(body) for body in bodies(sqs, url)] == [ADA]


def test_a_raw_body_arrives_as_it_is(sqs: "SQSClient", url: str) -> None:
    SyncQueue(aws_at_moto(), url).send_raw("not a message of ours", deadline=AN_HOUR)

    assert bodies(sqs, url) == ["not a message of ours"]


def test_a_postponed_message_is_not_delivered_before_its_time(sqs: "SQSClient", url: str) -> None:
    queue = SyncQueue(aws_at_moto(), url)
    queue.send(ADA, deadline=AN_HOUR)
    (message,) = sqs.receive_message(QueueUrl=url, VisibilityTimeout=30)["Messages"]

    queue.postpone(message["ReceiptHandle"], 0, deadline=AN_HOUR)
    assert len(received := sqs.receive_message(QueueUrl=url, VisibilityTimeout=30)["Messages"]) == 1
    queue.postpone(received[0]["ReceiptHandle"], 900, deadline=AN_HOUR)
    assert bodies(sqs, url) == []


@pytest.mark.parametrize(
    "use",
    [
        lambda queue: queue.send(ADA, deadline=AN_HOUR),
        lambda queue: queue.send_raw("body", deadline=AN_HOUR),
        lambda queue: queue.postpone("receipt", 1, deadline=AN_HOUR),
    ],
    ids=["send", "send_raw", "postpone"],
)
def test_a_queue_that_is_not_there_is_told_by_its_code_alone(
    sqs: "SQSClient", url: str, use: Callable[[SyncQueue], None]
) -> None:
    with pytest.raises(AwsError, match=r"^\w+: [\w.]*NonExistentQueue$"):
        use(SyncQueue(aws_at_moto(), f"{url}-missing"))
