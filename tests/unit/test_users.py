"""The directory: what both implementations promise, then what is DynamoDB's own."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from tests.protocol.memory_users import MemoryUsers
from whop_chat import aws
from whop_chat.enrolment import Directory
from whop_chat.identity import UserRef
from whop_chat.users import Lost, Record, Reserved, Status, Users

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TABLE = "users"
ANN = UserRef(pool_id="eu-west-1_Pool", sub="sub-ann", username="ann")
BEN = UserRef(pool_id="eu-west-1_Pool", sub="sub-ben", username="ben")
CLAIM = Record(status=Status.CLAIMED, lease_until=1_700_000_010, idempotency_key="key", key_since=1_700_000_000)


def linked(whop_user_id: str) -> Record:
    return Record(status=Status.LINKED, whop_user_id=whop_user_id, whop_account_id="biz_child")


@pytest.fixture(scope="module")
def region() -> "Iterator[DynamoDBClient]":
    with mock_aws():
        yield boto3.client("dynamodb", region_name="eu-west-1")


@pytest.fixture
def dynamodb(region: "DynamoDBClient") -> "Iterator[DynamoDBClient]":
    region.create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    yield region
    region.delete_table(TableName=TABLE)


@pytest.fixture(params=["dynamodb", "memory"])
def users(request: pytest.FixtureRequest) -> Directory:
    if request.param == "memory":
        return MemoryUsers()
    return Users(request.getfixturevalue("dynamodb"), TABLE)


def test_a_user_nobody_has_written_has_no_record(users: Directory) -> None:
    assert users.get(ANN) is None


def test_a_record_comes_back_as_it_was_written(users: Directory) -> None:
    full = Record(
        status=Status.BLOCKED,
        generation=3,
        lease_until=4,
        idempotency_key="key",
        key_since=5,
        email_digest="digest",
        reason="identity_conflict",
        email_mode="verified",
        retry_at=6,
        whop_user_id="user_1",
        whop_account_id="biz_1",
        profile_digest="profile",
        synced_at=7,
        repairs=1,
        repaired_at=8,
    )
    assert all(
        getattr(full, field.name) != field.default for field in dataclasses.fields(full) if field.name != "attempt"
    )
    written = users.put(ANN, full, seen=None)
    assert written == dataclasses.replace(full, attempt=written.attempt)
    assert users.get(ANN) == written


def test_every_write_has_an_attempt_of_its_own(users: Directory) -> None:
    first = users.put(ANN, CLAIM, seen=None)
    second = users.put(ANN, first, seen=first)
    assert first.attempt
    assert first.attempt != second.attempt


def test_users_of_two_pools_are_two_users(users: Directory) -> None:
    users.put(ANN, CLAIM, seen=None)
    assert users.get(dataclasses.replace(ANN, pool_id="eu-west-1_Other")) is None


def test_the_user_name_is_no_part_of_the_identity(users: Directory) -> None:
    written = users.put(ANN, CLAIM, seen=None)
    assert users.get(dataclasses.replace(ANN, username="renamed")) == written


def test_the_second_to_create_a_record_loses(users: Directory) -> None:
    first = users.put(ANN, CLAIM, seen=None)
    with pytest.raises(Lost):
        users.put(ANN, CLAIM, seen=None)
    assert users.get(ANN) == first


def test_a_write_over_a_record_that_has_changed_loses(users: Directory) -> None:
    first = users.put(ANN, CLAIM, seen=None)
    second = users.put(ANN, CLAIM, seen=first)
    with pytest.raises(Lost):
        users.put(ANN, CLAIM, seen=first)
    assert users.get(ANN) == second


def test_a_link_writes_the_record(users: Directory) -> None:
    claim = users.put(ANN, CLAIM, seen=None)
    record = users.link(ANN, linked("user_1"), seen=claim)
    assert users.get(ANN) == record
    assert record.status is Status.LINKED


def test_a_whop_user_is_reserved_for_one_sub(users: Directory) -> None:
    users.link(ANN, linked("user_1"), seen=users.put(ANN, CLAIM, seen=None))
    claim = users.put(BEN, CLAIM, seen=None)
    with pytest.raises(Reserved):
        users.link(BEN, linked("user_1"), seen=claim)
    assert users.get(BEN) == claim


def test_a_link_without_the_claim_is_lost_and_reserves_nothing(users: Directory) -> None:
    old = users.put(ANN, CLAIM, seen=None)
    users.put(ANN, CLAIM, seen=old)
    with pytest.raises(Lost):
        users.link(ANN, linked("user_1"), seen=old)
    assert users.link(BEN, linked("user_1"), seen=users.put(BEN, CLAIM, seen=None)).whop_user_id == "user_1"


def test_a_user_can_be_linked_again_to_their_own_whop_user(users: Directory) -> None:
    first = users.link(ANN, linked("user_1"), seen=users.put(ANN, CLAIM, seen=None))
    assert users.link(ANN, linked("user_1"), seen=first).whop_user_id == "user_1"


def test_a_new_link_releases_the_whop_user_of_the_old_one(users: Directory) -> None:
    first = users.link(ANN, linked("user_1"), seen=users.put(ANN, CLAIM, seen=None))
    users.link(ANN, linked("user_2"), seen=first)
    assert users.link(BEN, linked("user_1"), seen=users.put(BEN, CLAIM, seen=None)).whop_user_id == "user_1"
    with pytest.raises(Reserved):
        users.link(BEN, linked("user_2"), seen=users.get(BEN) or CLAIM)


def test_a_link_names_its_whop_user(users: Directory) -> None:
    claim = users.put(ANN, CLAIM, seen=None)
    with pytest.raises(ValueError, match="names its Whop user"):
        users.link(ANN, Record(status=Status.LINKED), seen=claim)


class Interrupted:
    """A DynamoDB client whose calls of one operation are answered by ``answer``, which may make the real call."""

    def __init__(self, client: Any, operation: str, answer: Callable[..., Any]) -> None:
        self._client = client
        self._operation = operation
        self._answer = answer

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._client, name)
        return (lambda **params: self._answer(real, **params)) if name == self._operation else real


def client_error(code: str) -> Exception:
    from botocore.exceptions import ClientError

    return ClientError({"Error": {"Code": code, "Message": ""}}, "Operation")


def test_a_write_that_the_sdk_repeated_after_it_had_arrived_is_not_lost(dynamodb: "DynamoDBClient") -> None:
    def arrives_and_is_repeated(real: Callable[..., Any], **params: Any) -> Any:
        real(**params)
        return real(**params)

    users = Users(Interrupted(dynamodb, "put_item", arrives_and_is_repeated), TABLE)  # type: ignore[arg-type]
    written = users.put(ANN, CLAIM, seen=None)
    assert users.get(ANN) == written


def test_a_cancelled_link_that_had_landed_is_a_link(dynamodb: "DynamoDBClient") -> None:
    def lands_and_reports_a_conflict(real: Callable[..., Any], **params: Any) -> Any:
        real(**params)
        raise client_error("TransactionCanceledException")

    users = Users(Interrupted(dynamodb, "transact_write_items", lands_and_reports_a_conflict), TABLE)  # type: ignore[arg-type]
    record = users.link(ANN, linked("user_1"), seen=users.put(ANN, CLAIM, seen=None))
    assert users.get(ANN) == record


def test_a_link_cancelled_by_a_passing_conflict_is_tried_again(dynamodb: "DynamoDBClient") -> None:
    failures = iter([client_error("TransactionCanceledException")])

    def fails_once(real: Callable[..., Any], **params: Any) -> Any:
        for failure in failures:
            raise failure
        return real(**params)

    users = Users(Interrupted(dynamodb, "transact_write_items", fails_once), TABLE)  # type: ignore[arg-type]
    record = users.link(ANN, linked("user_1"), seen=users.put(ANN, CLAIM, seen=None))
    assert users.get(ANN) == record


def test_a_link_that_is_cancelled_again_and_again_is_reported(dynamodb: "DynamoDBClient") -> None:
    def always_fails(_real: Callable[..., Any], **_params: Any) -> Any:
        raise client_error("TransactionCanceledException")

    users = Users(Interrupted(dynamodb, "transact_write_items", always_fails), TABLE)  # type: ignore[arg-type]
    claim = users.put(ANN, CLAIM, seen=None)
    with pytest.raises(aws.AwsError):
        users.link(ANN, linked("user_1"), seen=claim)
    assert users.get(ANN) == claim


def test_another_failure_of_aws_is_reported_with_its_code(dynamodb: "DynamoDBClient") -> None:
    with pytest.raises(aws.AwsError) as failure:
        Users(dynamodb, "no-such-table").get(ANN)
    assert failure.value.code == "ResourceNotFoundException"


def test_every_read_is_strongly_consistent(dynamodb: "DynamoDBClient") -> None:
    def insists(real: Callable[..., Any], **params: Any) -> Any:
        assert params["ConsistentRead"] is True
        return real(**params)

    assert Users(Interrupted(dynamodb, "get_item", insists), TABLE).get(ANN) is None  # type: ignore[arg-type]


def test_a_record_holds_no_attribute_that_expires_it(dynamodb: "DynamoDBClient") -> None:
    Users(dynamodb, TABLE).put(ANN, CLAIM, seen=None)
    [item] = dynamodb.scan(TableName=TABLE)["Items"]
    assert "ttl" not in item
