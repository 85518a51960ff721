"""The official SDK makes the calls we make, and accepts what the simulator answers as Whop's."""

import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from whop_sdk import Whop
from whop_sdk.environment import WhopEnvironment
from whop_sdk.errors import (
    BadRequestError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    TooManyRequestsError,
    UnauthorizedError,
)
from whop_sdk.types import AccessToken, Account, File, User

from local.whop_simulator import Fault, Simulator
from local.whop_simulator.asgi import served
from local.whop_simulator.versions import SDK_PIN

COMPANY = "biz_Platform"
CHAT = ["chat:read", "chat:message:create"]


@pytest.fixture
def simulator() -> Simulator:
    return Simulator()


@pytest.fixture
def base_url(simulator: Simulator) -> Iterator[str]:
    with served(simulator) as url:
        yield url


@pytest.fixture
def sdk(base_url: str) -> Iterator[Callable[[str], Whop]]:
    """Makes SDK clients for a bearer; the SDK has no way to close its connections, so they are ours."""
    environment = WhopEnvironment(api=f"{base_url}/api/v1", vault=f"{base_url}/api/v1")
    with httpx.Client(timeout=5, trust_env=False) as connections:
        yield lambda token: Whop(environment=environment, token=token, httpx_client=connections, max_retries=0)


@pytest.fixture
def whop(sdk: Callable[[str], Whop], simulator: Simulator) -> Whop:
    secret = secrets.token_urlsafe(16)
    simulator.add_key(secret, company_id=COMPANY)
    return sdk(secret)


def create(whop: Whop, email: str, external_id: str, key: str | None = None) -> Account:
    options: Any = {"additional_body_parameters": {"external_id": external_id}}
    if key is not None:
        options["additional_headers"] = {"Idempotency-Key": key}
    account: Account = whop.accounts.create(
        email=email, title="Jane", metadata={"external_id": external_id}, request_options=options
    )
    return account


def test_the_sdk_creates_a_child_account_with_an_owner(whop: Whop) -> None:
    account = create(whop, "jane@people.test", "pool:1")
    assert isinstance(account, Account)
    assert account.owner.id.startswith("user_")
    assert account.parent_account is not None
    assert account.parent_account.id == COMPANY
    assert account.email == "jane@people.test"
    assert account.metadata == {"external_id": "pool:1"}
    assert account.model_dump()["external_id"] == "pool:1"


def test_the_sdk_gets_the_existing_account_for_the_same_pair_and_a_conflict_for_another_email(whop: Whop) -> None:
    account = create(whop, "jane@people.test", "pool:1")
    assert create(whop, "jane@people.test", "pool:1").id == account.id
    with pytest.raises(ConflictError):
        create(whop, "other@people.test", "pool:1")


def test_the_sdk_gets_the_same_bytes_for_the_same_idempotency_key(whop: Whop) -> None:
    first = create(whop, "jane@people.test", "pool:1", key="one")
    assert create(whop, "jane@people.test", "pool:1", key="one") == first
    with pytest.raises(BadRequestError) as caught:
        create(whop, "jane@people.test", "pool:2", key="one")
    assert caught.value.body["error"]["code"] == "idempotency_key_mismatch"


def test_the_sdk_finds_an_account_by_its_external_id(whop: Whop) -> None:
    accounts = [create(whop, f"{n}@people.test", f"pool:{n}") for n in range(12)]
    exact = whop.accounts.list(request_options={"additional_query_parameters": {"external_id": "pool:3"}})
    assert [account.id for account in exact] == [accounts[3].id]
    prefix = whop.accounts.list(request_options={"additional_query_parameters": {"external_id": "pool:%"}})
    assert {account.id for account in prefix} == {account.id for account in accounts}


def test_the_sdk_pages_through_every_account(whop: Whop) -> None:
    made = {create(whop, f"{n}@people.test", f"pool:{n}").id for n in range(7)}
    seen = [account.id for account in whop.accounts.list(first=3)]
    assert sorted(seen) == sorted({*made, COMPANY})


def test_the_sdk_updates_retrieves_and_deletes_an_account(whop: Whop) -> None:
    account = create(whop, "jane@people.test", "pool:1")
    updated = whop.accounts.update(
        account.id,
        title="Jane D.",
        metadata={"tier": "gold"},
        request_options={"additional_body_parameters": {"external_id": None}},
    )
    assert (updated.title, updated.metadata, updated.model_dump()["external_id"]) == ("Jane D.", {"tier": "gold"}, None)
    assert whop.accounts.retrieve(account.id).status == "active"
    assert whop.accounts.delete(account.id).deleted
    with pytest.raises(NotFoundError):
        whop.accounts.retrieve(account.id)


def test_the_sdk_overrides_a_profile_for_one_account_and_reads_it_back(whop: Whop) -> None:
    user_id = create(whop, "jane@people.test", "pool:1").owner.id
    changed = whop.users.update(user_id, account_id=COMPANY, name="Jane Here")
    assert isinstance(changed, User)
    assert changed.name == whop.users.retrieve(user_id, account_id=COMPANY).name == "Jane Here"
    assert whop.users.retrieve(user_id).name == "Jane"


