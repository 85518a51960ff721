"""The data keys: which secrets are a ring, and what a sealed text shows and survives."""

import json
from collections.abc import Iterator

import pytest
from moto import mock_aws

from tests.fakes.moto_aws import AN_HOUR, aws_at_moto, client
from whop_chat.runtime.sealed import KeyRing, UnknownDataKey, UnusableDataKey, data_keys, opened, purpose

PLAIN = "".join(map(str, range(40)))
"""A text as the template has it made; no secret, since it is here."""
ADA, BEN = purpose("token", "ada"), purpose("token", "ben")


@pytest.fixture
def secret() -> Iterator[str]:
    """The ARN of a secret as the template has it made."""
    with mock_aws():
        yield client("secretsmanager").create_secret(Name="data-keys", SecretString=PLAIN)["ARN"]


def test_the_plain_text_of_the_template_is_a_ring_of_one_key() -> None:
    ring = KeyRing.from_secret(PLAIN)
    assert list(ring.keys) == [ring.current]
    assert ring.open(ring.seal("text", ADA), ADA) == "text"


def test_a_plain_text_stays_in_the_ring_that_grows_from_it() -> None:
    ring = KeyRing.from_secret(PLAIN)
    sealed = ring.seal("text", ADA)
    grown = KeyRing.from_secret(ring.with_new_key().to_secret())
    assert (len(grown.keys), grown.current != ring.current) == (2, True)
    assert grown.open(sealed, ADA) == "text"
    assert grown.seal("text", ADA).key_id == grown.current


def test_without_its_key_a_text_is_not_opened() -> None:
    ring = KeyRing.from_secret(PLAIN)
    with pytest.raises(UnknownDataKey):
        ring.with_new_key().with_current_only().open(ring.seal("text", ADA), ADA)


def test_a_text_is_opened_for_its_purpose_only() -> None:
    ring = KeyRing.from_secret(PLAIN)
    with pytest.raises(ValueError, match="not sealed"):
        ring.open(ring.seal("text", ADA), BEN)


def test_two_purposes_never_look_alike() -> None:
    assert purpose("a", "b") != purpose("a b") != purpose('a", "b')


@pytest.mark.parametrize(
    "text",
    [
        None,
        b"bytes",
        "",
        "tiny",
        "{",
        "[]",
        json.dumps({"api_key": PLAIN}),
        json.dumps({"current": "1", "keys": {}}),
        json.dumps({"current": "1", "keys": {"1": "tiny"}}),
        json.dumps({"current": "1", "keys": {"1": PLAIN, "2": "tiny"}}),
        json.dumps({"current": "1", "keys": {"1": PLAIN, "2": 2}}),
        json.dumps({"current": "1", "keys": {"1": PLAIN}, "more": 1}),
        json.dumps({"current": 1, "keys": {"1": PLAIN}}),
    ],
    ids=str,
)
def test_anything_else_is_refused_and_is_in_no_message(text: object) -> None:
    with pytest.raises(UnusableDataKey) as refusal:
        KeyRing.from_secret(text)
    assert PLAIN not in repr(refusal.value)


def test_a_ring_shows_no_key() -> None:
    ring = KeyRing.from_secret(PLAIN)
    assert repr(ring) == f"KeyRing(current={ring.current!r})"
    assert ring.current not in PLAIN
    assert "text" not in repr(ring.seal("text", ADA))


def test_a_text_sealed_with_a_key_newer_than_the_cache_is_opened_after_another_read(secret: str) -> None:
    keys = data_keys(aws_at_moto(), secret)
    grown = keys.current(deadline=AN_HOUR).with_new_key()
    client("secretsmanager").put_secret_value(SecretId=secret, SecretString=grown.to_secret())
    assert opened(keys, grown.seal("text", ADA), ADA, deadline=AN_HOUR) == "text"


def test_a_key_that_no_ring_has_stays_unknown(secret: str) -> None:
    keys = data_keys(aws_at_moto(), secret)
    with pytest.raises(UnknownDataKey):
        opened(keys, KeyRing.from_secret(PLAIN[::-1]).seal("text", ADA), ADA, deadline=AN_HOUR)
