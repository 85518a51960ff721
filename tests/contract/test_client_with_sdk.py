"""Our client beside the official SDK: the same calls on the wire but for what is listed, and the same answers read."""

import contextlib
import inspect
import json
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from whop_sdk import Whop as Sdk
from whop_sdk.core.api_error import ApiError
from whop_sdk.core.parse_error import ParsingError
from whop_sdk.environment import WhopEnvironment

from local.whop_simulator import Fault, Readings, Simulator, as_httpx_transport
from local.whop_simulator.readings import choices
from local.whop_simulator.versions import SDK_PIN
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.whop import circuit, rate_limiter
from tests.template.translation import template
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.http import HttpClient
from whop_chat.whop.client import Account, UserToken, Whop
from whop_chat.whop.errors import WhopError

HOST = "https://whop.test"
COMPANY = "biz_Platform"
CHAT = ["chat:message:create", "chat:read"]
API_VERSION: str = template()["Parameters"]["WhopApiVersion"]["Default"]

# What the two may differ in, and why. A difference that is not here fails the test, and so does one that is gone.
type Differences = Mapping[str, str]

_TELEMETRY = "the SDK tells Whop what it runs on"
EVERYWHERE: Differences = {
    "header connection": "keep-alive is what HTTP/1.1 does unasked (RFC 9112, section 9.3)",
    "header user-agent": "we say who we are, the SDK says httpx",
    "header accept": "we ask for JSON, the SDK for anything",
    "header accept-encoding": "we cap what arrives, so nothing may unpack to more",
    "header x-fern-language": _TELEMETRY,
    "header x-fern-platform": _TELEMETRY,
    "header x-fern-runtime": _TELEMETRY,
    "header x-fern-sdk-name": _TELEMETRY,
    "header x-fern-sdk-version": _TELEMETRY,
}
_NOT_IN_THE_SDK = "documented at Whop (Enroll subaccounts), unknown to the SDK: only its extra parameters carry it"
MINT_TOKEN: Differences = {
    "body expires_at": "we send whole seconds, the SDK microseconds",
}
CREATE_ACCOUNT: Differences = {
    "body external_id": _NOT_IN_THE_SDK,
    "header idempotency-key": "ours belongs to one enrolment; the SDK has one for a whole client, or extra headers",
}
CREATE_FILE: Differences = {
    "header idempotency-key": "ours belongs to one file; the SDK has one for a whole client, or extra headers",
}
FIND_ACCOUNTS: Differences = {"query external_id": _NOT_IN_THE_SDK}


class _Key:
    def __init__(self, value: str) -> None:
        self._value = value

    def current(self, *, deadline: Deadline) -> str:
        return self._value

    def after_refusal(self, refused: str, *, deadline: Deadline) -> str | None:
        return None


def make_ours(transport: httpx.BaseTransport, key: str, **changes: Any) -> Whop:
    settings: dict[str, Any] = {"api_version": API_VERSION, "company_field": "account_id"} | changes
    return Whop(
        HttpClient(transport),
        _Key(key),
        base_url=HOST,
        company_id=COMPANY,
        circuit=circuit(),
        rate_limiter=rate_limiter(),
        telemetry=RecordingTelemetry(),
        sleep=lambda seconds: None,
        **settings,
    )


def make_sdk(transport: httpx.BaseTransport, key: str) -> Sdk:
    environment = WhopEnvironment(api=f"{HOST}/api/v1", vault=f"{HOST}/api/v1")
    return Sdk(environment=environment, token=key, httpx_client=httpx.Client(transport=transport), max_retries=0)


def deadline() -> Deadline:
    return Deadline(5)


def sent(make: Callable[[httpx.BaseTransport, str], Any], call: Callable[[Any], object]) -> httpx.Request:
    """The one request that ``call`` makes of a client; it is answered with a refusal."""
    requests: list[httpx.Request] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(400, json={"error": {"type": "invalid_request_error", "message": "no"}})

    with contextlib.suppress(ApiError, WhopError):
        call(make(httpx.MockTransport(refuse), "a-key"))
    (request,) = requests
    return request


def parts(request: httpx.Request) -> dict[str, object]:
    """A request taken apart, each part under its name; not its length, which follows from how the body is written."""
    body: dict[str, object] = json.loads(request.content or b"{}")
    return (
        {"method": request.method, "path": request.url.raw_path.partition(b"?")[0]}
        | {f"query {name}": request.url.params.get_list(name) for name in request.url.params}
        | {f"header {name}": request.headers.get_list(name) for name in request.headers if name != "content-length"}
        | {f"body {name}": value for name, value in body.items()}
    )


