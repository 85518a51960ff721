"""What a token is good for, and what a request for one may say."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from local.demo.chat_app import Tokens, User
from local.stack import Deployment, LocalStack
from local.whop_simulator import DEFAULT_COMPANY
from local.whop_simulator.control import SimulatorControl
from tests.e2e.harness import OwnPool, TeamApp, accounts_of, assert_problem, made_up_username, say
from whop_chat.runtime.version import VERSION

_CHANNELS = ["chat:message:create", "chat:read"]
_DMS = ["dms:channel:manage", "dms:message:manage", "dms:read"]
_SUPPORT = ["support_chat:message:create", "support_chat:read"]
_CHANNEL, _DM = "chat_feed_tokens", "feed_tokens"


def _times(answer: httpx.Response) -> tuple[datetime, datetime]:
    body = answer.json()
    return datetime.fromisoformat(body["expires_at"]), datetime.fromisoformat(body["refresh_after"])


def _newest_token(whop: SimulatorControl, user_id: str) -> dict[str, Any]:
    return [token for token in whop.state()["tokens"] if token["user_id"] == user_id][-1]


def test_a_token_speaks_for_its_user_in_the_company_with_the_scopes_and_the_life_that_the_answer_names(
    cloud: LocalStack, stack: Deployment, app: TeamApp, whop: SimulatorControl, member: User, member_tokens: Tokens
) -> None:
    answer = app.mint(member_tokens.access)
    user_id = cloud.user_record(stack, member.sub)["whop_user_id"]
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert answer.json().keys() == {"token", "expires_at", "refresh_after", "scopes"}
    granted, (expires_at, refresh_after) = _newest_token(whop, user_id), _times(answer)
    assert (granted["account_id"], granted["scopes"]) == (DEFAULT_COMPANY, answer.json()["scopes"])
    assert granted["scopes"] == sorted(_CHANNELS + _DMS + _SUPPORT)
    assert granted["expires_at"] == expires_at.timestamp()
    life = expires_at - datetime.fromtimestamp(granted["minted_at"], expires_at.tzinfo)
    assert timedelta(minutes=59) < life <= timedelta(minutes=60)
    assert timedelta(minutes=11) < expires_at - refresh_after < timedelta(minutes=13)


def test_each_user_speaks_as_oneself_and_nobody_else(
    cloud: LocalStack, stack: Deployment, app: TeamApp, member_tokens: Tokens
) -> None:
    other = app.sign_up()
    tokens = [app.mint(each.access).json()["token"] for each in (member_tokens, app.sign_in(other))]
    first, second = (say(cloud, token, _CHANNEL).json()["user"]["id"] for token in tokens)
    assert second == cloud.user_record(stack, other.sub)["whop_user_id"] != first


@pytest.mark.parametrize(
    ("features", "scopes", "open_to", "closed_to"),
    [(["channels"], _CHANNELS, _CHANNEL, _DM), (["dms"], _DMS, _DM, _CHANNEL)],
    ids=["channels", "dms"],
)
def test_a_narrowed_token_cannot_do_the_rest(
    cloud: LocalStack,
    app: TeamApp,
    member_tokens: Tokens,
    features: list[str],
    scopes: list[str],
    open_to: str,
    closed_to: str,
) -> None:
    answer = app.mint(member_tokens.access, {"features": features}).json()
    assert answer["scopes"] == scopes
    assert say(cloud, answer["token"], open_to).status_code == 200
    assert say(cloud, answer["token"], closed_to).status_code == 403


def test_a_token_opens_nothing_but_the_chat(cloud: LocalStack, app: TeamApp, member_tokens: Tokens) -> None:
    authorization = {"Authorization": f"Bearer {app.mint(member_tokens.access).json()['token']}"}
    url = cloud.whop.api_url
    assert cloud.http.get(f"{url}/accounts", headers=authorization).status_code in (401, 403)
    assert cloud.http.post(f"{url}/access_tokens", headers=authorization, json={}).status_code in (401, 403)


@pytest.mark.parametrize("body", [None, {}, {"features": ["support", "channels", "dms"]}], ids=["none", "{}", "all"])
def test_a_request_that_narrows_nothing_gets_every_feature(app: TeamApp, member_tokens: Tokens, body: object) -> None:
    answer = app.mint(member_tokens.access, body)
    assert answer.json()["scopes"] == sorted(_CHANNELS + _DMS + _SUPPORT)


def test_a_feature_that_the_deployment_does_not_grant_is_not_granted(own_pool: OwnPool) -> None:
    app, username = own_pool.apps[0], made_up_username()
    token = app.sign_in(app.create_by_admin(username=username), username=username).access
    assert_problem(app.mint(token, {"features": ["support"]}), "feature_not_allowed")
    assert app.mint(token).json()["scopes"] == sorted(_CHANNELS + _DMS)


def test_a_group_can_narrow_or_deny(cloud: LocalStack, own_pool: OwnPool, whop: SimulatorControl) -> None:
    app, username = own_pool.apps[0], made_up_username()
    user = app.create_by_admin(username=username)
    cloud.cognito.admin_add_user_to_group(UserPoolId=own_pool.pool_id, Username=username, GroupName="banned")
    assert_problem(app.mint(app.sign_in(user, username=username).access), "group_denied")
    assert accounts_of(whop, user) == []

    cloud.cognito.admin_remove_user_from_group(UserPoolId=own_pool.pool_id, Username=username, GroupName="banned")
    cloud.cognito.admin_add_user_to_group(UserPoolId=own_pool.pool_id, Username=username, GroupName="guests")
    token = app.sign_in(user, username=username).access
    assert app.mint(token).json()["scopes"] == _CHANNELS
    assert_problem(app.mint(token, {"features": ["dms"]}), "feature_not_allowed")


@pytest.mark.parametrize(
    "body",
    [
        [],
        "channels",
        {"features": []},
        {"features": "channels"},
        {"features": ["channels", "everything"]},
        {"features": ["channels"], "user_id": "user_another"},
        {"scopes": ["chat:read"]},
    ],
    ids=str,
)
def test_any_other_body_is_refused_before_whop_is_asked(
    app: TeamApp, whop: SimulatorControl, member_tokens: Tokens, body: object
) -> None:
    calls = len(whop.calls("access_tokens.create"))
    assert_problem(app.mint(member_tokens.access, body), "invalid_request")
    assert len(whop.calls("access_tokens.create")) == calls


def test_a_body_that_is_not_json_is_refused(cloud: LocalStack, app: TeamApp, member_tokens: Tokens) -> None:
    headers = {"Authorization": f"Bearer {member_tokens.access}", "Content-Type": "application/json"}
    url = f"{app.deployment.api_url}/chat/token"
    assert_problem(cloud.http.post(url, headers=headers, content="features=channels"), "invalid_request")


def test_a_body_that_says_it_is_something_else_is_refused(app: TeamApp, member_tokens: Tokens) -> None:
    answer = app.mint(member_tokens.access, {"features": ["channels"]}, headers={"Content-Type": "text/plain"})
    assert_problem(answer, "unsupported_media_type")


def test_a_body_over_four_kibibytes_is_too_large(app: TeamApp, member_tokens: Tokens) -> None:
    padded = {"features": ["channels"] * 500}
    assert_problem(app.mint(member_tokens.access, padded), "request_too_large")


def test_to_get_is_not_to_mint(cloud: LocalStack, app: TeamApp, whop: SimulatorControl, member_tokens: Tokens) -> None:
    calls = len(whop.calls("access_tokens.create"))
    headers = {"Authorization": f"Bearer {member_tokens.access}"}
    answer = cloud.http.get(f"{app.deployment.api_url}/chat/token", headers=headers)
    assert (answer.status_code, "code" in answer.json()) == (404, False)
    direct = app.invoke("mint_token", member_tokens.access, routeKey="GET /chat/token")
    assert_problem(direct, "method_not_allowed")
    assert direct.headers["allow"] == "POST"
    assert_problem(app.invoke("mint_token", member_tokens.access, routeKey="POST /chat"), "not_found")
    assert len(whop.calls("access_tokens.create")) == calls


def test_health_is_told_without_a_token_and_is_not_kept(app: TeamApp) -> None:
    answer = app.health()
    assert (answer.status_code, answer.json(), answer.headers["cache-control"]) == (
        200,
        {"status": "ok", "version": VERSION},
        "no-store",
    )
