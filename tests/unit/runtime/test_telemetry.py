"""Observability: what is really written, read from standard output."""

import itertools
import json
import time
import uuid
from collections.abc import Callable
from typing import Any, get_args

import pytest

from tests.fakes.functions import Context
from whop_chat.cognito.user import UserRef
from whop_chat.cognito.verifier import KeysUnavailable
from whop_chat.runtime import metrics
from whop_chat.runtime.metrics import ALL, KEY_REFUSED, MINTS, SYNC_AGE, WAITS_TOLD, WHOP_LATENCY, Metric
from whop_chat.runtime.telemetry import Telemetry, lambda_telemetry, redacted
from whop_chat.whop.errors import Operation

ADA = UserRef(pool_id="eu-west-1_Ab3dEf6Gh", sub="sub-ada", username="user-name-of-ada")
OPAQUE = "ZphluGk2x-Qm3_vT8bNc41LkWq0sRd7YfJ5aXe9HoUzBi6tPgVnKwCrM2yEjDlSh"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl_-"
Start = Callable[[], Telemetry]
Written = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Start:
    """Makes the observer of a function of its own, in the test itself: it writes to what is standard output then."""
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", f"service-{uuid.uuid4()}")
    return lambda_telemetry


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
    told.event("token minted", scopes=("chat:read",))

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
    told.event(f"caused by{before}ada@example.test")

    (line,) = written()
    assert line["message"] == f"caused by{before}[redacted]"


def test_half_of_a_surrogate_pair_costs_a_character_and_not_the_line(start: Start, written: Written) -> None:
    start().event("a \ud800 b")

    (line, *_) = written()
    assert line["message"] == "a ? b"


def test_a_new_invocation_has_forgotten_the_last_ones_user(start: Start, written: Written) -> None:
    told = start()
    told.bind_request(Context(aws_request_id="request-1"))
    told.bind_user(ADA.sub)
    told.bind_request(Context(aws_request_id="request-2"))
    told.event("of nobody")

    (line,) = written()
    assert line["request_id"] == "request-2"
    assert "sub" not in line


def test_every_line_bears_the_id_of_the_request_that_caused_the_work(start: Start, written: Written) -> None:
    told = start()
    told.bind_request(Context(aws_request_id="request-1"))
    told.event("of the invocation")
    told.bind_request(Context(aws_request_id="request-2"), "api-request")
    told.event("of a request")
    told.bind_correlation("another-request")
    told.event("of a message")

    assert told.correlation_id == "another-request"
    assert [line["correlation_id"] for line in written()] == ["request-1", "api-request", "another-request"]


def directive_of(line: dict[str, Any]) -> dict[str, Any]:
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    return dict(directive)


def test_what_is_counted_is_written_in_the_embedded_metric_format(start: Start, written: Written) -> None:
    told = start()
    told.count(MINTS, outcome="minted")
    told.flush()

    (line,) = written()
    assert directive_of(line) == {
        "Namespace": "UnitTests",
        "Dimensions": [["outcome"]],
        "Metrics": [{"Name": "Mints", "Unit": "Count"}],
    }
    assert (line["Mints"], line["outcome"]) == ([1.0], "minted")
    assert "service" not in line


def test_each_set_of_dimension_values_has_a_line_of_its_own(start: Start, written: Written) -> None:
    told = start()
    for outcome in ("minted", "denied", "minted"):
        told.count(MINTS, outcome=outcome)
    told.count(WAITS_TOLD)
    told.count(SYNC_AGE, 7.5)
    told.count(SYNC_AGE, 2)
    told.flush()

    minted, denied, totals = written()
    assert (minted["outcome"], minted["Mints"]) == ("minted", [1.0, 1.0])
    assert (denied["outcome"], denied["Mints"]) == ("denied", [1.0])
    assert (totals["WaitsTold"], totals["SyncAge"]) == ([1.0], [7.5, 2.0])
    assert directive_of(totals)["Dimensions"] == [[]]


def test_a_total_is_a_second_set_without_the_service(
    start: Start, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "sync_user")
    told = start()
    told.count(KEY_REFUSED)
    told.flush()

    (line,) = written()
    assert directive_of(line)["Dimensions"] == [["service"], []]
    assert (line["service"], line["KeyRefused"]) == ("sync_user", [1.0])


def test_a_defect_is_counted(start: Start, written: Written) -> None:
    told = start()
    try:
        raise RuntimeError
    except RuntimeError:
        told.exception("unexpected error")
    told.flush()

    assert written()[-1]["Defects"] == [1.0]


def test_more_samples_than_a_line_takes_are_all_written(start: Start, written: Written) -> None:
    """A metric has at most 100 values (CloudWatch, "Specification: Embedded metric format")."""
    told = start()
    for number in range(250):
        told.count(SYNC_AGE, number)
    told.flush()

    lines = written()
    assert [value for line in lines for value in line["SyncAge"]] == list(range(250))
    assert all(directive_of(line)["Dimensions"] == [[]] for line in lines)


def test_what_was_counted_is_written_once(start: Start, written: Written) -> None:
    told = start()
    told.count(WAITS_TOLD)
    told.flush()
    told.count(SYNC_AGE, 1)
    told.flush()

    last = written()[-1]
    assert "SyncAge" in last
    assert "WaitsTold" not in last


def test_an_invocation_that_counted_nothing_ends_without_a_word(start: Start, written: Written) -> None:
    told = start()
    told.bind_request(Context())
    told.flush()

    assert written() == []


def test_cloudwatch_bills_at_most_forty_metrics() -> None:
    """At 0.30 dollars each, 40 are 12 dollars a month. Each set of dimension values is one (CloudWatch, "Pricing")."""
    billed = [
        (metric.name, values)
        for metric in ALL
        for names in metric.sets
        for values in itertools.product(*(metric.values[name] for name in names))
    ]

    assert len(billed) == len(set(billed)) <= 40


def test_every_metric_is_in_the_list() -> None:
    declared = [each for each in vars(metrics).values() if isinstance(each, Metric)]

    assert sorted(each.name for each in declared) == sorted(each.name for each in ALL)


def test_each_operation_of_whop_that_somebody_waits_for_has_its_latency() -> None:
    unwatched = {"create_file", "upload_file", "find_file", "delete_account"}
    assert {*WHOP_LATENCY.values["operation"]} == {*get_args(Operation)} - unwatched
