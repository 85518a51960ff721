"""The whole path, once, on both kinds of stack."""

from collections.abc import Callable

import httpx

from local.demo.chat_app import ChatApp, Tokens, User
from local.stack import Deployment, LocalStack
from local.whop_simulator.control import SimulatorControl
from tests.e2e.harness import OwnPool, record_with_status
from whop_chat.runtime.version import VERSION


def test_a_user_who_signs_up_is_enrolled_and_chats(
    cloud: LocalStack,
    stack: Deployment,
    whop: SimulatorControl,
    sign_up: Callable[..., User],
    sign_in: Callable[[User], Tokens],
    mint: Callable[..., httpx.Response],
) -> None:
    user = sign_up()
    record = record_with_status(cloud, stack, user, "linked")
    answer = mint(sign_in(user).access)
    assert answer.status_code == 200, answer.text
    said = cloud.http.post(
        f"{whop.api_url}/messages",
        headers={"Authorization": f"Bearer {answer.json()['token']}"},
        json={"channel_id": "chat_feed_smoke", "content": "hello"},
    )
    assert (said.status_code, said.json()["user"]["id"]) == (200, record["whop_user_id"])


def test_users_of_every_client_of_an_own_pool_chat(cloud: LocalStack, own_pool: OwnPool) -> None:
    for app, name in zip(own_pool.apps, ("ada", "grace"), strict=True):
        user = app.sign_up(username=name)
        record_with_status(cloud, own_pool.deployment, user, "linked")
        assert app.mint(app.sign_in(user, username=name).access).status_code == 200


def test_health_needs_no_token(app: ChatApp) -> None:
    assert app.health().json() == {"status": "ok", "version": VERSION}
