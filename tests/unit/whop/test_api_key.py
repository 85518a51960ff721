"""The API key: read when it has to be, kept when it can be, and told to nobody."""

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from moto import mock_aws

from tests.fakes.clock import Clock
from tests.fakes.moto_aws import AN_HOUR, REGION, aws_at_moto
from tests.fakes.moto_aws import client as sdk_client
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.aws_clients import carried_clients
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.errors import TransportError
from whop_chat.runtime.http import HttpClient, Request, Response
from whop_chat.runtime.secrets import MAX_AGE_SECONDS, RETRY_COOLDOWN_SECONDS
from whop_chat.whop.api_key import ApiKey, NotConfigured

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


class Secret:
    """The secret in Secrets Manager, and how often it was read."""

    def __init__(self, client: "SecretsManagerClient", **value: Any) -> None:
        self.client = client
        self.arn = client.create_secret(Name="whop", **value)["ARN"]
        self.reads = 0
        ours = aws_at_moto().secretsmanager
        ours.meta.events.register("before-call.secrets-manager.GetSecretValue", self._count)

    def put(self, value: str) -> None:
        self.client.put_secret_value(SecretId=self.arn, SecretString=value)

    def fail(self) -> None:
        """A secret that is scheduled for deletion cannot be read."""
        self.client.delete_secret(SecretId=self.arn)

    def recover(self) -> None:
        self.client.restore_secret(SecretId=self.arn)

    def _count(self, **_: Any) -> None:
        self.reads += 1


@pytest.fixture(scope="module")
def client() -> "Iterator[SecretsManagerClient]":
    with mock_aws():
        yield sdk_client("secretsmanager")


@pytest.fixture
def secret(client: "SecretsManagerClient") -> Iterator[Secret]:
    secret = Secret(client, SecretString="first-key")
    yield secret
    client.delete_secret(SecretId=secret.arn, ForceDeleteWithoutRecovery=True)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def api_key(secret: Secret, clock: Clock) -> ApiKey:
    return ApiKey(aws_at_moto(), secret.arn, clock=clock)


@pytest.mark.parametrize("around", ["{}", " {}\n", "\t{}\r\n", "\ufeff{}\n", "\n\n{}\xa0"])
@pytest.mark.parametrize("form", ["text", "member", "object"])
def test_the_secret_is_the_key_or_an_object_with_it_and_white_space_around_neither_counts(
    secret: Secret, api_key: ApiKey, form: str, around: str
) -> None:
    text = around.format("the-key")
    values = {
        "text": text,
        "member": json.dumps({"api_key": text, "note": "for production"}),
        "object": around.replace("{}", '{"api_key": "the-key"}'),
    }
    secret.put(values[form])

    assert api_key.current(deadline=AN_HOUR) == "the-key"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (" ", "the key is empty"),
        ("two words", "the key has a space or a line break inside"),
        ("key\r\nX-Injected: 1", "the key has a space or a line break inside"),
        ("kéy", "the key has a character that is not visible ASCII"),
        ("key\x00", "the key has a character that is not visible ASCII"),
        ('"key"', "the key has quotation marks around it"),
        ("'key'", "the key has quotation marks around it"),
        ("{}", 'the secret is a JSON object without "api_key"'),
        ('{"apiKey": "key"}', 'the secret is a JSON object without "api_key"'),
        ('{"api_key": ""}', "the key is empty"),
        ('{"api_key": "\\n"}', "the key is empty"),
        ('{"api_key": null}', '"api_key" is not text'),
        ('{"api_key": ["key"]}', '"api_key" is not text'),
        ('{"api_key": "a key"}', "the key has a space or a line break inside"),
        ('{"api_key": "key\\nkey"}', "the key has a space or a line break inside"),
        ('{"api_key": "key"', "the secret begins with { but is not JSON"),
        ("{" * 100_000, "the secret begins with { but is not JSON"),
    ],
)
def test_a_secret_without_a_usable_key_says_why_and_is_not_repeated(value: str, reason: str) -> None:
    answer = {"SecretString": value, "VersionId": "1"}
    aws = SimpleNamespace(secretsmanager=SimpleNamespace(get_secret_value=lambda **_: answer))

    with pytest.raises(NotConfigured) as caught:
        ApiKey(aws, "arn").current(deadline=AN_HOUR)  # type: ignore[arg-type]

    assert str(caught.value) == reason
    assert caught.value.__context__ is None, "a decoder's error has the whole secret"


