"""The token of a linked user: refreshed once, by one, and lost by nothing but Whop's own word."""

import concurrent.futures
import json
import threading
from collections.abc import Callable

import httpx
import pytest

from local.whop_simulator import Fault, as_httpx_transport
from tests.fakes.moto_aws import AN_HOUR, client
from tests.unit.oauth.world import ADA, BEN, CLIENT, SCOPES, TABLE, World
from whop_chat.oauth.authorization import OAuthClient
from whop_chat.oauth.errors import LinkExpired, LinkRequired, RefreshInProgress, ScopesNotAllowed
from whop_chat.oauth.token import MARGIN_SECONDS, REFRESH_SECONDS
from whop_chat.runtime.aws import AwsError
from whop_chat.users.lease import LEASE_SECONDS
from whop_chat.whop.errors import WhopRateLimited, WhopUnauthorized, WhopUnavailable

HOUR = 3600


class Interrupting(httpx.BaseTransport):
    """The simulator, where ``meanwhile`` happens after Whop has answered a refresh and before we hear of it."""

    def __init__(self, world: World, meanwhile: Callable[[], None]) -> None:
        self._inner = as_httpx_transport(world.simulator)
        self._meanwhile = meanwhile
        self._done = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._inner.handle_request(request)
        if request.url.path == "/oauth/token" and b"refresh_token" in request.read() and not self._done:
            self._done = True
            self._meanwhile()
        return response


def test_a_token_is_answered_again_until_five_minutes_are_left(world: World) -> None:
    world.link()
    calls, first = world.refreshes(), world.token()
    assert first.expires_at.timestamp() == world.clock.now + HOUR
    assert (first.expires_at - first.refresh_after).total_seconds() < REFRESH_SECONDS
    world.clock.advance(HOUR - REFRESH_SECONDS)
    assert world.token().token == first.token
    assert world.refreshes() == calls
    world.clock.now = first.refresh_after.timestamp()
    assert world.token().token != first.token
    assert world.refreshes() == calls + 1


def test_a_user_without_a_link_has_to_link(world: World) -> None:
    with pytest.raises(LinkRequired):
        world.token()


def test_a_request_that_allows_less_than_the_link_is_refused_without_a_refresh(world: World) -> None:
    world.link()
    world.clock.advance(HOUR)
    with pytest.raises(ScopesNotAllowed):
        world.token(allowed=SCOPES[:1])
    assert world.refreshes() == 1
    assert world.token(allowed=(*SCOPES, "dms:read")).scopes == SCOPES


def test_a_refresh_that_grants_less_ends_in_link_required(world: World) -> None:
    world.link()
    granted = {"access_token": "a", "refresh_token": "b", "token_type": "Bearer", "expires_in": 3600}
    body = json.dumps({**granted, "scope": "chat:read"})
    world.simulator.add_fault(Fault("oauth.token", "malformed", body=body))
    world.clock.advance(HOUR)
    for _ in range(2):
        with pytest.raises(LinkRequired):
            world.token()
    world.link()
    assert world.token().scopes == SCOPES


def test_many_at_once_refresh_once(world: World) -> None:
    world.link()
    world.clock.advance(HOUR - 60)
    calls, barrier = world.refreshes(), threading.Barrier(8)

    def asked(_: int) -> str:
        barrier.wait()
        return world.token().token

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        tokens = set(threads.map(asked, range(8)))
    assert world.refreshes() == calls + 1
    assert len(tokens) <= 2
    assert world.whop_user_of(world.token().token) is not None


def test_while_another_refreshes_the_old_token_is_answered_if_it_is_good(world: World) -> None:
    world.link()
    old = world.token().token
    world.clock.advance(HOUR - 120)
    world.change_link(lease_until=int(world.clock.now) + LEASE_SECONDS)
    token = world.token()
    assert token.token == old
    assert token.refresh_after.timestamp() == world.clock.now + 60


