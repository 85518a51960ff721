"""Observability: what is really written, read from standard output."""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aws_lambda_powertools import Metrics

from tests.fakes.functions import Context
from whop_chat.cognito.user import UserRef
from whop_chat.cognito.verifier import KeysUnavailable
from whop_chat.runtime.telemetry import Telemetry, lambda_telemetry, redacted

ADA = UserRef(pool_id="eu-west-1_Ab3dEf6Gh", sub="sub-ada", username="user-name-of-ada")
OPAQUE = "ZphluGk2x-Qm3_vT8bNc41LkWq0sRd7YfJ5aXe9HoUzBi6tPgVnKwCrM2yEjDlSh"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl_-"
Start = Callable[[], Telemetry]
Written = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Makes the observer of a function of its own, in the test itself: it writes to what is standard output then."""
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", f"service-{uuid.uuid4()}")
    yield lambda_telemetry
    Metrics().clear_metrics()


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Written:
    return lambda: [json.loads(line) for line in capsys.readouterr().out.split("\n")[:-1]]


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        (f"token {JWT} end", "token [redacted] end"),
        (f"cut {JWT[:30]}", "cut [redacted]"),
        (f"twice {JWT},{JWT}", "twice [redacted],[redacted]"),
        ("Authorization: Bearer abc.def+/=", "Authorization: [redacted]"),
        ('{"authorization": "bearer  opaque-1"}', '{"authorization": "[redacted]"}'),
        ("ada@example.test signed up", "[redacted] signed up"),
        ("<ada.b+c_d%e@mail.example.test>", "<[redacted]>"),
        ("адa@пример.test", "[redacted]"),
        ("o'brien!x#1@example.test", "[redacted]"),
        ("'ada@example.test'", "'[redacted]'"),
        ('"ada lovelace"@example.test, she', "[redacted], she"),
        (r'"ada \"l\" lovelace"@example.test', "[redacted]"),
        (json.dumps({"to": '"ada lovelace"@example.test'}), '{"to": "[redacted]"}'),
        ("to ada@[192.0.2.1] now", "to [redacted] now"),
        ("ada@[IPv6:2001:db8::1]", "[redacted]"),
        ("?email=ada%40example.test&page=2", "?email=[redacted]&page=2"),
        ("the key apik_0123456789-abc_DEF.", "the key [redacted]."),
        ("cut: apik_0", "cut: [redacted]"),
        (f'{{"token": "{OPAQUE}"}}', '{"token": "[redacted]"}'),
        (f"cut: {OPAQUE[:43]}", "cut: [redacted]"),
    ],
)
def test_tokens_and_addresses_are_taken_out_and_the_rest_stays(text: str, safe: str) -> None:
    assert redacted(text) == safe


@pytest.mark.parametrize(
    "text",
    [
        "sub 0a1b2c3d-4e5f-6789-abcd-ef0123456789 of eu-west-1_Ab3dEf6Gh",
        "mint_token: 429 rate_limit_exceeded",
        "arn:aws:sqs:eu-west-1:123456789012:SyncQueue",
        "bearer",
        "apik_",
        "biz_Ab1Cd2Ef3Gh4Ij5Kl6Mn7Op8Qr9St0 and user_Sim00000000003",
        "whop-chat-production-europe-SyncDeadLetterQueue-1A2B3C4D5E6F",
        "whop-chat-production-europe-MintTokenFunction-aB1cD2eF3gH4",
        "1-5759e988-bd862e3fe1be46a994272793",
        "cognito:eu-west-1_Ab3dEf6Gh:0a1b2c3d-4e5f-6789-abcd-ef0123456789:1",
        "@example.test",
        "a @ b.test",
        'he said "yes" @example.test',
        "at 2027-01-15T08:00:00Z",
    ],
)
def test_what_an_operator_needs_is_left_alone(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize(
    "text", ["a", "'a", "a-", '"', '\\"', '"a', "a.", "%4", "aA0_", "a@", "a@b.", "a@[", "eyJ", "apik_-"], ids=repr
)
def test_a_long_line_is_redacted_in_time_that_grows_with_its_length(text: str) -> None:
    started = time.process_time()
    redacted(text * (100_000 // len(text)))

    assert time.process_time() - started < 5


def test_a_line_bears_the_request_and_the_sub_and_not_the_user_name(start: Start, written: Written) -> None:
    told = start()
    told.bind_request(Context(aws_request_id="request-7"))
    told.bind_user(ADA.sub)
    told.event("TokenMinted", "token minted", scopes=("chat:read",))

    (line,) = written()
    assert {name: line[name] for name in ("level", "message", "request_id", "sub", "scopes")} == {
        "level": "INFO",
        "message": "token minted",
        "request_id": "request-7",
        "sub": "sub-ada",
        "scopes": ["chat:read"],
    }
    assert ADA.username not in json.dumps(line)


def test_a_provided_for_failure_is_told_by_kind_and_reason_without_a_stack(start: Start, written: Written) -> None:
    told = start()
    try:
        raise LookupError("about ada@example.test")
    except LookupError as error:
        told.warning("no token", error)

    (line,) = written()
    assert (line["level"], line["error"], line["reason"]) == ("WARNING", "LookupError", "about [redacted]")
    assert "exception" not in line
    assert "stack_trace" not in line


def test_what_an_error_has_for_the_log_alone_is_told(start: Start, written: Written) -> None:
    start().warning("no token", KeysUnavailable(retry_after=7, detail="status 500"))

    (line,) = written()
    assert (line["reason"], line["detail"]) == ("keys_unavailable", "status 500")


def test_a_defect_is_told_with_its_stack_and_still_without_secrets(start: Start, written: Written) -> None:
    told = start()
    try:
        raise RuntimeError(f"Bearer opaque-1 of ada@example.test: {JWT}")
    except RuntimeError:
        told.exception("unexpected error")

    (line,) = written()
    assert line["level"] == "ERROR"
    assert "RuntimeError: [redacted] of [redacted]: [redacted]" in line["exception"]
    assert all(secret not in json.dumps(line) for secret in ("opaque-1", "example.test", JWT))


@pytest.mark.parametrize("before", ["\n", "\t", "\r", '"', "\\", "\x01", "\u2028"], ids=repr)
def test_a_line_stays_json_whatever_stands_before_an_address(start: Start, written: Written, before: str) -> None:
    told = start()
    told.event("Any", f"caused by{before}ada@example.test")

    (line,) = written()
    assert line["message"] == f"caused by{before}[redacted]"


def test_half_of_a_surrogate_pair_costs_a_character_and_not_the_line(start: Start, written: Written) -> None:
    start().event("Metric", "a \ud800 b")

    (line, *_) = written()
    assert line["message"] == "a ? b"


def test_a_new_invocation_has_forgotten_the_last_ones_user(start: Start, written: Written) -> None:
    told = start()
    told.bind_request(Context(aws_request_id="request-1"))
    told.bind_user(ADA.sub)
    told.bind_request(Context(aws_request_id="request-2"))
    told.event("Any", "of nobody")

    (line,) = written()
    assert line["request_id"] == "request-2"
    assert "sub" not in line


def test_what_is_counted_is_written_in_the_embedded_metric_format(start: Start, written: Written) -> None:
    told = start()
    told.event("TokenMinted", "token minted")
    told.warning("no token", LookupError(), metric="Problem.user_gone")
    told.warning("not counted", LookupError())
    try:
        raise RuntimeError
    except RuntimeError:
        told.exception("unexpected error")
    told.flush()

    *_, line = written()
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "UnitTests"
    assert {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]} == {
        "TokenMinted": "Count",
        "Problem.user_gone": "Count",
        "Defect": "Count",
    }
    assert (line["TokenMinted"], line["Defect"]) == ([1.0], [1.0])


def test_what_was_counted_is_written_once(start: Start, written: Written) -> None:
    told = start()
    told.event("First", "first")
    told.flush()
    told.event("Second", "second")
    told.flush()

    last = written()[-1]
    assert "Second" in last
    assert "First" not in last


def test_an_invocation_that_counted_nothing_ends_without_a_word(start: Start, written: Written) -> None:
    told = start()
    told.bind_request(Context())
    told.flush()

    assert written() == []
