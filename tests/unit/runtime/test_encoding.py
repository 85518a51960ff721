"""Strict base64url and strict JSON."""

import base64
import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whop_chat.runtime.encoding import Malformed, read_base64url, read_json


@given(st.binary())
def test_every_byte_string_has_one_spelling(data: bytes) -> None:
    text = base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    assert read_base64url(text) == data


@given(st.text("ABZaz019-_+/= \n.é", max_size=12))
def test_whatever_is_read_is_spelled_that_way(text: str) -> None:
    try:
        data = read_base64url(text)
    except Malformed:
        return
    assert base64.urlsafe_b64encode(data).rstrip(b"=").decode() == text


@pytest.mark.parametrize(
    "text", ["A", "AAAAA", "QQ==", "QR", "QUJ", "QQ\n", " QQ", "+/+/", "Q.Q", "QQ\0", "é", "\ud800"]
)
def test_any_other_spelling_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        read_base64url(text)


def test_ordinary_json_is_read_as_it_is() -> None:
    value = {"a": [1, -2.5, True, None, "é😀", {"b": {}}], "c": 10**18, "d": ""}

    assert read_json(json.dumps(value).encode()) == value
    assert read_json(json.dumps(value, ensure_ascii=False, indent=1).encode()) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "{}}",
        "{'a':1}",
        '{"a":1,}',
        '{"a":1,"a":1}',
        '{"a":1,"\\u0061":2}',
        '[{"b":{"a":1,"a":2}}]',
        "NaN",
        "[Infinity]",
        "-Infinity",
        "1e999",
        "-1e999",
        "01",
        "+1",
        ".5",
        "0x10",
        "9" * 5000,
        '"\n"',
        "\ufeff{}",
        '"\\ud800"',
        '{"a\\udfff":1}',
        '["\\ude00\\ud83d"]',
        "// x\n1",
    ],
    ids=lambda text: text[:20],
)
def test_anything_else_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        read_json(text.encode())


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig"])
def test_only_utf_8_is_read(encoding: str) -> None:
    with pytest.raises(Malformed):
        read_json('{"a":1}'.encode(encoding))


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "[" * 100_000 + "]" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000]
)
def test_a_nesting_too_deep_to_parse_is_malformed_and_no_crash(text: str) -> None:
    outcomes: list[type[BaseException]] = []

    def read() -> None:
        try:
            read_json(text.encode())
        except BaseException as error:
            outcomes.append(type(error))

    # In a thread, whose stack is small, and here.
    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    read()

    assert outcomes == [Malformed, Malformed]


def test_what_is_malformed_does_not_show() -> None:
    with pytest.raises(Malformed) as failure:
        read_json(b'{"secret":"c2VjcmV0"')

    assert failure.value.__context__ is None
    assert str(failure.value) == ""
