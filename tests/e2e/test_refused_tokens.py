"""Tokens that are not an access token of a user of this pool and these clients, now."""

import base64
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from local.demo.chat_app import Tokens, User
from local.processes import wait_until
from local.stack import LocalStack
from local.whop_simulator.control import SimulatorControl
from tests.e2e.confidential import Confidential
from tests.e2e.harness import (
    OwnPool,
    SyncLane,
    TeamApp,
    assert_problem,
    assert_turned_away,
    machine_token,
    made_up_username,
)


@dataclass(frozen=True, slots=True)
class _Person:
    user: User
    username: str
    tokens: Tokens


@pytest.fixture(scope="module")
def pool_user(own_pool: OwnPool) -> _Person:
    """Somebody with an account in the own pool."""
    app, username = own_pool.apps[0], made_up_username()
    user = app.create_by_admin(username=username)
    return _Person(user, username, app.sign_in(user, username=username))


@pytest.fixture(scope="module")
def wrong(own_pool: OwnPool, pool_user: _Person, member_tokens: Tokens) -> Mapping[str, str]:
    """Tokens that the gateway turns away by itself."""
    brief = own_pool.brief.sign_in(pool_user.user, username=pool_user.username).access
    stranger = own_pool.stranger.sign_in(pool_user.user, username=pool_user.username).access
    access = pool_user.tokens.access
    expires_at = _claims(brief)["exp"]
    assert isinstance(expires_at, int)
    assert wait_until(lambda: time.time() > expires_at, 5)
    return {
        "of another pool": member_tokens.access,
        "expired": brief,
        "of another client": stranger,
        "tampered": _with_claims(access, sub="00000000-0000-4000-8000-000000000000"),
        "prolonged": _with_claims(brief, exp=expires_at + 3600),
        "unsigned": _unsigned(access),
        "cut": access[:-20],
        "signed by another": f"{access.rpartition('.')[0]}.{member_tokens.access.rpartition('.')[2]}",
        "no token at all": "a-word",
    }


_WRONG = [
    "of another pool",
    "expired",
    "of another client",
    "tampered",
    "prolonged",
    "unsigned",
    "cut",
    "signed by another",
    "no token at all",
]


@pytest.fixture(autouse=True)
def nothing_reaches_whop(
    whop: SimulatorControl, lane: SyncLane, own_lane: SyncLane, pool_user: _Person, member_tokens: Tokens
) -> Iterator[None]:
    """Not one of them costs a call."""
    lane.settle()
    own_lane.settle()
    before = whop.counts()
    yield
    assert whop.counts() == before


def _claims(token: str) -> dict[str, object]:
    payload = token.split(".")[1]
    claims: dict[str, object] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


def _encoded(value: Mapping[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _with_claims(token: str, **claims: object) -> str:
    header, _, signature = token.split(".")
    return f"{header}.{_encoded(_claims(token) | claims)}.{signature}"


def _unsigned(token: str) -> str:
    return f"{_encoded({'alg': 'none', 'typ': 'JWT'})}.{token.split('.')[1]}."


@pytest.mark.parametrize("kind", _WRONG)
def test_a_wrong_token_is_turned_away_by_the_gateway_and_again_by_the_function(
    own_pool: OwnPool, wrong: Mapping[str, str], kind: str
) -> None:
    app = own_pool.apps[0]
    assert_turned_away(app.mint(wrong[kind]))
    answer = app.invoke("mint_token", wrong[kind])
    assert_problem(answer, "invalid_token")
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'


def test_an_id_token_passes_the_gateway_and_not_the_function(own_pool: OwnPool, pool_user: _Person) -> None:
    app = own_pool.apps[0]
    assert_problem(app.mint(pool_user.tokens.id), "invalid_token")
    assert_problem(app.invoke("mint_token", pool_user.tokens.id), "invalid_token")


def test_a_machine_is_not_a_user(cloud: LocalStack, own_pool: OwnPool, confidential: Confidential) -> None:
    token, app = machine_token(cloud, own_pool, confidential), own_pool.apps[0]
    assert_problem(app.mint(token), "invalid_token")
    assert_problem(app.invoke("mint_token", token), "invalid_token")


def test_no_token_is_told_apart_from_a_wrong_one(own_pool: OwnPool) -> None:
    app = own_pool.apps[0]
    assert_turned_away(app.mint(None))
    answer = app.invoke("mint_token", headers={})
    assert_problem(answer, "missing_token")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_two_authorization_headers_are_one_too_many(own_pool: OwnPool, pool_user: _Person) -> None:
    token = pool_user.tokens.access
    answer = own_pool.apps[0].invoke("mint_token", headers={"authorization": f"Bearer {token},Bearer {token}"})
    assert_problem(answer, "invalid_token")


def test_the_claims_that_come_with_the_event_count_for_nothing(app: TeamApp) -> None:
    """The event carries an authorizer's claims, and a placeholder for the token."""
    assert_problem(app.invoke("mint_token"), "invalid_token")
