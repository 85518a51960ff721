"""The functions against servers that misbehave: over in time, never an empty success, never somebody else's answer.

The handlers are the real ones, over real sockets. Their deadlines are shortened, so that the tests take seconds.
"""

import json
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from moto import mock_aws

from tests.fakes import moto_aws, tokens
from tests.fakes.bad_server import BAD, BadServer, Behaviour, answers_twice, bad_server, right, silent
from tests.fakes.cloud import Cloud
from tests.fakes.functions import Context, event, load_function
from whop_chat import bootstrap
from whop_chat.api import routes
from whop_chat.cognito.user import UserRef
from whop_chat.runtime import botocore_clients
from whop_chat.runtime import http as transport
from whop_chat.settings import SettingsError
from whop_chat.sync import batch, worker
from whop_chat.sync.queue import Source, decode, encode

pytestmark = pytest.mark.thorough

_SHORT_SECONDS = 2.0
_GRACE_SECONDS = 0.5
_TICK_SECONDS = 0.01
_SIGN_UP_SECONDS = 2.1
NEIGHBOURS = ("aws", "whop")


@dataclass
class World:
    """What is around a function: AWS with the pool's keys behind one server, Whop behind another."""

    cloud: Cloud
    aws: BadServer
    whop: BadServer

    def __getitem__(self, name: str) -> BadServer:
        return {"aws": self.aws, "whop": self.whop}[name]

    def heal(self) -> None:
        self.aws.behave = self.whop.behave = right


def performed_by(cloud: Cloud) -> Callable[[httpx.Request], httpx.Response]:
    """What the servers do: as if the request had been sent to where it would go outside of a test."""

    def perform(request: httpx.Request) -> httpx.Response:
        host = "api.whop.com"
        if "X-Amz-Target" in request.headers:
            service = request.headers["Authorization"].split("/")[3]
            host = f"{service}.eu-west-1.amazonaws.com"
        elif request.url.path.endswith("jwks.json"):
            host = "cognito-idp.eu-west-1.amazonaws.com"
        headers = [(name, value) for name, value in request.headers.items() if name != "host"]
        url = request.url.copy_with(scheme="https", host=host, port=None)
        return cloud.internet(httpx.Request(request.method, url, headers=headers, content=request.content))

    return perform


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every client that a function makes is closed after the test."""
    with ExitStack() as undo:

        class Ours(transport.HttpClient):
            def __init__(self, **named: Any) -> None:
                super().__init__(**named)
                undo.callback(self.close)

        class Botocores(botocore_clients.StrictSession):
            def __init__(self, **named: Any) -> None:
                super().__init__(**named)
                undo.callback(self.close)

        for module in (transport, bootstrap):
            monkeypatch.setattr(module, "HttpClient", Ours)
        monkeypatch.setattr(botocore_clients, "StrictSession", Botocores)
        yield


@pytest.fixture
def world(closed: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with mock_aws():
        cloud = Cloud()
        perform = performed_by(cloud)
        with bad_server(perform) as aws, bad_server(perform) as whop:
            environment = {
                **cloud.environment,
                "AWS_ENDPOINT_URL": aws.url,
                "WHOP_BASE_URL": whop.url,
                "SYNC_DEAD_LETTER_QUEUE_URL": cloud.dead_letter_queue_url,
                "POWERTOOLS_SERVICE_NAME": uuid.uuid4().hex,
            }
            for name, value in environment.items():
                monkeypatch.setenv(name, value)
            yield World(cloud, aws, whop)


@contextmanager
def over_within(seconds: float) -> Iterator[None]:
    """Requires that the block ends in time. What a busy machine takes from every thread does not count."""
    with machine_lateness() as late:
        begun = time.monotonic()
        yield
        taken = time.monotonic() - begun
    assert taken < seconds + _GRACE_SECONDS + sum(late)


@contextmanager
def machine_lateness() -> Iterator[list[float]]:
    """By how much each short sleep of another thread was too long, in seconds, while the block ran."""
    late, over = list[float](), threading.Event()

    def sleep() -> None:
        while not over.is_set():
            begun = time.monotonic()
            over.wait(_TICK_SECONDS)
            late.append(max(0.0, time.monotonic() - begun - _TICK_SECONDS))

    thread = threading.Thread(target=sleep)
    thread.start()
    try:
        yield late
    finally:
        over.set()
        thread.join()


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Called with a port, it lets the resolver hang for whoever wants to go there."""
    over, hanging, resolve = threading.Event(), set[int](), socket.getaddrinfo

    def hang(host: Any, port: Any, *args: Any, **named: Any) -> Any:
        if port in hanging:
            over.wait(60)
            raise OSError("over")
        return resolve(host, port, *args, **named)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    yield hanging.add
    over.set()


