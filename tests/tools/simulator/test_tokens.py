"""/access_tokens, and the use of a token at /messages."""

import secrets
from typing import Any

import pytest

from local.whop_simulator import Simulator
from local.whop_simulator.state import DEFAULT_PERMISSIONS
from local.whop_simulator.wire import timestamp, unix_seconds
from tests.tools.simulator.api import CHAT, COMPANY, START, Api, Clock, message


@pytest.fixture
def user(whop: Api) -> str:
    return whop.enrol("jane@people.test", "pool:jane")


def granted(simulator: Simulator) -> Any:
    tokens: Any = simulator.dump()["tokens"]
    return tokens[-1]


def test_a_token_for_company_and_user_lives_an_hour(whop: Api, user: str) -> None:
    response = whop.mint(user)
    assert response.status == 200
    assert response.json().keys() == {"token", "expires_at"}
    assert response.json()["expires_at"] == timestamp(START + 3600)


def test_every_token_is_a_new_random_string(whop: Api, user: str) -> None:
    tokens = {str(whop.mint(user).json()["token"]) for _ in range(20)}
    assert len(tokens) == 20
    assert all(len(token) >= 64 and user not in token for token in tokens)


def test_a_user_id_alone_is_refused_in_whop_s_words(whop: Api, user: str) -> None:
    response = whop.mint(user, account_id=None)
    assert response.status == 400
    assert message(response) == "User access tokens are not yet supported with API key authentication"


def test_a_company_alone_gets_a_token_that_cannot_write(whop: Api) -> None:
    token = whop.mint(None)
    assert token.status == 200
    assert whop.say(str(token.json()["token"])).status == 403


def test_a_user_id_that_is_not_a_string_is_a_400(whop: Api) -> None:
    assert whop.mint(7).status == 400


def test_an_unknown_user_is_a_404(whop: Api) -> None:
    assert whop.mint("user_Nobody").status == 404


@pytest.mark.parametrize(("reading", "status"), [("not_found", 404), ("forbidden", 403), ("allowed", 200)])
def test_minting_for_a_stranger_follows_the_reading(whop: Api, simulator: Simulator, reading: str, status: int) -> None:
    stranger = simulator.add_person("stranger@people.test")
    simulator.change_readings({"mint_for_stranger": reading})
    assert whop.mint(stranger).status == status


def test_minting_for_a_user_whose_account_was_deleted_is_a_404(whop: Api) -> None:
    account: Any = whop.create("b@people.test").json()
    whop.call("DELETE", f"/accounts/{account['id']}")
    assert whop.mint(account["owner"]["id"]).status == 404


def test_the_company_is_our_own_or_a_child_of_it(whop: Api, simulator: Simulator, user: str) -> None:
    child = whop.create("jane@people.test", "pool:jane").json()["id"]
    simulator.add_company("biz_Foreign")
    assert whop.mint(user, account_id=child).status == 200
    assert whop.mint(user, account_id="biz_Foreign").status == 403
    assert whop.mint(user, account_id="biz_Nowhere").status == 404


@pytest.mark.parametrize("omitted", [None, []])
def test_omitted_scopes_inherit_everything_the_key_holds(
    whop: Api, simulator: Simulator, user: str, omitted: object
) -> None:
    whop.mint(user, scoped_actions=omitted)
    assert granted(simulator)["scopes"] == sorted(DEFAULT_PERMISSIONS)


def test_asked_scopes_are_granted_exactly(whop: Api, simulator: Simulator, user: str) -> None:
    whop.mint(user, scoped_actions=CHAT)
    assert granted(simulator)["scopes"] == sorted(CHAT)


def test_a_scope_the_key_does_not_hold_is_a_403_that_names_it(simulator: Simulator, whop: Api, user: str) -> None:
    response = whop.mint(user, scoped_actions=["chat:read", "payout:account:read"])
    assert response.status == 403
    assert "payout:account:read" in message(response)


@pytest.mark.parametrize("fields", [{"scoped_actions": "chat:read"}, {"scoped_actions": [1]}, {"expires_at": 7}])
def test_a_field_of_the_wrong_type_is_a_400(whop: Api, user: str, fields: Any) -> None:
    assert whop.mint(user, **fields).status == 400


@pytest.mark.parametrize("seconds", [1, 300, 3 * 3600])
def test_an_expiry_up_to_three_hours_is_granted(whop: Api, user: str, seconds: int) -> None:
    wanted = timestamp(START + seconds)
    assert whop.mint(user, expires_at=wanted).json()["expires_at"] == wanted


@pytest.mark.parametrize("text", [timestamp(START), timestamp(START - 60), timestamp(START + 3 * 3600 + 1), "soon"])
def test_an_expiry_past_too_far_or_unreadable_is_a_400(whop: Api, user: str, text: str) -> None:
    assert whop.mint(user, expires_at=text).status == 400