def test_a_secret_that_has_never_had_a_value_is_not_configured(client: "SecretsManagerClient") -> None:
    empty = Secret(client)
    try:
        with pytest.raises(NotConfigured):
            ApiKey(aws_at_moto(), empty.arn).current(deadline=AN_HOUR)
    finally:
        client.delete_secret(SecretId=empty.arn, ForceDeleteWithoutRecovery=True)


def test_a_binary_secret_is_not_configured(client: "SecretsManagerClient", secret: Secret, api_key: ApiKey) -> None:
    client.put_secret_value(SecretId=secret.arn, SecretBinary=b"first-key")

    with pytest.raises(NotConfigured):
        api_key.current(deadline=AN_HOUR)


def test_the_key_is_read_once_until_it_is_too_old(secret: Secret, api_key: ApiKey, clock: Clock) -> None:
    api_key.current(deadline=AN_HOUR)
    secret.put("second-key")
    clock.advance(MAX_AGE_SECONDS - 1)
    young = api_key.current(deadline=AN_HOUR)
    clock.advance(1)

    assert (young, api_key.current(deadline=AN_HOUR), secret.reads) == ("first-key", "second-key", 2)


def test_an_old_key_serves_while_secrets_manager_fails_and_no_longer(
    secret: Secret, api_key: ApiKey, clock: Clock
) -> None:
    api_key.current(deadline=AN_HOUR)
    secret.put("second-key")
    secret.fail()
    clock.advance(MAX_AGE_SECONDS)
    during = api_key.current(deadline=AN_HOUR)
    secret.recover()
    clock.advance(MAX_AGE_SECONDS)

    assert (during, api_key.current(deadline=AN_HOUR)) == ("first-key", "second-key")


def test_a_failing_secrets_manager_is_not_asked_for_every_request(
    secret: Secret, api_key: ApiKey, clock: Clock
) -> None:
    api_key.current(deadline=AN_HOUR)
    secret.fail()
    clock.advance(MAX_AGE_SECONDS)
    for _ in range(3):
        for _ in range(5):
            assert api_key.current(deadline=AN_HOUR) == "first-key"
        clock.advance(RETRY_COOLDOWN_SECONDS)

    assert secret.reads == 1 + 3


def test_a_secret_that_turns_unusable_is_answered_the_same_way_each_time(
    secret: Secret, api_key: ApiKey, clock: Clock
) -> None:
    api_key.current(deadline=AN_HOUR)
    secret.put("{}")
    clock.advance(MAX_AGE_SECONDS)

    assert len({outcome(api_key) for _ in range(3)}) == 1


def test_a_refused_key_whose_secret_turned_unusable_is_not_used_again(
    secret: Secret, api_key: ApiKey, clock: Clock
) -> None:
    refused = api_key.current(deadline=AN_HOUR)
    secret.put("{}")
    clock.advance(RETRY_COOLDOWN_SECONDS)
    with pytest.raises(NotConfigured):
        api_key.after_refusal(refused, deadline=AN_HOUR)

    assert [outcome(api_key) for _ in range(2)] == ["not configured"] * 2


def outcome(api_key: ApiKey) -> str:
    try:
        return api_key.current(deadline=AN_HOUR)
    except NotConfigured:
        return "not configured"


def test_without_a_key_to_fall_back_on_the_failure_is_told(secret: Secret, api_key: ApiKey) -> None:
    secret.fail()

    with pytest.raises(AwsError) as caught:
        api_key.current(deadline=AN_HOUR)

    assert caught.value.code == "InvalidRequestException"


def test_a_refused_key_is_replaced_by_the_one_that_the_secret_holds_now(
    secret: Secret, api_key: ApiKey, clock: Clock
) -> None:
    refused = api_key.current(deadline=AN_HOUR)
    secret.put("second-key")
    clock.advance(RETRY_COOLDOWN_SECONDS)

    assert api_key.after_refusal(refused, deadline=AN_HOUR) == "second-key"
    assert api_key.current(deadline=AN_HOUR) == "second-key"


