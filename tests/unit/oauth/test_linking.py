"""Linking: the happy way, and everybody who tries to end up with somebody else's account."""

import concurrent.futures
import dataclasses
from urllib.parse import parse_qs, urlsplit

import pytest

from local.whop_simulator import Fault
from tests.fakes.moto_aws import AN_HOUR, client
from tests.unit.oauth.world import ADA, APP_SCHEME, BASE, BEN, CLIENT, EMAIL, RETURN_TO, SCOPES, TABLE, World
from whop_chat.cognito.pool import UserDisabled, UserGone
from whop_chat.enrolment.errors import Blocked, Denied
from whop_chat.oauth.attempts import RESULT_SECONDS, STATE_SECONDS
from whop_chat.oauth.errors import InvalidReturnUrl, LinkFailed, LinkRequired, UnknownState
from whop_chat.users import admin
from whop_chat.users.lifecycle import suspend
from whop_chat.users.record import Record, Status
from whop_chat.whop.errors import WhopUnauthorized, WhopUnavailable


def test_a_user_links_their_account_and_gets_its_token(world: World) -> None:
    profile = world.link()
    record = world.record()
    assert record is not None
    assert record.own_whop_user_id == profile.id
    assert profile.username == "ada"
    assert world.users.holder(profile.id, deadline=AN_HOUR) == dataclasses.replace(ADA, username=ADA.sub)
    token = world.token()
    assert world.whop_user_of(token.token) == profile.id
    assert token.scopes == SCOPES


def test_the_url_asks_for_exactly_what_is_needed(world: World) -> None:
    url = urlsplit(world.begin())
    query = {name: value for name, (value,) in parse_qs(url.query).items()}
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{BASE}/oauth/authorize"
    assert (query["client_id"], query["redirect_uri"]) == (CLIENT.client_id, CLIENT.redirect_uri)
    assert query["scope"] == "openid profile email chat:message:create chat:read"
    assert query["code_challenge_method"] == "S256"
    assert len({query["state"], query["nonce"], query["code_challenge"]}) == 3
    assert min(map(len, (query["state"], query["nonce"], query["code_challenge"]))) == 43


@pytest.mark.parametrize(
    "look_alike",
    [
        f"{RETURN_TO}/",
        f"{RETURN_TO}?x=1",
        f"{RETURN_TO}#x",
        RETURN_TO.upper(),
        "https://app.team.test",
        "https://app.team.test.evil.test/linked",
        "https://app.team.test@evil.test/linked",
        "https://evil.test/?https://app.team.test/linked",
        "http://app.team.test/linked",
        "//app.team.test/linked",
        "javascript:alert(1)",
        "",
    ],
)
def test_a_return_to_that_only_looks_like_one_is_refused(world: World, look_alike: str) -> None:
    with pytest.raises(InvalidReturnUrl):
        world.begin(return_to=look_alike)


def test_a_result_is_good_once(world: World) -> None:
    result = world.result()
    world.complete(result)
    with pytest.raises(LinkFailed):
        world.complete(result)


def test_a_result_ends_after_two_minutes(world: World) -> None:
    result = world.result()
    world.clock.advance(RESULT_SECONDS)
    with pytest.raises(LinkFailed):
        world.complete(result)


def test_a_state_ends_after_ten_minutes(world: World) -> None:
    query = world.consent(world.begin())
    world.clock.advance(STATE_SECONDS)
    with pytest.raises(UnknownState):
        world.callback(query)


def test_a_callback_is_answered_once_also_in_parallel(world: World) -> None:
    query = world.consent(world.begin())

    def answered(_: int) -> bool:
        try:
            return bool(world.callback(query).result)
        except UnknownState:
            return False

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(answered, range(4))) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "made-up"},
        {"state": ""},
        {"iss": "https://evil.test"},
        {"iss": f"{BASE}/"},
        {"code": ""},
        {"error": "access_denied"},
    ],
    ids=str,
)
def test_a_callback_that_is_not_one_goes_nowhere(world: World, changes: dict[str, str]) -> None:
    query = world.consent(world.begin())
    with pytest.raises(UnknownState):
        world.callback(query | changes)


def test_a_callback_without_iss_is_answered(world: World) -> None:
    world.simulator.change_readings({"oauth_iss": False})
    query = world.consent(world.begin())
    assert "iss" not in query
    assert world.callback(query).result


