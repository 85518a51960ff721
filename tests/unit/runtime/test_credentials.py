"""Credentials of an endpoint: read as the SDK reads them, renewed in time, and never used after their end."""

import json
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import SimpleNamespace

import httpx
import pytest
from botocore.credentials import ContainerProvider
from botocore.exceptions import CredentialRetrievalError
from botocore.utils import ContainerMetadataFetcher

from tests.fakes.moto_aws import AN_HOUR
from tests.fakes.over_httpx import OverHttpx
from tests.fakes.shared import Clock, Server
from tests.unit.runtime.test_aws import KEY, refusal
from whop_chat.runtime.aws import DYNAMODB, Aws, AwsError
from whop_chat.runtime.base_settings import AwsCredentials, AwsSettings, CredentialsEndpoint
from whop_chat.runtime.credentials import ASK_COOLDOWN_SECONDS, REFRESH_SECONDS, Credentials, CredentialsError
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded

URL = "http://127.0.0.1:9001/2021-04-23/credentials"
ENDPOINT = CredentialsEndpoint(url=URL, authorization="a-password")
NOW = 1_790_000_000.0
AN_HOUR_LATER = NOW + 3600


def lent(number: int = 1, ends_at: float = AN_HOUR_LATER, **changes: str | None) -> httpx.Response:
    """What the endpoint answers, with credentials that are told apart by ``number``."""
    stamp = datetime.fromtimestamp(ends_at, UTC).isoformat().replace("+00:00", "Z")
    answer = {
        "AccessKeyId": f"ASIA{number}",
        "SecretAccessKey": f"secret-{number}",
        "Token": f"token-{number}",
        "Expiration": stamp,
    }
    return httpx.Response(200, json={name: value for name, value in (answer | changes).items() if value is not None})


def expected(number: int = 1) -> AwsCredentials:
    return AwsCredentials(
        access_key_id=f"ASIA{number}", secret_access_key=f"secret-{number}", session_token=f"token-{number}"
    )


def credentials_over(server: Server, clock: Clock | None = None, source: CredentialsEndpoint = ENDPOINT) -> Credentials:
    return Credentials(source, OverHttpx(httpx.MockTransport(server)), clock=clock or Clock(NOW))


def test_credentials_of_the_environment_are_asked_of_nobody() -> None:
    server = Server()
    credentials = Credentials(expected(), OverHttpx(httpx.MockTransport(server)))

    credentials.forget()

    assert credentials.current(deadline=AN_HOUR) == expected()


def test_the_endpoint_is_asked_once_with_what_it_wants_to_see() -> None:
    server = Server(lent())
    credentials = credentials_over(server)

    assert [credentials.current(deadline=AN_HOUR) for _ in range(3)] == [expected()] * 3
    (request,) = server.requests
    assert (request.method, str(request.url)) == ("GET", URL)
    assert request.headers["Authorization"] == "a-password"


def test_of_two_threads_that_need_credentials_one_asks_and_both_have_the_answer() -> None:
    asked, released = threading.Event(), threading.Event()

    def slow(request: httpx.Request) -> httpx.Response:
        asked.set()
        released.wait(5)
        return server(request)

    server = Server(lent())
    credentials = Credentials(ENDPOINT, OverHttpx(httpx.MockTransport(slow)), clock=Clock(NOW))
    with ThreadPoolExecutor() as pool:
        first = pool.submit(credentials.current, deadline=AN_HOUR)
        assert asked.wait(5)
        second = pool.submit(credentials.current, deadline=AN_HOUR)
        released.set()
        assert [each.result(5) for each in (first, second)] == [expected()] * 2

    assert len(server.requests) == 1


def test_an_endpoint_that_wants_no_password_is_shown_none() -> None:
    server = Server(lent())
    credentials_over(server, source=CredentialsEndpoint(url=URL, authorization="")).current(deadline=AN_HOUR)

    assert "Authorization" not in server.requests[0].headers


def _as_the_sdk_reads(answer: httpx.Response) -> AwsCredentials | None:
    """What botocore makes of this answer; None if it has no credentials then."""
    session = SimpleNamespace(
        send=lambda _: SimpleNamespace(status_code=answer.status_code, content=answer.content),
    )
    provider = ContainerProvider(
        {"AWS_CONTAINER_CREDENTIALS_FULL_URI": URL},
        ContainerMetadataFetcher(session=session, sleep=lambda _: None),  # type: ignore[arg-type] # what it takes
    )
    try:
        frozen = provider.load().get_frozen_credentials()
    except (CredentialRetrievalError, KeyError, TypeError, ValueError, RuntimeError):
        return None
    return AwsCredentials(
        access_key_id=str(frozen.access_key),
        secret_access_key=str(frozen.secret_key),
        session_token=frozen.token,
    )


FAR = datetime(2100, 1, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "answer",
    [
        lent(ends_at=FAR),
        lent(Expiration="2100-01-01T00:00:00+02:00"),
        lent(Expiration="2100-01-01T00:00:00.123Z"),
        lent(ends_at=FAR, AccountId="123456789012", Code="Success"),
        lent(ends_at=NOW - 1),
        lent(Expiration="2100-01-01T00:00:00"),
        lent(Expiration="soon"),
        lent(AccessKeyId=None),
        lent(SecretAccessKey=None),
        lent(Token=None),
        lent(Expiration=None),
        httpx.Response(200, content=b"<html>"),
        httpx.Response(200, json=[]),
        httpx.Response(403, json={"message": "no"}),
        httpx.Response(500),
    ],
)
def test_an_answer_means_what_it_means_to_the_sdk(answer: httpx.Response) -> None:
    credentials = Credentials(ENDPOINT, OverHttpx(httpx.MockTransport(Server(answer))))
    try:
        ours = credentials.current(deadline=AN_HOUR)
    except CredentialsError:
        ours = None

    assert ours == _as_the_sdk_reads(answer)


