"""What a browser sees: CORS is the gateway's alone."""

import pytest

from local.demo.chat_app import Tokens
from local.stack import LocalStack
from local.whop_simulator.control import SimulatorControl
from tests.e2e.harness import ORIGINS, OwnPool, TeamApp, made_up_username

_EVIL = "https://evil.example.test"


def _preflight(cloud: LocalStack, own_pool: OwnPool, origin: str) -> dict[str, str]:
    answer = cloud.http.options(
        f"{own_pool.deployment.api_url}/chat/token",
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,traceparent,baggage,sentry-trace",
        },
    )
    return {name.lower(): value for name, value in answer.headers.items() if name.lower().startswith("access-control-")}


@pytest.mark.parametrize("origin", ORIGINS)
def test_a_named_origin_may_post_with_a_token_and_read_the_wait(
    cloud: LocalStack, own_pool: OwnPool, origin: str
) -> None:
    allowed = _preflight(cloud, own_pool, origin)
    assert allowed["access-control-allow-origin"] == origin
    assert "POST" in allowed["access-control-allow-methods"].split(",")
    asked = {"authorization", "content-type", "traceparent", "baggage", "sentry-trace"}
    assert asked <= set(allowed["access-control-allow-headers"].lower().split(","))


def test_another_origin_may_not(cloud: LocalStack, own_pool: OwnPool) -> None:
    assert _preflight(cloud, own_pool, _EVIL) == {}


def test_users_of_both_clients_chat_from_both_origins(own_pool: OwnPool) -> None:
    for app in own_pool.apps:
        username = made_up_username()
        token = app.sign_in(app.create_by_admin(username=username), username=username).access
        for origin in own_pool.origins:
            answer = app.mint(token, headers={"Origin": origin})
            assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, origin)
            exposed = answer.headers["access-control-expose-headers"].lower().split(",")
            assert {"retry-after", "www-authenticate", "date"} <= set(exposed)
            assert "date" in answer.headers
        assert "access-control-allow-origin" not in app.mint(token, headers={"Origin": _EVIL}).headers


def test_the_function_itself_sets_no_cors_header(app: TeamApp, member_tokens: Tokens, whop: SimulatorControl) -> None:
    token = member_tokens.access
    answers = {
        200: app.invoke("mint_token", token),
        401: app.invoke("mint_token"),
        400: app.invoke("mint_token", token, body="[]"),
        405: app.invoke("mint_token", token, routeKey="PUT /chat/token"),
    }
    assert {status: answer.status_code for status, answer in answers.items()} == {each: each for each in answers}
    for answer in (*answers.values(), app.invoke("health"), app.invoke("mint_token_narrowed", token)):
        assert [name for name in answer.headers if name.startswith("access-control-")] == []
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("event", ["mint_token_narrowed", "mint_token_base64"])
def test_a_body_counts_the_same_however_the_gateway_hands_it_on(
    app: TeamApp, member_tokens: Tokens, event: str
) -> None:
    assert app.invoke(event, member_tokens.access).json()["scopes"] == ["chat:message:create", "chat:read"]