# mint_token


@pytest.fixture
def mint(world: World, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(routes, "BUDGET_SECONDS", _SHORT_SECONDS)
    return load_function("mint_token")


def minted(mint: ModuleType, user: UserRef) -> tuple[int, dict[str, Any]]:
    issuer = f"https://cognito-idp.eu-west-1.amazonaws.com/{user.pool_id}"
    mine = {"iss": issuer, "sub": user.sub, "username": user.username}
    request = event("mint_token")
    request["headers"]["authorization"] = f"Bearer {tokens.sign(tokens.access_claims(mine, now=int(time.time())))}"
    response = mint.handler(request, Context())
    return response["statusCode"], json.loads(response["body"])


def token_of(mint: ModuleType, user: UserRef) -> tuple[int, Any]:
    status, body = minted(mint, user)
    return status, body.get("token", body.get("code"))


@pytest.mark.parametrize("behaviour", BAD, ids=lambda each: each.__name__)
@pytest.mark.parametrize("neighbour", NEIGHBOURS)
def test_a_mint_is_over_in_time_and_no_success(
    world: World, mint: ModuleType, neighbour: str, behaviour: Behaviour
) -> None:
    ada = world.cloud.sign_up("ada")
    assert token_of(mint, ada) == (200, "whop-token-of-user_ada")
    world[neighbour].behave = behaviour
    with over_within(_SHORT_SECONDS):
        status, body = minted(mint, ada)

    assert status in (502, 503)
    assert "token" not in body
    world.heal()
    assert token_of(mint, ada) == (200, "whop-token-of-user_ada")


@pytest.mark.parametrize("behaviour", BAD, ids=lambda each: each.__name__)
@pytest.mark.parametrize("neighbour", NEIGHBOURS)
def test_a_first_mint_makes_no_user_of_nothing(
    world: World, mint: ModuleType, neighbour: str, behaviour: Behaviour
) -> None:
    eve = world.cloud.sign_up("eve")
    world[neighbour].behave = behaviour
    with over_within(_SHORT_SECONDS):
        status, body = minted(mint, eve)

    assert status in (502, 503)
    assert "token" not in body


@pytest.mark.parametrize("neighbour", NEIGHBOURS)
def test_a_resolver_that_hangs_holds_up_no_mint(
    world: World, mint: ModuleType, neighbour: str, resolver: Callable[[int], None]
) -> None:
    ada = world.cloud.sign_up("ada")
    resolver(world[neighbour].port)
    world[neighbour].hang_up()
    with over_within(_SHORT_SECONDS):
        status, _ = minted(mint, ada)

    assert status == 503


def test_a_mint_has_three_seconds_when_nothing_is_shortened(world: World) -> None:
    mint, ada = load_function("mint_token"), world.cloud.sign_up("ada")
    assert token_of(mint, ada)[0] == 200
    world.aws.behave = world.whop.behave = silent
    with over_within(3.0):
        assert minted(mint, ada)[0] == 503


def test_a_start_with_a_silent_aws_is_over_in_time(world: World) -> None:
    world.aws.behave = silent
    with over_within(2.0 + 1.0):  # And what a start imports.
        mint = load_function("mint_token")

    assert mint.handler(event("health"), Context())["statusCode"] == 200


def test_a_second_answer_of_whop_is_nobody_s_token(world: World, mint: ModuleType) -> None:
    users = [world.cloud.sign_up(name) for name in ("ada", "bob", "cid")]
    for user in users:
        minted(mint, user)
    stolen = {"token": "whop-token-of-somebody-else", "expires_at": "2099-01-01T00:00:00Z"}
    world.whop.behave = answers_twice(json.dumps(stolen).encode())

    assert [token_of(mint, user) for user in users] == [(200, f"whop-token-of-user_{user.username}") for user in users]


def test_a_second_answer_of_aws_is_nobody_s_record(world: World, mint: ModuleType) -> None:
    users = [world.cloud.sign_up(name) for name in ("ada", "bob", "cid")]
    for user in users:
        minted(mint, user)
    record = {"status": {"S": "linked"}, "whop_user_id": {"S": "user_mallory"}, "version": {"S": "1"}}
    both = json.dumps({"Item": record, "Attributes": record, "SecretString": "another-key"}).encode()
    world.aws.behave = answers_twice(both)

    assert [token_of(mint, user) for user in users] == [(200, f"whop-token-of-user_{user.username}") for user in users]


# sync_user


@pytest.fixture
def sync(world: World, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(worker, "SECONDS_PER_USER", _SHORT_SECONDS)
    monkeypatch.setattr(batch, "_QUEUE_SECONDS", _SHORT_SECONDS / 2)
    return load_function("sync_user")


def synced(sync: ModuleType, *users: UserRef) -> list[str]:
    """The users whose messages come again."""
    (record, *_) = event("sync_user_batch")["Records"]
    records = [{**record, "messageId": user.username, "body": encode(user, Source.SIGN_UP)} for user in users]
    answer = sync.handler({"Records": records}, Context(remaining_millis=60_000))
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def linked_to(user: UserRef) -> str | None:
    key: Any = {"pk": {"S": f"USER#{user.pool_id}#{user.sub}"}}
    item = moto_aws.client("dynamodb").get_item(TableName="users", Key=key).get("Item", {})
    linked = item.get("status", {}).get("S") == "linked"
    return str(item["whop_user_id"]["S"]) if linked else None


@pytest.mark.parametrize("behaviour", BAD, ids=lambda each: each.__name__)
@pytest.mark.parametrize("neighbour", NEIGHBOURS)
def test_a_message_comes_again_and_in_time(
    world: World, sync: ModuleType, neighbour: str, behaviour: Behaviour
) -> None:
    ada = world.cloud.sign_up("ada")
    world[neighbour].behave = behaviour
    # The user, and then the queue, which is told to deliver the message later.
    with over_within(_SHORT_SECONDS * 1.5):
        again = synced(sync, ada)

    assert again == ["ada"]
    assert linked_to(ada) is None


@pytest.mark.parametrize("neighbour", NEIGHBOURS)
def test_a_resolver_that_hangs_holds_up_no_batch(
    world: World, sync: ModuleType, neighbour: str, resolver: Callable[[int], None]
) -> None:
    ada = world.cloud.sign_up("ada")
    resolver(world[neighbour].port)
    with over_within(_SHORT_SECONDS * 1.5):
        again = synced(sync, ada)

    assert again == ["ada"]


@pytest.mark.parametrize("neighbour", NEIGHBOURS)
def test_a_second_answer_links_nobody_to_somebody_else(world: World, sync: ModuleType, neighbour: str) -> None:
    users = [world.cloud.sign_up(name) for name in ("ada", "bob", "cid")]
    account = {"id": "biz_Other", "owner": {"id": "user_mallory"}, "parent_account": {"id": "biz_Company"}}
    record = {"Item": {"status": {"S": "linked"}, "whop_user_id": {"S": "user_mallory"}, "version": {"S": "1"}}}
    world[neighbour].behave = answers_twice(json.dumps({**account, **record}).encode())

    assert synced(sync, *users) == []
    assert [linked_to(user) for user in users] == ["user_ada", "user_bob", "user_cid"]


# on_signup


def signed_up(function: ModuleType, capsys: pytest.CaptureFixture[str]) -> str:
    """What was told of a sign-up, whose event has come back in time."""
    capsys.readouterr()
    request = event("post_confirmation_sign_up")
    with over_within(_SIGN_UP_SECONDS):
        assert function.handler(request, Context()) == event("post_confirmation_sign_up")
    return capsys.readouterr().out


@pytest.mark.parametrize("behaviour", BAD, ids=lambda each: each.__name__)
def test_a_sign_up_gets_its_event_back_in_time(
    world: World, behaviour: Behaviour, capsys: pytest.CaptureFixture[str]
) -> None:
    function = load_function("on_signup")
    world.aws.behave = behaviour

    told = signed_up(function, capsys)
    assert '"SignUpsNotEnqueued"' in told
    assert "sign-up enqueued" not in told


def test_a_resolver_that_hangs_holds_up_no_sign_up(
    world: World, resolver: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    function = load_function("on_signup")
    resolver(world.aws.port)

    assert '"SignUpsNotEnqueued"' in signed_up(function, capsys)


def test_a_second_answer_changes_no_sign_up(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    function = load_function("on_signup")
    world.aws.behave = answers_twice(b'{"MessageId": "another"}')
    told = [signed_up(function, capsys) for _ in range(3)]

    assert all("sign-up enqueued" in each for each in told)
    assert len([decode(body) for body in world.cloud.messages(world.cloud.queue_url)]) == 3


# The environment

# Nobody listens there: whoever goes there has no success.
_ELSEWHERE = "http://127.0.0.1:9"
ENVIRONMENTS = [
    {"HTTP_PROXY": _ELSEWHERE, "http_proxy": _ELSEWHERE, "HTTPS_PROXY": _ELSEWHERE, "ALL_PROXY": _ELSEWHERE},
    {f"AWS_ENDPOINT_URL_{name}": _ELSEWHERE for name in ("DYNAMODB", "SQS", "SECRETS_MANAGER")},
    {"AWS_CONFIG_FILE": "config", "AWS_SHARED_CREDENTIALS_FILE": "config"},
    {"AWS_PROFILE": "another", "AWS_CONFIG_FILE": "config"},
    {"AWS_CA_BUNDLE": "nowhere.pem", "REQUESTS_CA_BUNDLE": "nowhere.pem", "SSL_CERT_FILE": "nowhere.pem"},
]


@pytest.fixture(params=ENVIRONMENTS, ids=lambda variables: next(iter(variables)))
def environment(world: World, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = f"endpoint_url = {_ELSEWHERE}\nregion = us-east-1\naws_access_key_id = x\naws_secret_access_key = x\n"
    (tmp_path / "config").write_text(f"[default]\n{profile}\n[profile another]\n{profile}")
    monkeypatch.chdir(tmp_path)
    for name, value in request.param.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("environment")
def test_nothing_else_in_the_environment_changes_a_function(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    sync, ada = load_function("sync_user"), world.cloud.sign_up("ada")

    assert synced(sync, ada) == []
    assert token_of(load_function("mint_token"), ada) == (200, "whop-token-of-user_ada")
    assert "sign-up enqueued" in signed_up(load_function("on_signup"), capsys)


@pytest.mark.parametrize("name", ["mint_token", "sync_user"])
def test_an_endpoint_elsewhere_stops_a_function(world: World, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://aws.example.test")
    with pytest.raises(SettingsError, match="AWS_ENDPOINT_URL is not a loopback address"):
        load_function(name)


def test_an_endpoint_elsewhere_fails_no_sign_up(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://aws.example.test")

    assert '"SignUpsNotEnqueued"' in signed_up(load_function("on_signup"), capsys)
