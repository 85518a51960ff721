"""What `tools.costs` says of one piece of work, measured at the functions: calls, request units and log bytes."""

import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest
from aws_lambda_powertools import Metrics

from tests.fakes import moto_aws
from tests.fakes.cloud import Cloud, cloud_at_moto
from tests.fakes.functions import Context, event, load_function
from tests.unit.functions.test_mint_token import ask, token_of
from tests.unit.functions.test_sync_user import delivery
from tools.costs.usage import MINT, SIGN_UP_LOG_BYTES, SYNC, Calls
from whop_chat.sync.queue import Source, SyncQueue, encode

# By DynamoDB's pricing page: a strongly consistent read of at most 4 KB, and a write of at most 1 KB.
READS = {"GetItem": 1}
# A transaction here has two items, and counts two for each.
WRITES = {"PutItem": 1, "UpdateItem": 1, "DeleteItem": 1, "TransactWriteItems": 4}
ELSEWHERE = {"AdminGetUser", "ListUsers", "SendMessage", "GetSecretValue"}

Work = Callable[[], Any]


def logged(service: str, capsys: pytest.CaptureFixture[str], work: Work) -> int:
    """The bytes that ``work`` writes to the log, as Lambda counts them."""
    for handler in logging.getLogger(service).handlers:
        # An earlier test may have made it, with what was the standard output then.
        if isinstance(handler, logging.StreamHandler):
            handler.stream = sys.stdout
    capsys.readouterr()
    work()
    return len(capsys.readouterr().out.encode())


@dataclass
class Meter:
    """Measures one piece of work of a function in the cloud at moto."""

    name: str
    cloud: Cloud
    function: ModuleType
    capsys: pytest.CaptureFixture[str]

    def measure(self, work: Work) -> Calls:
        """What ``work`` asks and logs."""
        self.cloud.internet.aws.clear()
        self.cloud.internet.requests.clear()
        log_bytes = logged(self.name, self.capsys, work)
        asked = [each.split()[0] for each in self.cloud.internet.aws]
        assert set(asked) <= READS.keys() | WRITES.keys() | ELSEWHERE
        return Calls(
            reads=sum(READS.get(each, 0) for each in asked),
            writes=sum(WRITES.get(each, 0) for each in asked),
            whop=len(self.cloud.internet.requests),
            log_bytes=log_bytes,
        )

    def largest_item(self) -> int:
        """Bytes of the largest item in the table, in JSON and so more than DynamoDB counts."""
        found = moto_aws.client("dynamodb").scan(TableName="users")["Items"]
        return max(len(str(each)) for each in found)


@pytest.fixture
def meter(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Iterator[Meter]:
    name: str = request.param
    with cloud_at_moto(name) as cloud:
        yield Meter(name, cloud, load_function(name), capsys)
    Metrics().clear_metrics()


def is_about(found: Calls, expected: Calls) -> bool:
    """The same calls, and log lines that are a tenth off at most: ids and clocks differ in length."""
    same = (found.reads, found.writes, found.whop) == (expected.reads, expected.writes, expected.whop)
    return same and abs(found.log_bytes - expected.log_bytes) <= expected.log_bytes / 10


@pytest.mark.parametrize("meter", ["mint_token"], indirect=True)
def test_the_token_of_a_linked_user(meter: Meter) -> None:
    token = token_of(meter.cloud.sign_up("ada"))
    ask(meter.function, "mint_token", token)
    meter.function._circuit_states._read_at = None  # as when a second has passed

    assert is_about(found := meter.measure(lambda: ask(meter.function, "mint_token", token)), MINT), found
    assert meter.largest_item() <= 1024


@pytest.mark.parametrize("meter", ["sync_user"], indirect=True)
def test_the_message_about_a_new_user(meter: Meter) -> None:
    message = delivery(encode(meter.cloud.sign_up("ada"), Source.SIGN_UP))

    found = meter.measure(lambda: meter.function.handler(message, Context(remaining_millis=60_000)))

    assert is_about(found, SYNC), found
    assert meter.largest_item() <= 1024


def test_the_lines_about_a_sign_up(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with cloud_at_moto("on_signup") as cloud:
        function = load_function("on_signup")
        monkeypatch.setattr(function, "_queue", lambda: SyncQueue(moto_aws.aws_at_moto(), cloud.queue_url))
        found = logged("on_signup", capsys, lambda: function.handler(event("post_confirmation_sign_up"), Context()))

    assert abs(found - SIGN_UP_LOG_BYTES) <= SIGN_UP_LOG_BYTES / 10, found