def test_a_refusal_at_whop_reaches_the_app_as_a_code_and_ends_the_attempt(world: World) -> None:
    query = world.consent(world.begin(return_to=APP_SCHEME), decision="deny")
    returned = world.callback(query)
    assert (returned.return_to, returned.error, returned.result) == (APP_SCHEME, "access_denied", None)
    with pytest.raises(UnknownState):
        world.callback(query)


def test_an_error_that_nobody_knows_is_not_passed_on(world: World) -> None:
    state = parse_qs(urlsplit(world.begin()).query)["state"][0]
    assert world.callback({"state": state, "error": "<script>"}).error == "server_error"


def test_nobody_completes_what_another_user_began(world: World) -> None:
    result = world.result(ADA)
    world.begin(BEN)
    for user in (BEN, dataclasses.replace(ADA, pool_id="eu-west-1_Other")):
        with pytest.raises(LinkFailed):
            world.complete(result, user)
    assert world.complete(result, ADA).id


def test_a_victim_who_follows_an_attackers_url_gets_nothing_linked(world: World) -> None:
    """Login CSRF: Ben began, Ada consents in her browser. Her app completes with her token, and Ben has no result."""
    returned = world.callback(world.consent(world.begin(BEN), EMAIL))
    world.begin(ADA)
    with pytest.raises(LinkFailed):
        world.complete(str(returned.result), ADA)
    assert (world.record(ADA), world.record(BEN)) == (None, None)


def test_a_code_that_is_injected_into_another_attempt_is_worth_nothing(world: World) -> None:
    """The code of Ben's consent under Ada's state: PKCE binds a code to the attempt that it was made for."""
    stolen = world.consent(world.begin(BEN), "ben@mail.test")["code"]
    query = world.consent(world.begin(ADA))
    result = world.callback(query | {"code": stolen}).result
    with pytest.raises(LinkFailed):
        world.complete(str(result), ADA)
    assert world.record(ADA) is None


def test_the_newest_attempt_of_a_user_wins(world: World) -> None:
    older = world.result()
    newer = world.result()
    with pytest.raises(LinkFailed):
        world.complete(older)
    assert world.complete(newer).id


def test_a_result_cannot_be_derived_from_the_state(world: World) -> None:
    query = world.consent(world.begin())
    result = str(world.callback(query).result)
    assert query["state"] not in result
    with pytest.raises(LinkFailed):
        world.complete(query["state"])


def test_no_secret_of_an_attempt_is_stored_readable(world: World) -> None:
    url = world.begin()
    query = world.consent(url)
    result = world.callback(query).result
    stored = repr(client("dynamodb").scan(TableName=TABLE)["Items"])
    nonce = parse_qs(urlsplit(url).query)["nonce"][0]
    assert not [each for each in (query["state"], query["code"], nonce, str(result)) if each in stored]


def test_no_token_of_a_link_is_stored_readable(world: World) -> None:
    world.link()
    stored = repr(client("dynamodb").scan(TableName=TABLE)["Items"])
    tokens = world.links.open(ADA, world.own_link(), deadline=AN_HOUR)
    assert tokens.access not in stored
    assert tokens.refresh not in stored
    assert (
        "ttl"
        not in client("dynamodb").get_item(TableName=TABLE, Key={"pk": {"S": f"OAUTH#{ADA.pool_id}#{ADA.sub}"}})["Item"]
    )


def test_an_account_that_another_user_has_is_a_conflict_and_its_grant_is_revoked(world: World) -> None:
    world.link(ADA)
    with pytest.raises(Blocked, match="identity_conflict"):
        world.link(BEN)
    assert world.record(BEN) is None
    assert world.grants() == 1


def test_an_account_that_the_same_user_was_enrolled_with_is_no_conflict(world: World) -> None:
    whop_user = world.simulator.add_person(EMAIL)
    start = world.users.put(ADA, Record(status=Status.PENDING), expected=None, deadline=AN_HOUR)
    linked = dataclasses.replace(start, status=Status.LINKED, whop_user_id=whop_user)
    world.users.link(ADA, linked, expected=start, deadline=AN_HOUR)
    assert world.link(ADA).id == whop_user
    world.unlinking.unlink(ADA, deadline=AN_HOUR)
    assert world.users.holder(whop_user, deadline=AN_HOUR) is not None


def test_a_user_may_hold_an_enrolled_account_and_their_own(world: World) -> None:
    start = world.users.put(ADA, Record(status=Status.PENDING), expected=None, deadline=AN_HOUR)
    linked = dataclasses.replace(start, status=Status.LINKED, whop_user_id="user_Enrolled")
    world.users.link(ADA, linked, expected=start, deadline=AN_HOUR)
    own = world.link(ADA).id
    record = world.record()
    assert record is not None
    assert (record.linked_to, record.own_whop_user_id) == ("user_Enrolled", own)
    assert world.users.holder("user_Enrolled", deadline=AN_HOUR) == world.users.holder(own, deadline=AN_HOUR)