def test_while_another_refreshes_and_the_old_token_is_not_good_the_client_has_to_come_again(world: World) -> None:
    world.link()
    world.clock.advance(HOUR - MARGIN_SECONDS + 1)
    world.change_link(lease_until=int(world.clock.now) + 1000)
    world.tokens._sleep = lambda _seconds: world.clock.advance(0.2)
    with pytest.raises(RefreshInProgress) as refusal:
        world.token()
    assert refusal.value.retry_after == 1


def test_a_client_that_waits_gets_the_token_that_another_got(world: World) -> None:
    world.link()
    world.clock.advance(HOUR)
    world.change_link(lease_until=int(world.clock.now) + LEASE_SECONDS)

    def other(_seconds: float) -> None:
        world.change_link(lease_until=0)
        world.instance()
        world.token()

    tokens = world.tokens
    tokens._sleep = other
    token = tokens.current(ADA, world.record(), SCOPES, deadline=AN_HOUR)
    assert world.whop_user_of(token.token) is not None
    assert world.refreshes() == 2


@pytest.mark.parametrize("status", [400, 401])
def test_only_invalid_grant_ends_a_link(world: World, status: int) -> None:
    own = world.link().id
    world.simulator.change_readings({"oauth_invalid_grant_status": status})
    world.simulator.end_consents(own)
    world.clock.advance(HOUR)
    calls = world.refreshes()
    for _ in range(3):
        with pytest.raises(LinkExpired):
            world.token()
    assert world.refreshes() == calls + 1
    assert world.users.holder(own, deadline=AN_HOUR) is not None
    world.link()
    assert world.whop_user_of(world.token().token) == own


def refused(status: int, body: str | None = None) -> Fault:
    return Fault("oauth.token", "status", count=None, status=status, body=body)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (refused(401, "Unauthorized"), WhopUnauthorized),
        (refused(401, '{"error": "invalid_client"}'), WhopUnauthorized),
        (refused(400, '{"error": "invalid_client"}'), WhopUnauthorized),
        (refused(401, '{"error": {"type": "invalid_grant"}}'), WhopUnauthorized),
        (refused(503, '{"error": "invalid_grant"}'), WhopUnavailable),
        (refused(429), WhopRateLimited),
        (Fault("oauth.token", "unreachable", count=None), WhopUnavailable),
    ],
    ids=["401", "invalid_client", "invalid_client 400", "invalid_grant inside", "503", "429", "unreachable"],
)
def test_nothing_else_changes_a_link(world: World, fault: Fault, error: type[Exception]) -> None:
    own = world.link().id
    world.clock.advance(HOUR)
    world.simulator.add_fault(fault)
    for _ in range(2):
        with pytest.raises(error):
            world.token()
    assert world.own_link().status == "linked"
    world.simulator.clear_faults()
    assert world.whop_user_of(world.token().token) == own


def test_fifty_users_with_a_wrong_client_secret_lose_no_link(world: World) -> None:
    users = [ADA.__class__(ADA.pool_id, f"sub-{number}", "u") for number in range(50)]
    for number, user in enumerate(users):
        world.link(user, f"user{number}@mail.test")
    world.clock.advance(HOUR)
    world.simulator.add_oauth_app(CLIENT.client_id, [CLIENT.redirect_uri], secret="another")
    for user in users:
        with pytest.raises(WhopUnauthorized):
            world.token(user)
    world.simulator.add_oauth_app(CLIENT.client_id, [CLIENT.redirect_uri])
    assert all(world.whop_user_of(world.token(user).token) for user in users)


def test_a_failed_refresh_gives_the_old_token_while_it_is_good(world: World) -> None:
    world.link()
    old = world.token().token
    world.clock.advance(HOUR - 120)
    world.simulator.add_fault(Fault("oauth.token", "unreachable", count=None))
    assert world.token().token == old
    assert world.own_link().lease_until == 0


def test_after_an_unknown_outcome_the_old_token_is_tried_exactly_once(world: World) -> None:
    world.link()
    world.clock.advance(HOUR)
    world.simulator.add_fault(Fault("oauth.token", "unreachable", count=1))
    calls = world.refreshes()
    assert world.whop_user_of(world.token().token) is not None
    assert world.refreshes() == calls + 1
    world.clock.advance(HOUR)
    world.simulator.add_fault(Fault("oauth.token", "drop_before", count=2))
    with pytest.raises(WhopUnavailable):
        world.token()
    assert world.refreshes() == calls + 3


