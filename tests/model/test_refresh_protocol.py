"""The real code of refresh and unlink, killed before and after each of its writes and calls, by the model's rules."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from moto import mock_aws

from tests.fakes.moto_aws import AN_HOUR, table
from tests.unit.oauth.world import ADA, TABLE, World
from whop_chat.cognito.user import UserRef
from whop_chat.oauth.errors import LinkExpired, LinkRequired, StaleLink
from whop_chat.oauth.links import OwnLinks
from whop_chat.oauth.revocations import RevocationList
from whop_chat.oauth.server import OAuthServer
from whop_chat.oauth.token import REFRESH_SECONDS
from whop_chat.users.lease import LEASE_SECONDS
from whop_chat.users.repository import DynamoDBUserRepository

_SEAMS: tuple[tuple[type, str], ...] = (
    (OwnLinks, "put"),
    (RevocationList, "_write"),
    (DynamoDBUserRepository, "put_own"),
    (OAuthServer, "_post"),
)


class Killed(BaseException):
    """The function is gone. No handler of errors sees this."""


class Killer:
    """Kills the code at the ``place``-th of its writes and calls, before it or after it. ``died_at`` says where."""

    def __init__(self, place: int, *, after: bool) -> None:
        self._place = place
        self._after = after
        self._passed: list[str] = []
        self.died_at: tuple[str, ...] = ()

    def around(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        """``real``, at which the code can die."""

        def seam(*arguments: Any, **options: Any) -> Any:
            self._passed.append(name)
            dies = len(self._passed) == self._place
            result = real(*arguments, **options) if self._after or not dies else None
            if dies:
                self.died_at = tuple(self._passed)
                raise Killed
            return result

        return seam


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with mock_aws(), table(TABLE):
        yield World()


def kill(place: int, act: Callable[[], object], *, after: bool) -> tuple[str, ...]:
    """Do ``act`` and kill it. Returns the writes and calls up to there; none if it ended before."""
    killer = Killer(place, after=after)
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in _SEAMS:
            patch.setattr(owner, name, killer.around(name, getattr(owner, name)))
        with contextlib.suppress(Killed, StaleLink, LinkExpired, LinkRequired):
            act()
    return killer.died_at


def linked_users(world: World, kind: str) -> Iterator[tuple[int, UserRef]]:
    """The places to die at, each with a new user whose token has to be refreshed."""
    for place in range(1, 40):
        user = dataclasses.replace(ADA, sub=f"{kind}-{place}", username=f"{kind}-{place}")
        world.link(user, f"{kind}-{place}@mail.test")
        world.clock.advance(3600 - REFRESH_SECONDS + 1)
        yield place, user


def unlink_at_last(world: World, user: UserRef) -> None:
    """The user unlinks once more, and a sync revokes what is listed."""
    world.unlinking.unlink(user, deadline=AN_HOUR)
    world.unlinking.revoke_all(user, deadline=AN_HOUR)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_killed_refresh_loses_a_link_only_between_whops_answer_and_the_write(world: World, after: bool) -> None:
    lost = []
    for place, user in linked_users(world, f"refresh-{after}"):
        died_at = kill(place, partial(world.token, user), after=after)
        world.clock.advance(LEASE_SECONDS + 1)
        try:
            world.token(user)
        except LinkExpired:
            lost.append(died_at)
        assert world.links.get(user, deadline=AN_HOUR) is not None
        unlink_at_last(world, user)
        assert world.grants() == 0
        if not died_at:
            break
    assert lost == [("put", "_post") if after else ("put", "_post", "put")]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_killed_unlink_is_finished_by_the_next(world: World, after: bool) -> None:
    for place, user in linked_users(world, f"unlink-{after}"):
        died_at = kill(place, partial(world.unlinking.unlink, user, deadline=AN_HOUR), after=after)
        unlink_at_last(world, user)
        assert (world.grants(), world.links.get(user, deadline=AN_HOUR)) == (0, None)
        if not died_at:
            break
    assert place > 3


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_whoever_is_killed_when_both_meet_no_token_stays_alive(world: World, after: bool) -> None:
    real = OAuthServer.refresh
    for place, user in linked_users(world, f"both-{after}"):

        def refresh(server: OAuthServer, *arguments: Any, user: UserRef = user, **options: Any) -> Any:
            granted = real(server, *arguments, **options)
            world.unlinking.unlink(user, deadline=AN_HOUR)
            return granted

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(OAuthServer, "refresh", refresh)
            died_at = kill(place, partial(world.token, user), after=after)
        unlink_at_last(world, user)
        assert (world.grants(), world.links.get(user, deadline=AN_HOUR)) == (0, None)
        if not died_at:
            break
    assert place > 6
