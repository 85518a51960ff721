"""rotate-data-key: nothing that must not be lost is lost, and the old key goes when nothing needs it."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes import moto_aws
from tests.fakes.moto_aws import AN_HOUR
from tests.tools.manage.deployment import OPERATOR, DeployedStack
from tests.tools.manage.sealed_world import CACHE_SECONDS, TO_REVOKE, run_later, sealed_world
from tests.unit.oauth.world import ADA, BEN, World
from whop_chat.oauth.authorization import OAuthClient
from whop_chat.oauth.links import LinkTokens
from whop_chat.runtime.sealed import KeyRing


@pytest.fixture
def world(run: DeployedStack) -> Iterator[World]:
    """The users of the stack's table."""
    with sealed_world(run) as world:
        yield world


def ring(world: World) -> KeyRing:
    return KeyRing.from_secret(
        moto_aws.client("secretsmanager").get_secret_value(SecretId=world.secret)["SecretString"]
    )


def outcome(run: DeployedStack) -> tuple[int, str]:
    done = run("--json", "rotate-data-key")
    assert done.out, done.err
    return done.status, done.json["outcome"]


def is_all_there(world: World, user: Any = ADA) -> bool:
    """Whether an instance that has just started opens the link and what is to be revoked."""
    world.instance()
    to_revoke = world.revocations._list.tokens(BEN, deadline=AN_HOUR)
    return world.whop_user_of(world.token(user).token) is not None and to_revoke == [TO_REVOKE]


def test_two_runs_replace_the_key_and_lose_nothing(
    run: DeployedStack, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    former = ring(world)

    assert outcome(run) == (0, "added")
    both = ring(world)
    assert both.current not in former.keys
    assert both.keys.items() > former.keys.items()
    assert is_all_there(world)

    run_later(monkeypatch, CACHE_SECONDS + 10)
    assert outcome(run) == (0, "dropped")
    assert ring(world).keys == {both.current: both.keys[both.current]}
    assert is_all_there(world)
    assert [outcome for _, _, outcome in run.acts()] == ["added a key", "sealed 2 again, dropped the old key"]
    assert {(operator, action) for operator, action, _ in run.acts()} == {(OPERATOR, "rotate-data-key")}


def test_while_a_function_may_have_the_former_ring_nothing_is_done(run: DeployedStack, world: World) -> None:
    outcome(run)
    both = ring(world)

    done = run("--json", "rotate-data-key")

    assert (done.status, done.json["outcome"]) == (1, "too_early")
    assert ring(world) == both
    assert len(run.acts()) == 1


@pytest.fixture
def second(run: DeployedStack, world: World, monkeypatch: pytest.MonkeyPatch) -> DeployedStack:
    """The stack when the second run is due."""
    outcome(run)
    run_later(monkeypatch, CACHE_SECONDS + 10)
    return run


@pytest.mark.parametrize("kind", ["STATE", "TOKEN"])
def test_what_expires_is_waited_for(
    second: DeployedStack, world: World, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    both = ring(world)
    (old,) = both.keys.keys() - {both.current}
    ends = int(time.time()) + 3600
    sealed = {"request": {"M": {"key_id": {"S": old}}}} if kind == "STATE" else {"key_id": {"S": old}}
    item: Any = {"pk": {"S": f"{kind}#x"}, "ttl": {"N": str(ends)}, **sealed}
    second.table.put_item(TableName="users", Item=item)

    done = second("--json", "rotate-data-key")

    assert (done.status, done.json["outcome"], done.json["needed_by"]) == (1, "still_needed", {kind: 1})
    assert ring(world) == both
    assert is_all_there(world)

    run_later(monkeypatch, 3601)
    assert outcome(second) == (0, "dropped")


def test_a_link_that_is_being_refreshed_is_left_to_its_refresh(second: DeployedStack, world: World) -> None:
    world.change_link(lease_until=int(time.time()) + 10)
    leased = world.own_link()

    assert outcome(second) == (1, "still_needed")
    assert world.own_link() == leased

    world.change_link(lease_until=0)
    assert outcome(second) == (0, "dropped")
    assert is_all_there(world)


def test_an_interrupted_run_is_continued(second: DeployedStack, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("whop_chat.oauth.revocations.RevocationList.reseal", interrupted)
        assert second("rotate-data-key").status == 130
    assert len(ring(world).keys) == 2
    assert is_all_there(world)

    assert outcome(second) == (0, "dropped")
    assert is_all_there(world)


def test_a_link_of_another_client_keeps_its_tokens(second: DeployedStack, world: World) -> None:
    """The OAuthClientId may be set back."""
    other = OAuthClient("app_Other", "https://api.team.test/oauth/whop/callback")
    former = json.dumps(["access", "refresh"])
    link = world.own_link()
    world.instance(oauth_client=other)
    sealed = world.links.seal(ADA, link.whop_user_id, LinkTokens("access", "refresh"), deadline=AN_HOUR)
    world.change_link(client_id=other.client_id, sealed=sealed)

    assert outcome(second) == (0, "dropped")

    world.instance(oauth_client=other)
    tokens = world.links.open(ADA, world.own_link(), deadline=AN_HOUR)
    assert json.dumps([tokens.access, tokens.refresh]) == former


def test_a_link_that_no_key_opens_keeps_no_key(second: DeployedStack, world: World) -> None:
    world.change_link(whop_user_id="user_Moved")

    done = second("--json", "rotate-data-key")

    assert (done.json["outcome"], done.json["resealed"], done.json["unreadable"]) == ("dropped", 1, 1)


def test_a_secret_that_is_no_ring_is_refused(run: DeployedStack, world: World) -> None:
    moto_aws.client("secretsmanager").put_secret_value(SecretId=world.secret, SecretString="short")

    done = run("rotate-data-key")

    assert (done.status, "cannot be used" in done.err, "short" in done.err) == (1, True, False)