def test_an_expiry_too_far_is_clamped_in_the_other_reading(whop: Api, simulator: Simulator, user: str) -> None:
    simulator.change_readings({"long_expiry": "clamped"})
    expiry = str(whop.mint(user, expires_at=timestamp(START + 86400)).json()["expires_at"])
    assert unix_seconds(expiry) == START + 3 * 3600


OLD, NEW = "2026-09-02-1", "2026-09-02-2"


@pytest.mark.parametrize(
    ("reading", "version", "field", "status"),
    [
        ("by_version", OLD, "company_id", 200),
        ("by_version", OLD, "account_id", 400),
        ("by_version", NEW, "company_id", 400),
        ("by_version", NEW, "account_id", 200),
        ("either", OLD, "account_id", 200),
        ("either", NEW, "company_id", 200),
        ("account_id", OLD, "account_id", 200),
        ("account_id", NEW, "company_id", 400),
        ("company_id", NEW, "company_id", 200),
        ("company_id", OLD, "account_id", 400),
    ],
)
def test_the_company_field_follows_the_reading_and_the_version(
    whop: Api, simulator: Simulator, user: str, reading: str, version: str, field: str, status: int
) -> None:
    simulator.change_readings({"access_token_field": reading})
    body = {field: COMPANY, "user_id": user, "scoped_actions": CHAT}
    assert whop.call("POST", "/access_tokens", body, {"api-version-date": version}).status == status


def test_two_company_fields_that_differ_are_a_400(whop: Api, simulator: Simulator, user: str) -> None:
    simulator.change_readings({"access_token_field": "either"})
    assert whop.mint(user, company_id="biz_Other").status == 400


def test_a_message_is_written_by_the_token_s_user(whop: Api, user: str) -> None:
    token = str(whop.mint(user).json()["token"])
    said: Any = whop.say(token)
    assert said.status == 200
    assert (said.json()["user"]["id"], said.json()["content"]) == (user, "hello")
    read: Any = Api(whop.simulator, token).read().json()["data"]
    assert [item["id"] for item in read] == [said.json()["id"]]
    assert Api(whop.simulator, token).read("chat_feed_2").json()["data"] == []


def test_a_message_shows_the_name_the_user_has_in_the_company(whop: Api, user: str) -> None:
    whop.call("PATCH", f"/users/{user}?account_id={COMPANY}", {"name": "Jane in here"})
    said: Any = whop.say(str(whop.mint(user).json()["token"])).json()
    assert said["user"]["name"] == "Jane in here"


@pytest.mark.parametrize(
    ("channel", "scope", "status"),
    [
        ("chat_feed_1", "chat:message:create", 200),
        ("exp_1", "chat:message:create", 200),
        ("chat_feed_1", "chat:read", 403),
        ("chat_feed_1", "dms:message:manage", 403),
        ("feed_1", "dms:message:manage", 200),
        ("feed_1", "support_chat:message:create", 200),
        ("feed_1", "chat:message:create", 403),
        ("room_1", "chat:message:create", 404),
    ],
)
def test_writing_needs_the_scope_of_the_channel(whop: Api, user: str, channel: str, scope: str, status: int) -> None:
    token = str(whop.mint(user, scoped_actions=[scope]).json()["token"])
    assert whop.say(token, channel).status == status


def test_reading_needs_a_scope_of_its_own(whop: Api, user: str) -> None:
    token = str(whop.mint(user, scoped_actions=["chat:message:create"]).json()["token"])
    assert Api(whop.simulator, token).read().status == 403


def test_a_token_stops_at_its_expiry(whop: Api, user: str, clock: Clock) -> None:
    token = str(whop.mint(user).json()["token"])
    clock.seconds += 3599
    assert whop.say(token).status == 200
    clock.seconds += 1
    assert whop.say(token).status == 401


def test_an_api_key_and_a_forged_token_cannot_write(whop: Api) -> None:
    assert whop.say(whop.secret).status == 403
    assert whop.say(secrets.token_urlsafe(48)).status == 401


def test_a_minted_token_is_not_an_api_key(whop: Api, user: str) -> None:
    caller = Api(whop.simulator, str(whop.mint(user).json()["token"]))
    assert caller.mint(user).status == 403
    assert caller.call("GET", "/accounts").status == 403


def test_a_token_outlives_its_key_and_its_account(whop: Api, simulator: Simulator, user: str) -> None:
    token = str(whop.mint(user).json()["token"])
    account = whop.create("jane@people.test", "pool:jane").json()["id"]
    whop.call("DELETE", f"/accounts/{account}")
    assert whop.say(token).status == 200
    simulator.change_readings({"token_outlives_account": False})
    assert whop.say(token).status == 401
    simulator.change_readings({"token_outlives_account": True})
    simulator.revoke_key(whop.secret)
    assert whop.say(token).status == 200
    simulator.change_readings({"token_outlives_key": False})
    assert whop.say(token).status == 401
