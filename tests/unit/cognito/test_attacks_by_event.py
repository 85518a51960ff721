"""The attack corpus sent straight to the function, as events of the HTTP API that no gateway has looked at.

Whoever may invoke the function, by whatever road, gets no further with a bad token than through the gateway.
"""

import io
import json
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import redirect_stdout
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import jwt
import pytest

from tests.fakes.enrolment import Enrolling
from tests.fakes.functions import Context, event
from tests.fakes.keys import eager_jwks
from tests.fakes.memory_users import MemoryUserRepository
from tests.fakes.queue import Queue
from tests.fakes.tokens import (
    CLIENT_ID,
    ISSUER,
    NOW,
    OTHER_CLIENT_ID,
    POOL_ID,
    SUB,
    USERNAME,
    access_claims,
    id_claims,
    key_set_document,
    sign,
)
from tests.fakes.whop import FakeWhop
from tests.unit.cognito.attack_corpus import Attack, attack_corpus, attack_target
from whop_chat.api.routes import HttpApi
from whop_chat.cognito.user import UserRef
from whop_chat.cognito.verifier import TokenUse, TokenVerifier
from whop_chat.enrolment.errors import Link
from whop_chat.minting.authorizer import Authorizer
from whop_chat.minting.features import FeaturePolicy
from whop_chat.minting.mint import MintToken
from whop_chat.minting.user_quota import UserQuota
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.telemetry import lambda_telemetry
from whop_chat.whop.client import UserToken

TARGET = attack_target()
# A header's value has no white space around it (RFC 9110, section 5.5), so without it these are the good token.
SURROUNDED = {"space before", "space after"}
NO_TOKEN = {"nothing"}
CORPUS = [attack for attack in attack_corpus(TARGET) if attack.name not in SURROUNDED | NO_TOKEN]
DOCUMENT = key_set_document(TARGET.signer, TARGET.second)
GOOD = TARGET.with_header()
ADA = UserRef(pool_id=POOL_ID, sub=SUB, username=USERNAME)

CHANNELS = ["chat:message:create", "chat:read"]
EVERYTHING = ["chat:message:create", "chat:read", "dms:channel:manage", "dms:message:manage", "dms:read"]

INVALID = 'Bearer error="invalid_token"'
# More than one word after the scheme, which shows before any token is looked at.
SEVERAL_WORDS = {"the scheme left in", "JSON serialisation"}
MALFORMED = {"too_large", "form", "header", "algorithm", "parameter", "type", "key_id", "payload"}


class Answer(NamedTuple):
    """What the function answers, and what it has written meanwhile."""

    status: int
    headers: dict[str, str]
    body: dict[str, Any]
    written: str

    @property
    def challenge(self) -> str | None:
        return self.headers.get("WWW-Authenticate")

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.written.splitlines()]


class Granting(FakeWhop):
    """Grants every token, and keeps for whom."""

    def __init__(self) -> None:
        self.granted: list[str] = []

    def mint_token(
        self, user_id: str, scopes: Collection[str], expires_at: datetime, *, deadline: Deadline
    ) -> UserToken:
        self.granted.append(user_id)
        return UserToken("whop-token", expires_at)


class Function:
    """The endpoint with its real verifier, policy and log; what is behind them only counts who gets that far."""

    def __init__(
        self,
        *,
        fetch: Callable[[Deadline], bytes] = lambda _deadline: DOCUMENT,
        token_use: TokenUse = "access",
        required_scope: str | None = None,
    ) -> None:
        self.enrolment = Enrolling(Link("user_Ada"))
        self.whop = Granting()
        self.queue = Queue()
        verifier = TokenVerifier(
            pool_id=POOL_ID,
            client_ids=[CLIENT_ID],
            token_use=token_use,
            required_scope=required_scope,
            jwks=eager_jwks(fetch),
            clock=lambda: float(NOW),
        )
        policy = FeaturePolicy(["channels", "dms"], denied_groups=["banned"], group_features={"guests": ["channels"]})
        self._log = io.StringIO()
        with redirect_stdout(self._log):
            self._telemetry = lambda_telemetry()
        users = MemoryUserRepository()
        minting = MintToken(
            Authorizer(verifier, policy, pool_id=POOL_ID),
            UserQuota(users, 30, clock=lambda: float(NOW)),
            self.enrolment,
            self.whop,
            self.queue,
            self._telemetry,
            ttl=timedelta(minutes=60),
            clock=lambda: float(NOW),
        )
        self._api = HttpApi(minting, self._telemetry, lambda _: {})

    def answer(self, request: Mapping[str, Any]) -> Answer:
        """As Lambda would: the event comes as JSON, and the answer goes as JSON."""
        self._log.seek(0)
        self._log.truncate()
        with redirect_stdout(self._log):
            self._telemetry.bind_request(Context())
            response = json.loads(json.dumps(self._api.handle(json.loads(json.dumps(request)), remaining_seconds=10)))
            self._telemetry.flush()
        return Answer(response["statusCode"], response["headers"], json.loads(response["body"]), self._log.getvalue())

    def asked(self) -> list[object]:
        """All that went further than the verifier and the policy: to the table, to the queue, to Whop."""
        return [*self.enrolment.enrolled, *self.queue.sent, *self.whop.granted]


