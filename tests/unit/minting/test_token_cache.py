"""Kept tokens: what can be opened, by whom, and what an item shows to others."""

import dataclasses
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from moto import mock_aws

from tests.fakes.moto_aws import AN_HOUR, aws_at_moto, client, table
from whop_chat.cognito.user import UserRef
from whop_chat.minting.token_cache import CachedToken, CacheKey, TokenCache
from whop_chat.runtime.sealed import data_keys

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient

TABLE = "users"
ADA = UserRef(pool_id="eu-west-1_Pool", sub="sub-ada", username="ada")
CHAT = CacheKey(ADA, ("chat:message:create", "chat:read"))
MINTED_AT = datetime.fromtimestamp(1_800_000_000, UTC)
TOKEN = CachedToken("whop-token-of-ada", MINTED_AT, expires_at=MINTED_AT + timedelta(hours=1))
COMPANY = "biz_Company"


@pytest.fixture(scope="module")
def region() -> Iterator[None]:
    with mock_aws():
        yield


@pytest.fixture
def dynamodb(region: None) -> "Iterator[DynamoDBClient]":
    with table(TABLE) as made:
        yield made


@pytest.fixture
def secret(region: None) -> Iterator[str]:
    """The ARN of a secret as the template has it made."""
    secrets: SecretsManagerClient = client("secretsmanager")
    password = secrets.get_random_password(PasswordLength=64, ExcludePunctuation=True)["RandomPassword"]
    arn = secrets.create_secret(Name="data-key", SecretString=password)["ARN"]
    yield arn
    secrets.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)


def kept_tokens(secret: str, company: str = COMPANY) -> TokenCache:
    """As in a function that has just started."""
    aws = aws_at_moto()
    return TokenCache(aws, TABLE, data_keys(aws, secret), company)


def keep(secret: str, token: CachedToken = TOKEN, cache_key: CacheKey = CHAT) -> None:
    kept_tokens(secret).store(cache_key, "user_Ada", token, deadline=AN_HOUR)


def opened(secret: str, cache_key: CacheKey = CHAT, whop_user: str = "user_Ada", **changes: Any) -> CachedToken | None:
    return kept_tokens(secret, **changes).load(cache_key, deadline=AN_HOUR).decrypt(whop_user)


def item(dynamodb: "DynamoDBClient") -> dict[str, Any]:
    (item,) = dynamodb.scan(TableName=TABLE)["Items"]
    return item


def test_a_token_comes_back_as_it_was_kept(dynamodb: "DynamoDBClient", secret: str) -> None:
    assert opened(secret) is None
    keep(secret)
    assert opened(secret) == TOKEN


def test_the_last_token_takes_the_place_of_the_one_before(dynamodb: "DynamoDBClient", secret: str) -> None:
    newer = dataclasses.replace(TOKEN, token="another", expires_at=TOKEN.expires_at + timedelta(seconds=1))
    keep(secret)
    keep(secret, newer)
    assert opened(secret) == newer


def test_the_times_of_a_token_are_kept_to_the_second(dynamodb: "DynamoDBClient", secret: str) -> None:
    keep(secret, dataclasses.replace(TOKEN, expires_at=TOKEN.expires_at + timedelta(seconds=0.9)))
    assert opened(secret) == TOKEN


def test_other_scopes_are_another_token(dynamodb: "DynamoDBClient", secret: str) -> None:
    keep(secret)
    assert opened(secret, CacheKey(ADA, ("chat:read",))) is None
    assert opened(secret, CacheKey(ADA, CHAT.scopes[::-1])) == TOKEN


def test_a_token_that_was_moved_to_other_scopes_cannot_be_opened(dynamodb: "DynamoDBClient", secret: str) -> None:
    less = CacheKey(ADA, ("chat:read",))
    keep(secret)
    full = item(dynamodb)
    dynamodb.delete_item(TableName=TABLE, Key={"pk": full["pk"]})
    keep(secret, cache_key=less)
    dynamodb.put_item(TableName=TABLE, Item=full | {"pk": item(dynamodb)["pk"]})

    assert opened(secret, less) is None