def test_if_whop_replaced_the_token_and_the_answer_was_lost_the_link_is_over(world: World) -> None:
    world.link()
    world.clock.advance(HOUR)
    world.simulator.add_fault(Fault("oauth.token", "drop_after"))
    with pytest.raises(LinkExpired):
        world.token()
    assert world.own_link().status == "expired"


def test_a_function_that_is_killed_between_refresh_and_write_costs_one_link_at_most(world: World) -> None:
    class Killed(BaseException):
        pass

    def kill() -> None:
        raise Killed

    own = world.link().id
    world.clock.advance(HOUR)
    world.instance(transport=Interrupting(world, kill))
    with pytest.raises(Killed):
        world.token()
    world.instance()
    world.tokens._sleep = lambda _seconds: world.clock.advance(LEASE_SECONDS)
    with pytest.raises(LinkExpired):
        world.token()
    assert world.link().id == own


def test_unlinking_during_a_refresh_leaves_no_link_and_no_grant(world: World) -> None:
    world.link()
    world.clock.advance(HOUR)
    unlinking = world.unlinking

    def unlink() -> None:
        unlinking.unlink(ADA, deadline=AN_HOUR)

    world.instance(transport=Interrupting(world, unlink))
    with pytest.raises(LinkRequired):
        world.token()
    record = world.record()
    assert record is not None
    assert record.own_whop_user_id is None
    assert (world.links.get(ADA, deadline=AN_HOUR), world.grants()) == (None, 0)


def test_a_link_made_during_a_refresh_stays(world: World) -> None:
    world.link(email="one@mail.test")
    world.clock.advance(HOUR)
    linking, links = world.linking, []

    def relink() -> None:
        links.append(linking.complete(ADA, world.result(email="two@mail.test"), deadline=AN_HOUR).id)

    world.instance(transport=Interrupting(world, relink))
    assert [world.whop_user_of(world.token().token)] == links
    assert world.grants() == 1


def test_a_write_whose_answer_is_lost_is_repeated_and_loses_no_token(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.link()
    world.clock.advance(HOUR)
    put, failures = type(world.links).put, [AwsError("InternalServerError"), AwsError("InternalServerError")]

    def unsure(*args: object, **kwargs: object) -> object:
        written = put(*args, **kwargs)  # type: ignore[arg-type]
        if written.lease_until == 0 and failures:
            raise failures.pop()
        return written

    monkeypatch.setattr(type(world.links), "put", unsure)
    assert world.whop_user_of(world.token().token) is not None
    assert world.grants() == 1


def test_a_link_of_another_client_has_to_be_made_again(world: World) -> None:
    world.link()
    world.instance(oauth_client=OAuthClient("app_Other", CLIENT.redirect_uri))
    with pytest.raises(LinkExpired):
        world.token()


def test_a_link_that_was_moved_to_another_user_is_not_opened(world: World) -> None:
    world.link()
    dynamodb, key = client("dynamodb"), {"pk": {"S": f"OAUTH#{ADA.pool_id}#{ADA.sub}"}}
    item = dynamodb.get_item(TableName=TABLE, Key=key)["Item"]
    dynamodb.put_item(TableName=TABLE, Item={**item, "pk": {"S": f"OAUTH#{BEN.pool_id}#{BEN.sub}"}})
    with pytest.raises(LinkExpired):
        world.token(BEN)


def test_a_confidential_client_sends_its_secret_and_reads_a_new_one(world: World) -> None:
    secrets = client("secretsmanager")
    secrets.put_secret_value(SecretId=world.client_secret, SecretString="one")
    world.simulator.add_oauth_app(CLIENT.client_id, [CLIENT.redirect_uri], secret="one")
    world.instance()
    world.link()
    world.simulator.add_oauth_app(CLIENT.client_id, [CLIENT.redirect_uri], secret="two")
    secrets.put_secret_value(SecretId=world.client_secret, SecretString="two")
    world.clock.advance(HOUR)
    assert world.whop_user_of(world.token().token) is not None