def test_another_link_takes_the_place_of_the_first_and_revokes_it(world: World) -> None:
    first = world.link(ADA, "one@mail.test").id
    second = world.link(ADA, "two@mail.test").id
    assert world.whop_user_of(world.token().token) == second
    assert world.users.holder(first, deadline=AN_HOUR) is None
    assert world.grants() == 1
    assert world.link(BEN, "one@mail.test").id == first


def test_a_denied_user_neither_begins_nor_completes(world: World) -> None:
    result = world.result()
    admin.deny(world.users, ADA, deadline=AN_HOUR)
    with pytest.raises(Denied):
        world.complete(result)
    with pytest.raises(Denied):
        world.begin()
    assert world.grants() == 0


@pytest.mark.parametrize(("status", "refusal"), [(Status.DISABLED, UserDisabled), (Status.DELETED, UserGone)])
def test_a_disabled_or_deleted_user_does_not_begin(world: World, status: Status, refusal: type[Exception]) -> None:
    record = suspend(Record(status=Status.PENDING), status)
    world.users.put(ADA, record, expected=None, deadline=AN_HOUR)
    with pytest.raises(refusal):
        world.begin()


def test_a_denial_taken_back_leaves_the_link_as_it_was(world: World) -> None:
    own = world.link().id
    admin.deny(world.users, ADA, deadline=AN_HOUR)
    with pytest.raises(Denied):
        world.token()
    admin.allow(world.users, ADA, deadline=AN_HOUR)
    assert world.whop_user_of(world.token().token) == own


@pytest.mark.parametrize("operation", ["oauth.token", "oauth.keys"])
@pytest.mark.parametrize(("kind", "status"), [("unreachable", 500), ("status", 503), ("delay", 500)])
def test_while_whop_is_down_or_slow_nothing_is_linked_and_a_new_attempt_works(
    world: World, operation: str, kind: str, status: int
) -> None:
    result = world.result()
    world.simulator.add_fault(Fault(operation, kind, status=status, seconds=10_000.0))  # type: ignore[arg-type]
    with pytest.raises(WhopUnavailable):
        world.complete(result)
    assert world.record() is None
    with pytest.raises(LinkFailed):
        world.complete(result)
    assert world.link().id
    assert world.grants() == 1


def test_userinfo_is_not_needed(world: World) -> None:
    world.simulator.add_fault(Fault("oauth.userinfo", "status", count=None))
    assert world.link().id


def test_a_grant_of_less_than_was_asked_for_is_not_linked(world: World) -> None:
    url = world.begin().replace("chat%3Amessage%3Acreate", "email")
    result = world.callback(world.consent(url)).result
    with pytest.raises(LinkRequired):
        world.complete(str(result))
    assert (world.record(), world.grants()) == (None, 0)


def test_a_pkce_downgrade_does_not_get_past_whop(world: World) -> None:
    url = world.begin().replace("code_challenge_method=S256", "code_challenge_method=plain")
    assert world.callback(world.consent(url)).error == "invalid_request"


def test_the_wrong_client_is_told_apart_from_a_wrong_code(world: World) -> None:
    world.simulator.add_oauth_app(CLIENT.client_id, [CLIENT.redirect_uri], secret="s3cret")
    result = world.result()
    with pytest.raises(WhopUnauthorized):
        world.complete(result)


def test_an_issuer_that_is_not_the_configured_one_links_nobody(world: World) -> None:
    world.simulator.change_readings({"oauth_issuer": "whop.com", "oauth_iss": False})
    with pytest.raises(LinkFailed, match="issuer"):
        world.link()
    assert (world.record(), world.grants()) == (None, 0)


def test_a_link_survives_a_new_data_key(world: World) -> None:
    own = world.link().id
    ring = world.rotate_data_key()
    world.instance()
    assert world.whop_user_of(world.token().token) == own
    assert world.links.reseal(ADA, deadline=AN_HOUR)
    assert world.own_link().sealed.key_id == ring.current
    assert not world.links.reseal(ADA, deadline=AN_HOUR)
    client("secretsmanager").put_secret_value(SecretId=world.secret, SecretString=ring.with_current_only().to_secret())
    world.instance()
    assert world.whop_user_of(world.token().token) == own