def test_credentials_are_renewed_before_they_end() -> None:
    clock = Clock(NOW)
    credentials = credentials_over(Server(lent(1), lent(2, ends_at=NOW + 7200)), clock)
    credentials.current(deadline=AN_HOUR)

    clock.now = AN_HOUR_LATER - REFRESH_SECONDS - 1
    assert credentials.current(deadline=AN_HOUR) == expected(1)
    clock.advance(2)
    assert credentials.current(deadline=AN_HOUR) == expected(2)


def test_an_endpoint_that_fails_is_asked_now_and_then_while_the_credentials_last() -> None:
    clock = Clock(NOW)
    server = Server(lent(1), httpx.ConnectError("gone"), httpx.Response(500), lent(2, ends_at=NOW + 7200))
    credentials = credentials_over(server, clock)
    credentials.current(deadline=AN_HOUR)
    clock.now = AN_HOUR_LATER - REFRESH_SECONDS

    used = []
    for _ in range(3):
        used += [credentials.current(deadline=AN_HOUR) for _ in range(3)]
        clock.advance(ASK_COOLDOWN_SECONDS)

    assert used == [expected(1)] * 6 + [expected(2)] * 3
    assert server.answers == []


@pytest.mark.parametrize("answer", [httpx.ConnectError("gone"), httpx.Response(500), lent(2, ends_at=AN_HOUR_LATER)])
def test_credentials_that_have_ended_are_not_used(answer: httpx.Response | Exception) -> None:
    clock = Clock(NOW)
    credentials = credentials_over(Server(lent(1), answer, lent(3, ends_at=NOW + 7200)), clock)
    credentials.current(deadline=AN_HOUR)
    clock.now = AN_HOUR_LATER

    with pytest.raises(CredentialsError):
        credentials.current(deadline=AN_HOUR)
    assert credentials.current(deadline=AN_HOUR) == expected(3)


def test_forgotten_credentials_are_asked_for_anew() -> None:
    credentials = credentials_over(Server(lent(1), lent(2)))
    credentials.current(deadline=AN_HOUR)

    credentials.forget()

    assert credentials.current(deadline=AN_HOUR) == expected(2)


def test_half_of_the_time_is_left_to_the_call() -> None:
    clock = Clock()
    timeouts: list[float] = []

    def server(request: httpx.Request) -> httpx.Response:
        timeouts.append(request.extensions["timeout"]["read"])
        return lent()

    credentials = Credentials(ENDPOINT, OverHttpx(httpx.MockTransport(server)), clock=Clock(NOW))
    credentials.current(deadline=Deadline(0.8, clock=clock))

    assert timeouts == [pytest.approx(0.4)]


def test_without_time_nobody_is_asked() -> None:
    server = Server()
    with pytest.raises(DeadlineExceeded):
        credentials_over(server).current(deadline=Deadline(0))
    assert server.requests == []


# --------------------------------------------------------------------------------------------------- behind an AWS call

SETTINGS = AwsSettings(region="eu-west-1", credentials=ENDPOINT, endpoint=None, snap_start=True)
FAR_LENT = lent(ends_at=FAR)


def aws_over(server: Server) -> Aws:
    return Aws(OverHttpx(httpx.MockTransport(server)), SETTINGS, sleep=lambda _seconds: None)


def test_a_call_is_signed_with_what_the_endpoint_lent() -> None:
    server = Server(FAR_LENT, httpx.Response(200, json={}), httpx.Response(200, json={}))
    aws = aws_over(server)
    aws.call(DYNAMODB, "GetItem", KEY, deadline=AN_HOUR)
    aws.call(DYNAMODB, "GetItem", KEY, deadline=AN_HOUR)

    _, *calls = server.requests
    for call in calls:
        assert call.headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=ASIA1/")
        assert call.headers["X-Amz-Security-Token"] == "token-1"


def test_a_call_tries_again_when_the_endpoint_did_not_answer() -> None:
    assert (
        aws_over(Server(httpx.ConnectError("gone"), FAR_LENT, httpx.Response(200, json={}))).call(
            DYNAMODB, "GetItem", KEY, deadline=AN_HOUR
        )
        == {}
    )


def test_a_call_without_credentials_fails_like_any_other_call() -> None:
    with pytest.raises(AwsError) as caught:
        aws_over(Server(httpx.Response(500), httpx.Response(403))).call(DYNAMODB, "GetItem", KEY, deadline=AN_HOUR)

    assert str(caught.value) == "GetItem: Credentials.Status403"


def test_credentials_are_in_no_failure_and_no_description() -> None:
    half = lent(Expiration="soon", Token="a-token-to-hide", SecretAccessKey="a-secret-to-hide")
    not_even_json = httpx.Response(200, content=json.dumps(json.loads(half.content))[:-1].encode())
    aws = aws_over(Server(half, not_even_json, FAR_LENT, refusal("AccessDeniedException")))
    told = []
    for _ in range(2):
        with pytest.raises(AwsError) as caught:
            aws.call(DYNAMODB, "GetItem", KEY, deadline=AN_HOUR)
        error: BaseException | None = caught.value
        while error is not None:
            told += [repr(error), *traceback.format_exception_only(error)]
            told += [repr(vars(error))]
            error = error.__context__
    told += [repr(ENDPOINT), repr(SETTINGS), repr(expected())]

    for secret in ("to-hide", "a-password", "secret-1", "token-1"):
        assert secret not in "".join(told)