def differing(one: httpx.Request, other: httpx.Request) -> set[str]:
    here, there = parts(one), parts(other)
    absent = object()
    return {name for name in here | there if here.get(name, absent) != there.get(name, absent)}


def as_far_as_known(method: Callable[..., object], *ids: str, **arguments: object) -> object:
    """Call a method of the SDK with those of the arguments that it has, so that a new one is noticed."""
    known = inspect.signature(method).parameters
    return method(*ids, **{name: value for name, value in arguments.items() if name in known})


EXPIRY = datetime(2026, 11, 24, 10, 30, 0, 250_000, tzinfo=UTC)


def mint_by_sdk(sdk: Sdk) -> object:
    return as_far_as_known(
        sdk.access_tokens.create, account_id=COMPANY, user_id="user_1", scoped_actions=CHAT, expires_at=EXPIRY
    )


def mint_by_us(ours: Whop) -> object:
    return ours.mint_token("user_1", CHAT, EXPIRY, deadline=deadline())


def create_by_sdk(sdk: Sdk, options: object = None) -> object:
    return as_far_as_known(
        sdk.accounts.create,
        email="jane@people.test",
        title="Jané",
        external_id="pool:1",
        metadata={"external_id": "pool:1"},
        idempotency_key="a-claim",
        request_options=options,
    )


def create_by_us(ours: Whop) -> object:
    return ours.create_account(
        email="jane@people.test", title="Jané", external_id="pool:1", idempotency_key="a-claim", deadline=deadline()
    )


def find_by_sdk(sdk: Sdk, options: object = None) -> object:
    return as_far_as_known(sdk.accounts.list, external_id="pool:1/ü &", request_options=options)


def find_by_us(ours: Whop) -> object:
    return ours.find_accounts("pool:1/ü &", deadline=deadline())


def delete_by_sdk(sdk: Sdk) -> object:
    return as_far_as_known(sdk.accounts.delete, "biz_Child")


def delete_by_us(ours: Whop) -> object:
    ours.delete_account("biz_Child", deadline=deadline())
    return None


def name_by_sdk(sdk: Sdk) -> object:
    return as_far_as_known(sdk.users.update, "user_1", account_id=COMPANY, name="Jané")


def name_by_us(ours: Whop) -> object:
    ours.set_profile("user_1", name="Jané", deadline=deadline())
    return None


def show_by_sdk(sdk: Sdk) -> object:
    return as_far_as_known(sdk.users.update, "user_1", account_id=COMPANY, profile_picture={"id": "file_1"})


def show_by_us(ours: Whop) -> object:
    ours.set_picture("user_1", file_id="file_1", deadline=deadline())
    return None


def file_by_sdk(sdk: Sdk) -> object:
    return as_far_as_known(sdk.files.create, filename="avatar.png", visibility="public")


def file_by_us(ours: Whop) -> object:
    return ours.create_file("avatar.png", idempotency_key="a-file", deadline=deadline())


def look_by_sdk(sdk: Sdk) -> object:
    return as_far_as_known(sdk.files.retrieve, "file_1")


def look_by_us(ours: Whop) -> object:
    return ours.upload_status("file_1", deadline=deadline())


@pytest.mark.parametrize(
    ("by_sdk", "by_us", "listed"),
    [
        pytest.param(mint_by_sdk, mint_by_us, MINT_TOKEN, id="mint_token"),
        pytest.param(create_by_sdk, create_by_us, CREATE_ACCOUNT, id="create_account"),
        pytest.param(find_by_sdk, find_by_us, FIND_ACCOUNTS, id="find_accounts"),
        pytest.param(delete_by_sdk, delete_by_us, {}, id="delete_account"),
        pytest.param(name_by_sdk, name_by_us, {}, id="set_profile"),
        pytest.param(show_by_sdk, show_by_us, {}, id="set_picture"),
        pytest.param(file_by_sdk, file_by_us, CREATE_FILE, id="create_file"),
        pytest.param(look_by_sdk, look_by_us, {}, id="upload_status"),
    ],
)
def test_our_request_is_the_sdk_s_but_for_what_is_listed(
    by_sdk: Callable[[Sdk], object], by_us: Callable[[Whop], object], listed: Differences
) -> None:
    assert differing(sent(make_sdk, by_sdk), sent(make_ours, by_us)) == {*EVERYWHERE, *listed}


