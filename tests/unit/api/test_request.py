"""The request: one bearer token, and a body that narrows or is empty."""

import base64
import json
from typing import Any

import pytest

from tests.fakes.functions import event
from whop_chat.api.request import (
    MAX_BODY_BYTES,
    AmbiguousToken,
    BadRequest,
    BodyTooLarge,
    MissingToken,
    UnsupportedMediaType,
    bearer_token,
    requested_features,
)


def with_body(body: str | bytes | None) -> dict[str, Any]:
    """An event with ``body``; bytes come base64-encoded, as gateways do it."""
    if isinstance(body, bytes):
        return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    return {"body": body, "isBase64Encoded": False}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("authorization", "Bearer token"),
        ("Authorization", "bearer token"),
        ("AUTHORIZATION", "  BEARER   token  "),
    ],
)
def test_the_token_is_what_follows_the_scheme(name: str, value: str) -> None:
    assert bearer_token({"headers": {"host": "api.example.test", name: value}}) == "token"


@pytest.mark.parametrize(
    "headers",
    [
        None,
        {},
        {"authorisation": "Bearer token"},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer  "},
        {"authorization": "Basic dTpw"},
        {"authorization": "token"},
        {"authorization": "Bearertoken"},
    ],
)
def test_without_a_bearer_token_it_is_missing(headers: dict[str, str] | None) -> None:
    with pytest.raises(MissingToken):
        bearer_token({"headers": headers})


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer one, Bearer two"},
        {"authorization": "Bearer one,two"},
        {"authorization": "Bearer one two"},
        {"authorization": "Bearer one", "Authorization": "Bearer two"},
    ],
)
def test_more_than_one_token_is_none(headers: dict[str, str]) -> None:
    with pytest.raises(AmbiguousToken):
        bearer_token({"headers": headers})


@pytest.mark.parametrize(
    "headers", [[], "authorization", 7, {"authorization": 7}, {"authorization": None}, {"authorization": ["Bearer a"]}]
)
def test_headers_that_no_gateway_sends_hold_no_token(headers: Any) -> None:
    with pytest.raises(MissingToken):
        bearer_token({"headers": headers})


@pytest.mark.parametrize("body", [7, True, ["{}"], {"features": ["dms"]}])
def test_a_body_that_is_no_text_is_refused(body: Any) -> None:
    with pytest.raises(BadRequest):
        requested_features({"body": body})


@pytest.mark.parametrize("body", [None, "", " \r\n\t", "{}", "null", " null\n", b"", b"{}", b"null"])
def test_an_empty_body_narrows_nothing(body: str | bytes | None) -> None:
    assert requested_features(with_body(body)) is None


def test_an_event_without_a_body_narrows_nothing() -> None:
    assert requested_features(event("mint_token")) is None


@pytest.mark.parametrize("name", ["mint_token_narrowed", "mint_token_base64"])
def test_a_body_narrows_to_its_features_however_the_gateway_encodes_it(name: str) -> None:
    assert requested_features(event(name)) == ["channels"]


@pytest.mark.parametrize("value", ["application/json", "Application/JSON; charset=utf-8", "application/json ;x=y"])
def test_a_body_may_say_that_it_is_json(value: str) -> None:
    request = {**with_body('{"features": ["channels"]}'), "headers": {"Content-Type": value}}

    assert requested_features(request) == ["channels"]


@pytest.mark.parametrize("value", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", "", "json"])
def test_a_body_that_says_it_is_something_else_is_refused_unless_there_is_none(value: str) -> None:
    headers = {"headers": {"content-type": value}}

    with pytest.raises(UnsupportedMediaType):
        requested_features({**with_body('{"features": ["channels"]}'), **headers})
    assert requested_features({**with_body(" "), **headers}) is None


def test_the_names_of_features_are_not_judged_here() -> None:
    assert requested_features(with_body('{"features": ["dms", "dms", "payments"]}')) == ["dms", "dms", "payments"]


@pytest.mark.parametrize(
    "body",
    [
        "nul",
        "[null]",
        "[]",
        '"channels"',
        "features=channels",
        '{"features": []}',
        '{"features": null}',
        '{"features": "channels"}',
        '{"features": [1]}',
        '{"features": [["channels"]]}',
        '{"features": ["channels"], "user_id": "user_1"}',
        '{"user_id": "user_1"}',
        '{"features": ["channels"], "features": ["dms"]}',
        '{"features": [NaN]}',
        '{"features": ["channels"]',
        '{"features": ["\ud800"]}',
        b'{"features": ["\xff"]}',
        b"\xef\xbb\xbf{}",
        "[" * 4000,
    ],
    ids=repr,
)
def test_anything_else_is_refused_without_being_repeated(body: str | bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        requested_features(with_body(body))

    assert "user_id" not in str(caught.value)


@pytest.mark.parametrize("body", ["not base64!", "e30", "e30=!", "é"])
def test_what_claims_to_be_base64_and_is_not_is_refused(body: str) -> None:
    with pytest.raises(BadRequest):
        requested_features({"body": body, "isBase64Encoded": True})


def padded(size: int) -> bytes:
    body = b'{"features": ["channels"]}'
    return body + b" " * (size - len(body))


@pytest.mark.parametrize("encode", [bytes, bytes.decode], ids=["base64", "text"])
def test_a_body_may_be_as_long_as_the_limit_and_no_longer(encode: Any) -> None:
    assert requested_features(with_body(encode(padded(MAX_BODY_BYTES)))) == ["channels"]
    with pytest.raises(BodyTooLarge):
        requested_features(with_body(encode(padded(MAX_BODY_BYTES + 1))))


def test_the_limit_is_in_bytes_not_in_characters() -> None:
    with pytest.raises(BodyTooLarge):
        requested_features(with_body(json.dumps({"features": ["é" * (MAX_BODY_BYTES // 2)]}, ensure_ascii=False)))


def test_a_huge_body_is_not_even_decoded() -> None:
    with pytest.raises(BodyTooLarge):
        requested_features({"body": "!" * 1_000_000, "isBase64Encoded": True})