@pytest.fixture(scope="module", autouse=True)
def a_service_of_its_own() -> Iterator[None]:
    """Powertools keeps one logger for each service, with the output of its first use."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POWERTOOLS_SERVICE_NAME", f"service-{uuid.uuid4()}")
        yield


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Function]:
    """Makes functions that are composed in another way, each with a log of its own."""

    def make(**settings: Any) -> Function:
        monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", f"service-{uuid.uuid4()}")
        return Function(**settings)

    return make


@pytest.fixture
def function(make: Callable[..., Function]) -> Function:
    return make()


@pytest.fixture(scope="module")
def under_attack(a_service_of_its_own: None) -> Function:
    """One function for the whole corpus, as a warm one is."""
    return Function()


def with_token(token: str, **changes: Any) -> dict[str, Any]:
    return with_header(f"Bearer {token}", **changes)


def with_header(value: str, **changes: Any) -> dict[str, Any]:
    request = event("mint_token")
    request["headers"]["authorization"] = value
    return {**request, **changes}


def shows(text: str, token: str) -> bool:
    """Whether ``text`` holds a piece of ``token``: the beginning or the end of any part that is more than a word."""
    parts = [part for part in {token, *token.split(".")} if len(part) >= 12]
    return any(piece in text for part in parts for piece in (part[:12], part[-12:]))


def says_our_issuer(token: str) -> bool:
    try:
        return bool(jwt.decode(token, options={"verify_signature": False})["iss"] == ISSUER)
    except (jwt.DecodeError, KeyError):
        return False


# Every attack


def test_the_token_that_the_attacks_are_made_of_gets_a_token(function: Function) -> None:
    answer = function.answer(with_token(GOOD))

    assert (answer.status, answer.body["token"], answer.body["scopes"]) == (200, "whop-token", EVERYTHING)
    assert function.asked() == [ADA, "user_Ada"]


@pytest.mark.parametrize("attack", CORPUS, ids=lambda attack: attack.name)
def test_an_attack_by_event_is_a_401_that_costs_nothing_and_tells_the_log_alone_why(
    attack: Attack, under_attack: Function, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")

    answer = under_attack.answer(with_token(attack.token))
    line, metrics = answer.lines

    assert (answer.status, answer.body["code"], answer.challenge) == (401, "invalid_token", INVALID)
    assert answer.headers.keys() == {"Content-Type", "Cache-Control", "WWW-Authenticate"}
    assert under_attack.asked() == []
    why = ("AmbiguousToken", "") if attack.name in SEVERAL_WORDS else ("TokenRefused", attack.reason)
    assert (line["message"], line["error"], line["reason"]) == ("no token", *why)
    assert (metrics["Mints"], metrics["outcome"]) == ([1], "refused")
    assert SUB not in answer.written
    assert not shows(f"{answer} {caplog.text}", attack.token)


def test_all_refusals_look_the_same_from_outside(under_attack: Function) -> None:
    """Whoever tries tokens learns nothing from how they are refused."""
    assert len({json.dumps(under_attack.answer(with_token(attack.token))[:3]) for attack in CORPUS}) == 1


def test_while_the_keys_are_out_of_reach_a_token_that_may_be_good_is_a_503_and_any_other_a_401(
    make: Callable[..., Function],
) -> None:
    def unreachable(_deadline: Deadline) -> bytes:
        raise ConnectionError

    function = make(fetch=unreachable)

    for attack in CORPUS:
        answer = function.answer(with_token(attack.token))
        may_be_good = attack.reason not in MALFORMED and says_our_issuer(attack.token)
        expected = (503, None) if may_be_good else (401, INVALID)
        assert (answer.status, answer.challenge) == expected, attack.name
        assert ("Retry-After" in answer.headers) == (answer.status == 503)
        assert not shows(f"{answer}", attack.token)
    assert function.asked() == []


@pytest.mark.parametrize("name", ["mint_token_narrowed", "mint_token_base64"])
def test_a_body_makes_a_bad_token_no_better(function: Function, name: str) -> None:
    request = event(name)
    for attack in CORPUS[::20]:
        request["headers"]["authorization"] = f"Bearer {attack.token}"
        assert function.answer(request).status == 401, attack.name
    assert function.asked() == []


# Machines, and tokens of the other use


MACHINE: dict[TokenUse, list[dict[str, object]]] = {
    "access": [
        access_claims({"sub": CLIENT_ID, "username": None}),
        access_claims({"sub": CLIENT_ID}),
        access_claims({"username": None}),
        access_claims({"sub": CLIENT_ID, "username": None, "cognito:groups": ["guests"], "scope": "chat/use"}),
    ],
    "id": [
        id_claims({"sub": CLIENT_ID, "cognito:username": None}),
        id_claims({"sub": CLIENT_ID}),
        id_claims({"cognito:username": None, "username": USERNAME}),
    ],
}


@pytest.mark.parametrize(
    ("use", "claims"), [(use, claims) for use, machines in MACHINE.items() for claims in machines], ids=str
)
def test_a_machine_is_nobody_whatever_the_gateway_says_of_it(
    make: Callable[..., Function], use: TokenUse, claims: dict[str, object]
) -> None:
    function = make(token_use=use)

    answer = function.answer(with_token(sign(claims)))

    assert (answer.status, answer.body["code"], answer.challenge) == (401, "invalid_token", INVALID)
    assert answer.lines[0]["reason"] == "machine"
    assert function.asked() == []


@pytest.mark.parametrize(("use", "other"), [("access", id_claims()), ("id", access_claims())], ids=["access", "id"])
def test_a_token_of_the_other_use_is_refused_though_the_gateway_lets_it_pass(
    make: Callable[..., Function], use: TokenUse, other: dict[str, object]
) -> None:
    function = make(token_use=use)

    assert function.answer(with_token(sign(other))).challenge == INVALID
    assert function.asked() == []


# What the event says beside the token


def with_context(token: str, claims: Mapping[str, str], *, scopes: Collection[str] = ()) -> dict[str, Any]:
    """An event whose authorizer says ``claims`` of the caller on top of what it says of the good token."""
    request = with_token(token)
    jwt = request["requestContext"]["authorizer"]["jwt"]
    jwt["claims"] |= claims
    jwt["scopes"] = list(scopes) or None
    return request


SOMEBODY_ELSE = {"sub": "11111111-2222-4333-8444-555555555555", "username": "bob", "cognito:username": "bob"}


def test_the_user_is_the_one_of_the_token_and_not_the_one_of_the_event(function: Function) -> None:
    answer = function.answer(with_context(GOOD, SOMEBODY_ELSE))

    assert answer.status == 200
    assert function.asked() == [ADA, "user_Ada"]
    assert answer.lines[0]["sub"] == SUB


@pytest.mark.parametrize("said", ["[]", "[staff]", "[staff guests]", "staff", ""])
def test_a_denied_group_of_the_token_counts_whatever_the_event_says(function: Function, said: str) -> None:
    token = sign(access_claims({"cognito:groups": ["staff", "banned"]}))

    answer = function.answer(with_context(token, {"cognito:groups": said}))

    assert (answer.status, answer.body["code"], answer.challenge) == (403, "group_denied", None)
    assert function.asked() == []
    assert not shows(f"{answer}", token)


@pytest.mark.parametrize("said", ["[]", "[staff]", "[banned]"])
def test_a_narrowing_group_of_the_token_counts_whatever_the_event_says(function: Function, said: str) -> None:
    token = sign(access_claims({"cognito:groups": ["guests"]}))

    answer = function.answer(with_context(token, {"cognito:groups": said}))

    assert (answer.status, answer.body["scopes"]) == (200, CHANNELS)


@pytest.mark.parametrize("said", ["[banned]", "[guests]", "[banned guests]"])
def test_a_group_that_only_the_event_names_counts_for_nothing(function: Function, said: str) -> None:
    answer = function.answer(with_context(GOOD, {"cognito:groups": said}))

    assert (answer.status, answer.body["scopes"]) == (200, EVERYTHING)


def test_a_feature_that_the_group_of_the_token_lacks_is_not_had_by_asking(function: Function) -> None:
    token = sign(access_claims({"cognito:groups": ["guests"]}))

    answer = function.answer(with_token(token) | {"body": '{"features": ["dms"]}'})

    assert (answer.status, answer.body["code"]) == (403, "feature_not_allowed")
    assert function.asked() == []


@pytest.mark.parametrize(
    "claims",
    [{"exp": NOW - 1}, {"client_id": OTHER_CLIENT_ID}, {"token_use": "id"}, {"iss": "https://attacker.test"}],
    ids=str,
)
def test_a_claim_that_only_the_event_puts_right_is_wrong(function: Function, claims: dict[str, object]) -> None:
    """The event goes on saying what it says of a good token."""
    answer = function.answer(with_token(sign(access_claims(claims))))

    assert (answer.status, answer.challenge) == (401, INVALID)
    assert function.asked() == []


def test_a_scope_that_only_the_event_names_is_missing(make: Callable[..., Function]) -> None:
    function = make(required_scope="chat/use")
    token = sign(access_claims({"scope": "openid chat/used"}))

    answer = function.answer(with_context(token, {"scope": "openid chat/use"}, scopes=["chat/use"]))

    assert (answer.status, answer.body["code"]) == (403, "insufficient_scope")
    assert answer.challenge == 'Bearer error="insufficient_scope"'
    assert answer.lines[0]["reason"] == "scope_missing"
    assert function.asked() == []
    assert not shows(f"{answer}", token)


def test_a_scope_of_the_token_is_enough_whatever_the_event_says(make: Callable[..., Function]) -> None:
    function = make(required_scope="chat/use")
    token = sign(access_claims({"scope": "openid chat/use"}))

    assert function.answer(with_context(token, {"scope": "openid"})).status == 200


@pytest.mark.parametrize(
    "context",
    [
        {},
        {"requestContext": {}},
        {"requestContext": None},
        {"requestContext": {"authorizer": {"lambda": SOMEBODY_ELSE}}},
        {"requestContext": {"authorizer": {"iam": {"userId": "root", "cognitoIdentity": SOMEBODY_ELSE}}}},
        {"queryStringParameters": SOMEBODY_ELSE, "pathParameters": SOMEBODY_ELSE, "stageVariables": SOMEBODY_ELSE},
        {"cookies": ["sub=bob", "authorization=Bearer x"], "multiValueHeaders": {"authorization": ["Bearer x"]}},
    ],
    ids=str,
)
def test_nothing_else_in_an_event_says_who_the_caller_is(function: Function, context: dict[str, Any]) -> None:
    assert function.answer(with_token(GOOD, **context)).status == 200
    assert function.asked() == [ADA, "user_Ada"]


@pytest.mark.parametrize("name", ["x-user", "x-amzn-oidc-identity", "x-amzn-oidc-data", "x-forwarded-user", "cookie"])
def test_no_other_header_says_who_the_caller_is(function: Function, name: str) -> None:
    request = with_token(GOOD)
    request["headers"][name] = SOMEBODY_ELSE["sub"]

    assert function.answer(request).status == 200
    assert function.asked() == [ADA, "user_Ada"]


# The Authorization header


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_the_scheme_is_read_in_any_case(function: Function, scheme: str) -> None:
    assert function.answer(with_header(f"{scheme} {GOOD}")).status == 200


@pytest.mark.parametrize("name", ["authorization", "Authorization", "AUTHORIZATION"])
def test_the_name_of_the_header_is_read_in_any_case(function: Function, name: str) -> None:
    assert function.answer(with_token(GOOD, headers={name: f"Bearer {GOOD}"})).status == 200


@pytest.mark.parametrize("value", [f"  Bearer {GOOD}", f"Bearer {GOOD}  ", f"Bearer    {GOOD}"], ids=range(3))
def test_spaces_around_scheme_and_token_do_not_count(function: Function, value: str) -> None:
    assert function.answer(with_header(value)).status == 200


@pytest.mark.parametrize(
    "value",
    [
        f"Bearer {GOOD},Bearer {GOOD}",
        f"Bearer {GOOD}, Bearer {GOOD}",
        f"Bearer {GOOD},{GOOD}",
        f"Bearer {GOOD},",
        f"Bearer ,{GOOD}",
        f"Bearer {GOOD}, Basic dTpw",
        f"Bearer {GOOD} {GOOD}",
        f"Bearer {GOOD} realm=x",
        f"Bearer Bearer {GOOD}",
    ],
    ids=lambda value: value.replace(GOOD, "token"),
)
def test_more_than_one_token_is_none_even_if_each_is_good(function: Function, value: str) -> None:
    answer = function.answer(with_header(value))

    assert (answer.status, answer.body["code"], answer.challenge) == (401, "invalid_token", INVALID)
    assert function.asked() == []
    assert not shows(f"{answer}", GOOD)


def test_two_headers_whose_names_differ_in_case_are_two(function: Function) -> None:
    headers = {"authorization": f"Bearer {GOOD}", "Authorization": f"Bearer {GOOD}"}

    assert function.answer(with_token(GOOD, headers=headers)).challenge == INVALID
    assert function.asked() == []


@pytest.mark.parametrize(
    "value",
    [
        GOOD,
        f"Basic {GOOD}",
        f"Digest {GOOD}",
        f"DPoP {GOOD}",
        f"Token {GOOD}",
        f"JWT {GOOD}",
        f"Bearer\t{GOOD}",
        f"Bearer\u00a0{GOOD}",
        f"Bearer:{GOOD}",
        f"Bearer={GOOD}",
        f"Bearer{GOOD}",
        f"Bearers {GOOD}",
        f"Be arer {GOOD}",
        f"Ｂearer {GOOD}",
        f"Be\u200barer {GOOD}",
        f",Bearer {GOOD}",
        f"Basic dTpw, Bearer {GOOD}",
        f'"Bearer" {GOOD}',
        "Bearer",
        "Bearer ",
        " ",
        "",
    ],
    ids=lambda value: repr(value.replace(GOOD, "token")),
)
def test_under_another_scheme_a_good_token_is_none(function: Function, value: str) -> None:
    answer = function.answer(with_header(value))

    assert (answer.status, answer.body["code"], answer.challenge) == (401, "missing_token", "Bearer")
    assert function.asked() == []
    assert not shows(f"{answer}", GOOD)


@pytest.mark.parametrize(
    "place",
    [
        {"headers": {"proxy-authorization": f"Bearer {GOOD}"}},
        {"headers": {"x-authorization": f"Bearer {GOOD}"}},
        {"headers": {"cookie": f"access_token={GOOD}"}, "cookies": [f"access_token={GOOD}"]},
        {"headers": {}, "queryStringParameters": {"access_token": GOOD}, "rawQueryString": f"access_token={GOOD}"},
        {"headers": {"content-type": "application/x-www-form-urlencoded"}, "body": f"access_token={GOOD}"},
        {"headers": {}, "multiValueHeaders": {"authorization": [f"Bearer {GOOD}"]}},
        {"headers": {}, "authorizationToken": f"Bearer {GOOD}"},
    ],
    ids=["proxy", "own header", "cookie", "query", "form", "multi-value", "authorizer event"],
)
def test_anywhere_else_a_good_token_is_none(function: Function, place: dict[str, Any]) -> None:
    """RFC 6750 knows tokens in forms and queries, too, where logs and histories keep them; here they do not count."""
    answer = function.answer(with_token(GOOD, **place))

    assert (answer.status, answer.body["code"], answer.challenge) == (401, "missing_token", "Bearer")
    assert function.asked() == []
    assert not shows(f"{answer}", GOOD)