@pytest.mark.parametrize(
    ("by_sdk", "by_us", "extra"),
    [
        pytest.param(
            create_by_sdk,
            create_by_us,
            {
                "additional_body_parameters": {"external_id": "pool:1"},
                "additional_headers": {"Idempotency-Key": "a-claim"},
            },
            id="create_account",
        ),
        pytest.param(
            find_by_sdk,
            find_by_us,
            {"additional_query_parameters": {"external_id": "pool:1/ü &"}},
            id="find_accounts",
        ),
    ],
)
def test_what_the_sdk_does_not_know_it_sends_as_we_do_when_given_as_an_extra(
    by_sdk: Callable[[Sdk, object], object], by_us: Callable[[Whop], object], extra: object
) -> None:
    request = sent(make_sdk, lambda sdk: by_sdk(sdk, extra))
    assert differing(request, sent(make_ours, by_us)) == set(EVERYWHERE)


def test_the_expiry_is_the_same_second_as_the_sdk_s() -> None:
    theirs, ours = parts(sent(make_sdk, mint_by_sdk)), parts(sent(make_ours, mint_by_us))
    moment = datetime.fromisoformat(str(theirs["body expires_at"]))
    assert datetime.fromisoformat(str(ours["body expires_at"])) == moment.replace(microsecond=0)


def test_the_default_version_is_the_one_the_sdk_sends() -> None:
    assert parts(sent(make_sdk, mint_by_sdk))["header api-version-date"] == [API_VERSION]
    assert API_VERSION == SDK_PIN


class Tape(httpx.BaseTransport):
    """Passes requests to the simulator and keeps the last answer."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = as_httpx_transport(simulator)
        self._kept: tuple[int, list[tuple[str, str]], bytes] | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._simulator.handle_request(request)
        self._kept = (response.status_code, response.headers.multi_items(), response.read())
        return self.again(request)

    def again(self, request: httpx.Request) -> httpx.Response:
        """The last answer once more."""
        assert self._kept is not None
        status, headers, content = self._kept
        return httpx.Response(status, headers=headers, content=content, request=request)


class Pair:
    """The SDK asks the simulator, and our client is given the very same answer."""

    def __init__(self, simulator: Simulator) -> None:
        key = secrets.token_urlsafe(16)
        simulator.add_key(key, company_id=COMPANY)
        self._tape = Tape(simulator)
        self._sdk = make_sdk(self._tape, key)
        self._key = key

    def asks(self, by_sdk: Callable[[Sdk], object], by_us: Callable[[Whop], object]) -> tuple[object, object]:
        """What each reads: the result, or the status of the refusal."""
        theirs = _outcome(lambda: by_sdk(self._sdk))
        return theirs, _outcome(lambda: by_us(make_ours(httpx.MockTransport(self._tape.again), self._key)))

    def create(self, email: str, external_id: str) -> tuple[object, object]:
        options: Any = {"additional_body_parameters": {"external_id": external_id}}
        metadata = {"external_id": external_id}
        return self.asks(
            lambda sdk: _account(sdk.accounts.create(email=email, metadata=metadata, request_options=options)),
            lambda ours: ours.create_account(
                email=email, title="", external_id=external_id, idempotency_key="", deadline=deadline()
            ),
        )

    def find(self, external_id: str) -> tuple[object, object]:
        options: Any = {"additional_query_parameters": {"external_id": external_id}}

        def by_sdk(sdk: Sdk) -> object:
            rows = [_account(row) for row in sdk.accounts.list(request_options=options).items or []]
            return [row for row in rows if row.external_id == external_id]

        return self.asks(by_sdk, lambda ours: ours.find_accounts(external_id, deadline=deadline()))

    def mint(self, user_id: str, seconds: int) -> tuple[object, object]:
        expires_at = datetime.now(UTC) + timedelta(seconds=seconds)

        def by_sdk(sdk: Sdk) -> object:
            minted = sdk.access_tokens.create(
                account_id=COMPANY, user_id=user_id, scoped_actions=CHAT, expires_at=expires_at
            )
            return UserToken(minted.token, minted.expires_at)

        return self.asks(by_sdk, lambda ours: ours.mint_token(user_id, CHAT, expires_at, deadline=deadline()))

    def delete(self, account_id: str) -> tuple[object, object]:
        def by_sdk(sdk: Sdk) -> object:
            sdk.accounts.delete(account_id)
            return None

        return self.asks(by_sdk, lambda ours: ours.delete_account(account_id, deadline=deadline()))

    def rename(self, user_id: str) -> tuple[object, object]:
        def by_sdk(sdk: Sdk) -> object:
            sdk.users.update(user_id, account_id=COMPANY, name="Jane")
            return None

        def by_us(ours: Whop) -> None:
            ours.set_profile(user_id, name="Jane", deadline=deadline())

        return self.asks(by_sdk, by_us)


def _outcome(call: Callable[[], object]) -> object:
    try:
        return call()
    except (ApiError, ParsingError) as error:
        return error.status_code
    except WhopError as error:
        return error.status


def _account(account: Any) -> Account:
    """The SDK's account as ours; an external_id is beyond its model."""
    external_id = account.model_dump().get("external_id") or (account.metadata or {}).get("external_id")
    parent = account.parent_account
    return Account(account.id, account.owner.id, account.email, external_id, parent.id if parent else None)