def test_the_sdk_mints_a_token_for_company_and_user(whop: Whop) -> None:
    user_id = create(whop, "jane@people.test", "pool:1").owner.id
    wanted = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=30)
    minted = whop.access_tokens.create(account_id=COMPANY, user_id=user_id, scoped_actions=CHAT, expires_at=wanted)
    assert isinstance(minted, AccessToken)
    assert minted.expires_at == wanted
    assert minted.token


def test_the_sdk_speaks_and_reads_with_a_minted_token(whop: Whop, sdk: Callable[[str], Whop]) -> None:
    user_id = create(whop, "jane@people.test", "pool:1").owner.id
    token = whop.access_tokens.create(account_id=COMPANY, user_id=user_id, scoped_actions=CHAT).token
    user = sdk(token)
    said = user.messages.create(channel_id="chat_feed_1", content="hello")
    assert said.user.id == user_id
    assert [item.id for item in user.messages.list(channel_id="chat_feed_1")] == [said.id]
    with pytest.raises(ForbiddenError):
        user.messages.create(channel_id="feed_1", content="hello")


def test_the_sdk_tells_the_refusals_of_a_mint_apart(
    whop: Whop, sdk: Callable[[str], Whop], simulator: Simulator
) -> None:
    user_id = create(whop, "jane@people.test", "pool:1").owner.id
    with pytest.raises(BadRequestError):
        whop.access_tokens.create(user_id=user_id)
    with pytest.raises(ForbiddenError):
        whop.access_tokens.create(account_id=COMPANY, user_id=user_id, scoped_actions=["payout:account:read"])
    with pytest.raises(NotFoundError):
        whop.access_tokens.create(account_id=COMPANY, user_id="user_Nobody", scoped_actions=CHAT)
    with pytest.raises(UnauthorizedError):
        sdk("wrong").access_tokens.create(account_id=COMPANY, user_id=user_id, scoped_actions=CHAT)
    simulator.add_fault(Fault("access_tokens.create", "status", status=429, wait=12))
    with pytest.raises(TooManyRequestsError) as caught:
        whop.access_tokens.create(account_id=COMPANY, user_id=user_id, scoped_actions=CHAT)
    assert caught.value.body["error"]["message"] == "Try again in 12 seconds."


def test_the_version_the_sdk_sends_is_one_the_simulator_knows(whop: Whop, simulator: Simulator) -> None:
    create(whop, "jane@people.test", "pool:1")
    assert simulator.calls()[-1].api_version == SDK_PIN


def test_the_sdk_lists_what_a_key_may_do(whop: Whop) -> None:
    def granted(resource_id: str) -> dict[str, bool]:
        listed = whop.permissions.list(resource_id=resource_id, actions="chat:read,payout:account:read")
        return {each.action: each.granted for each in listed.data}

    assert granted(COMPANY) == {"chat:read": True, "payout:account:read": False}
    assert granted("biz_Other") == {"chat:read": False, "payout:account:read": False}


def test_the_sdk_creates_a_file_that_becomes_a_picture(whop: Whop) -> None:
    account = create(whop, "jane@people.test", "pool:1")
    file = whop.files.create(filename="a.png", visibility="public")
    assert isinstance(file, File)
    assert (file.object, file.upload_status, file.visibility) == ("file", "pending", "public")
    httpx.put(str(file.upload_url), content=b"png", headers=file.upload_headers, trust_env=False).raise_for_status()
    seen = [whop.files.retrieve(file.id).upload_status for _ in range(2)]
    user = whop.users.update(account.owner.id, account_id=COMPANY, profile_picture={"id": file.id})
    assert seen == ["processing", "ready"]
    assert user.profile_picture is not None
    assert file.id in str(user.profile_picture.url)


def test_an_app_of_the_sdk_is_created_found_and_changed(
    whop: Whop, simulator: Simulator, sdk: Callable[[str], Whop]
) -> None:
    key = secrets.token_urlsafe(16)
    simulator.add_key(key, company_id=COMPANY, owner_level=True)
    developer = sdk(key)
    made = developer.apps.create(name="chat", account_id=COMPANY, redirect_uris=["https://one.test/callback"])
    assert (made.redirect_uris, made.oauth_client_type, made.account.id) == (
        ["https://one.test/callback"],
        "public",
        COMPANY,
    )
    assert [app.id for app in developer.apps.list(account_id=COMPANY, query="chat", first=50)] == [made.id]
    changed = developer.apps.update(made.id, redirect_uris=["https://two.test/callback"])
    assert developer.apps.retrieve(made.id) == changed
    assert changed.redirect_uris == ["https://two.test/callback"]
    with pytest.raises(ForbiddenError):
        whop.apps.create(name="chat")