def test_there_is_no_other_key_while_the_secret_holds_the_refused_one(
    secret: Secret, api_key: ApiKey, clock: Clock
) -> None:
    refused = api_key.current(deadline=AN_HOUR)
    clock.advance(RETRY_COOLDOWN_SECONDS)

    assert api_key.after_refusal(refused, deadline=AN_HOUR) is None
    assert secret.reads == 2


def test_a_key_that_is_refused_again_and_again_is_read_again_only_after_the_cooldown(
    secret: Secret, api_key: ApiKey, clock: Clock
) -> None:
    refused = api_key.current(deadline=AN_HOUR)
    for _ in range(3):
        clock.advance(RETRY_COOLDOWN_SECONDS)
        for _ in range(5):
            api_key.after_refusal(refused, deadline=AN_HOUR)

    assert secret.reads == 1 + 3


def test_a_failed_read_of_another_key_says_nothing_about_the_key_to_any_caller(
    secret: Secret, api_key: ApiKey, clock: Clock
) -> None:
    """Otherwise the next clients hear that the key is refused, although nobody could look for a newer one."""
    refused = api_key.current(deadline=AN_HOUR)
    secret.put("second-key")
    secret.fail()
    clock.advance(RETRY_COOLDOWN_SECONDS)
    for _ in range(3):
        with pytest.raises(AwsError, match="InvalidRequestException"):
            api_key.after_refusal(refused, deadline=AN_HOUR)
    assert secret.reads == 2

    secret.recover()
    clock.advance(RETRY_COOLDOWN_SECONDS)
    assert api_key.after_refusal(refused, deadline=AN_HOUR) == "second-key"


def test_a_refusal_of_a_key_that_has_been_replaced_already_reads_nothing(
    secret: Secret, api_key: ApiKey, clock: Clock
) -> None:
    api_key.current(deadline=AN_HOUR)
    clock.advance(RETRY_COOLDOWN_SECONDS)

    assert api_key.after_refusal("an-older-key", deadline=AN_HOUR) == "first-key"
    assert secret.reads == 1


def test_nothing_is_read_before_the_key_is_wanted(secret: Secret, api_key: ApiKey) -> None:
    assert secret.reads == 0


def test_the_key_is_in_no_description_of_the_object(api_key: ApiKey) -> None:
    key = api_key.current(deadline=AN_HOUR)

    assert key not in repr(api_key)


def test_a_caller_with_a_key_does_not_wait_long_for_a_newer_one(clock: Clock) -> None:
    left: list[float] = []

    class Asked(HttpClient):
        def send(self, request: Request, *, deadline: Deadline, max_bytes: int) -> Response:
            left.append(deadline.remaining())
            if len(left) == 1:
                return Response(200, content=b'{"SecretString": "first-key", "VersionId": "1"}')
            raise TransportError("ReadTimeout")

    aws = carried_clients(Asked(), region=REGION, sleep=lambda _seconds: None)
    api_key = ApiKey(aws, "arn", clock=clock)
    api_key.current(deadline=Deadline(3))
    clock.advance(MAX_AGE_SECONDS)

    assert api_key.current(deadline=Deadline(3)) == "first-key"
    assert max(left[1:]) <= 0.5


@pytest.mark.parametrize("answer", [b"{}", b'{"SecretString": "other-key"}'])
def test_an_answer_about_no_version_drops_no_key(clock: Clock, answer: bytes) -> None:
    answers = [b'{"SecretString": "first-key", "VersionId": "1"}', answer]

    class Asked(HttpClient):
        def send(self, request: Request, *, deadline: Deadline, max_bytes: int) -> Response:
            return Response(200, content=answers.pop(0))

    api_key = ApiKey(carried_clients(Asked(), region=REGION), "arn", clock=clock)
    api_key.current(deadline=Deadline(3))
    clock.advance(MAX_AGE_SECONDS)

    assert api_key.current(deadline=Deadline(3)) == "first-key"
    assert not answers