@pytest.mark.parametrize(
    ("reading", "value"), [(name, value) for name, values in choices().items() for value in values]
)
def test_both_read_the_same_from_the_same_answers(reading: str, value: object) -> None:
    simulator = Simulator(readings=Readings().with_changes({reading: value}))
    pair = Pair(simulator)
    made = pair.create("Jane@people.test", "pool:1")
    account = made[1]
    assert isinstance(account, Account)
    conversation = [
        made,
        pair.create("Jane@people.test", "pool:1"),
        pair.create("other@people.test", "pool:1"),
        pair.create("jane@people.test", "pool:2"),
        pair.find("pool:1"),
        pair.find("pool:3"),
        pair.mint(account.user_id, seconds=600),
        pair.mint(account.user_id, seconds=4 * 3600),
        pair.mint(simulator.add_person("stranger@people.test"), seconds=600),
        pair.mint("user_Nobody", seconds=600),
        pair.rename(account.user_id),
        pair.rename("user_Nobody"),
    ]
    assert [theirs for theirs, _ in conversation] == [ours for _, ours in conversation]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 429, 500, 502, 503])
def test_both_see_the_status_of_a_refusal(status: int) -> None:
    simulator = Simulator()
    simulator.add_fault(Fault("access_tokens.create", "status", status=status))
    assert Pair(simulator).mint("user_1", seconds=600) == (status, status)


@pytest.mark.parametrize("body", ['{"token": ', "", "null", "[]", "{}", '{"token": "t"}', '{"expires_at": "soon"}'])
def test_neither_takes_a_success_that_cannot_be_read_for_a_token(body: str) -> None:
    simulator = Simulator()
    pair = Pair(simulator)
    account = pair.create("jane@people.test", "pool:1")[1]
    assert isinstance(account, Account)
    simulator.add_fault(Fault("access_tokens.create", "malformed", body=body))
    assert pair.mint(account.user_id, seconds=600) == (200, 200)


@pytest.mark.parametrize(
    ("reading", "version", "minting"),
    [
        ("by_version", API_VERSION, {"account_id"}),
        ("by_version", "2026-09-02-2", {"account_id"}),
        ("by_version", "2026-09-02-1", {"company_id"}),
        ("either", API_VERSION, {"account_id", "company_id"}),
        ("account_id", API_VERSION, {"account_id"}),
        ("company_id", API_VERSION, {"company_id"}),
    ],
)
def test_the_company_field_decides_whether_a_mint_is_understood(reading: str, version: str, minting: set[str]) -> None:
    simulator = Simulator(readings=Readings().with_changes({"access_token_field": reading}))
    key = secrets.token_urlsafe(16)
    simulator.add_key(key, company_id=COMPANY)

    def outcome(company_field: str) -> object:
        ours = make_ours(as_httpx_transport(simulator), key, company_field=company_field, api_version=version)
        account = ours.create_account(
            email="jane@people.test", title="Jane", external_id="pool:1", idempotency_key="", deadline=deadline()
        )
        soon = datetime.now(UTC) + timedelta(minutes=10)
        return _outcome(lambda: ours.mint_token(account.user_id, CHAT, soon, deadline=deadline()))

    outcomes = {name: outcome(name) for name in ("account_id", "company_id")}
    assert {name for name, each in outcomes.items() if isinstance(each, UserToken)} == minting
    assert {each for each in outcomes.values() if not isinstance(each, UserToken)} <= {400}


def test_both_delete_an_account_and_see_why_not() -> None:
    simulator = Simulator()
    pair = Pair(simulator)
    account = pair.create("jane@people.test", "pool:1")[1]
    assert isinstance(account, Account)
    simulator.block_deletion(account.id, "This account has a balance.")
    assert pair.delete(account.id) == (400, 400)
    simulator.block_deletion(account.id, None)
    assert pair.delete(account.id) == (None, None)
    assert pair.delete(account.id) == (404, 404)