def test_a_token_is_not_for_another_whop_user_or_company(dynamodb: "DynamoDBClient", secret: str) -> None:
    keep(secret)
    assert opened(secret, whop_user="user_Ben") is None
    assert opened(secret, company="biz_Other") is None


@pytest.mark.parametrize(
    "other", [dataclasses.replace(ADA, sub="sub-ben"), dataclasses.replace(ADA, pool_id="eu-west-1_Other")]
)
def test_a_token_that_was_moved_to_another_user_cannot_be_opened(
    dynamodb: "DynamoDBClient", secret: str, other: UserRef
) -> None:
    keep(secret)
    moved = item(dynamodb)
    moved["pk"] = {"S": moved["pk"]["S"].replace(ADA.sub, other.sub).replace(ADA.pool_id, other.pool_id)}
    dynamodb.put_item(TableName=TABLE, Item=moved)

    assert opened(secret, CacheKey(other, CHAT.scopes)) is None


@pytest.mark.parametrize(
    "change",
    [
        {"expires_at": {"N": "1800009999"}},
        {"minted_at": {"N": "1800000001"}},
        {"expires_at": {"S": "later"}},
        {"encrypted": {"B": b"short"}},
        {"encrypted": {"B": b"x" * 60}},
        {"key_id": {"S": "another"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_item_that_was_changed_counts_as_not_there(
    dynamodb: "DynamoDBClient", secret: str, change: dict[str, Any]
) -> None:
    keep(secret)
    dynamodb.put_item(TableName=TABLE, Item=item(dynamodb) | change)

    assert opened(secret) is None


def test_an_item_shows_neither_token_nor_whop_user_nor_company(dynamodb: "DynamoDBClient", secret: str) -> None:
    keep(secret)
    shown = repr(item(dynamodb))

    assert not [each for each in (TOKEN.token, "user_Ada", COMPANY, "chat:read") if each in shown]
    assert TOKEN.token not in repr(kept_tokens(secret).load(CHAT, deadline=AN_HOUR))
    assert TOKEN.token not in repr(opened(secret))


def test_two_items_of_one_token_have_nothing_in_common(dynamodb: "DynamoDBClient", secret: str) -> None:
    keep(secret)
    first = item(dynamodb)["encrypted"]
    keep(secret)
    assert item(dynamodb)["encrypted"] != first


def test_an_item_is_found_by_user_and_scopes(dynamodb: "DynamoDBClient", secret: str) -> None:
    keep(secret)
    scopes = hashlib.sha256(b"chat:message:create chat:read").hexdigest()

    assert item(dynamodb)["pk"] == {"S": f"TOKEN#eu-west-1_Pool#sub-ada#{scopes[:16]}"}


def test_an_item_vanishes_when_its_token_ends(dynamodb: "DynamoDBClient", secret: str) -> None:
    keep(secret)
    assert item(dynamodb)["ttl"] == {"N": "1800003600"}


def test_a_new_data_key_makes_what_is_kept_unreadable_and_what_comes_readable(
    dynamodb: "DynamoDBClient", secret: str
) -> None:
    keep(secret)
    client("secretsmanager").put_secret_value(SecretId=secret, SecretString="Another" * 8)
    assert opened(secret) is None
    keep(secret)
    assert opened(secret) == TOKEN


def test_a_token_that_an_older_key_of_the_ring_sealed_is_still_opened(dynamodb: "DynamoDBClient", secret: str) -> None:
    keep(secret)
    ring = data_keys(aws_at_moto(), secret).current(deadline=AN_HOUR)
    client("secretsmanager").put_secret_value(SecretId=secret, SecretString=ring.with_new_key().to_secret())
    assert opened(secret) == TOKEN
