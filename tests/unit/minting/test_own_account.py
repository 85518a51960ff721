"""The token of a user who linked a Whop account of their own: when it is theirs, and whose it is otherwise."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import pytest

from tests.fakes.clock import Clock
from tests.fakes.enrolment import Enrolling
from tests.fakes.memory_users import MemoryUserRepository
from tests.fakes.queue import Queue
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.whop import FakeWhop
from whop_chat.cognito.user import UserRef
from whop_chat.cognito.verifier import Caller, Reason, TokenRefused, TokenVerifier
from whop_chat.enrolment.errors import Link
from whop_chat.minting.authorizer import Authorizer
from whop_chat.minting.chat_token import ChatToken
from whop_chat.minting.features import FeaturePolicy
from whop_chat.minting.mint import MintToken
from whop_chat.minting.own_account import MintOwnToken
from whop_chat.minting.user_quota import TooManyRequests, UserQuota
from whop_chat.oauth.errors import LinkRequired
from whop_chat.oauth.token import OwnToken, OwnTokens
from whop_chat.runtime.deadline import Deadline
from whop_chat.users.record import Record, Status
from whop_chat.whop.client import UserToken

NOW = datetime(2027, 1, 15, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
ADA = UserRef(pool_id="eu-west-1_Pool", sub="sub-ada", username="ada")
ALLOWED = ("chat:message:create", "chat:read")
OWN = OwnToken("own-token", NOW + HOUR, NOW + HOUR / 2, ("chat:read",))
LINKED_OWN = Record(status=Status.LINKED, own_whop_user_id="user_Own", whop_user_id="user_Ada")
PER_MINUTE = 2


class Verifier(TokenVerifier):
    """Knows one good token, that of Ada."""

    def __init__(self) -> None:
        pass

    def verify(self, token: str, *, deadline: Deadline) -> Caller:
        if token != "good":
            raise TokenRefused(Reason.SIGNATURE)
        return Caller(ADA.sub, ADA.username, "client", (), frozenset(), 0)


class Own(OwnTokens):
    """The token of whoever has a record with a Whop user of their own, for the scopes of the request."""

    def __init__(self) -> None:
        pass

    def current(
        self, user: UserRef, record: Record | None, allowed: Collection[str], *, deadline: Deadline
    ) -> OwnToken:
        if record is None or record.own_whop_user_id is None or (user, tuple(allowed)) != (ADA, ALLOWED):
            raise LinkRequired
        return OWN


class Company(FakeWhop):
    """Mints for anybody."""

    def __init__(self) -> None:
        pass

    def mint_token(
        self, user_id: str, scopes: Collection[str], expires_at: datetime, *, deadline: Deadline
    ) -> UserToken:
        return UserToken(f"token-of-{user_id}", expires_at)


class Table(MemoryUserRepository):
    """Counts the calls."""

    calls = 0

    def count_mint(self, user: UserRef, *, limit: int, now: int, deadline: Deadline | None = None) -> Record | None:
        self.calls += 1
        return super().count_mint(user, limit=limit, now=now)


class Case:
    """Both ways to a token, of a user with ``record``."""

    def __init__(self, record: Record | None) -> None:
        users, clock = Table(), Clock(NOW.timestamp())
        self.users = users
        if record is not None:
            users.put(ADA, record, expected=None)
        self.telemetry = RecordingTelemetry()
        self.enrolment = Enrolling(Link("user_Ada"))
        authorizer = Authorizer(Verifier(), FeaturePolicy(["channels"]), pool_id=ADA.pool_id)
        quota = UserQuota(users, PER_MINUTE, clock=clock)
        self.either = MintToken(
            authorizer,
            quota,
            self.enrolment.polling(users, clock.advance),
            Company(),
            Queue(),
            self.telemetry,
            ttl=HOUR,
            own_tokens=Own,
            clock=clock,
        )
        self.own_only = MintOwnToken(authorizer, quota, self.telemetry, Own)


def mint(minting: MintToken | MintOwnToken, token: str = "good") -> ChatToken:
    return minting.mint(token, None, deadline=Deadline(3))


@pytest.mark.parametrize("way", ["either", "own_only"])
def test_who_linked_their_own_account_gets_its_token(way: str) -> None:
    case = Case(LINKED_OWN)

    assert mint(getattr(case, way)) == ChatToken("own-token", NOW + HOUR, NOW + HOUR / 2, ("chat:read",))
    assert case.telemetry.users == [ADA.sub]
    assert case.enrolment.enrolled == []


@pytest.mark.parametrize("record", [None, Record(status=Status.LINKED, whop_user_id="user_Ada")], ids=["none", "other"])
def test_who_did_not_gets_the_company_s_token_where_there_are_both(record: Record | None) -> None:
    case = Case(record)

    assert mint(case.either).token == "token-of-user_Ada"
    assert case.enrolment.enrolled == [ADA]


@pytest.mark.parametrize("record", [None, Record(status=Status.LINKED, whop_user_id="user_Ada")], ids=["none", "other"])
def test_who_did_not_gets_none_where_there_are_own_accounts_only(record: Record | None) -> None:
    with pytest.raises(LinkRequired):
        mint(Case(record).own_only)


def test_a_token_that_is_not_good_gets_none() -> None:
    case = Case(LINKED_OWN)
    with pytest.raises(TokenRefused):
        mint(case.own_only, "forged")

    assert case.telemetry.users == []


def test_the_tokens_of_own_accounts_count_against_the_limit_too() -> None:
    case = Case(LINKED_OWN)
    for _ in range(PER_MINUTE):
        mint(case.own_only)
    for _ in range(2):
        with pytest.raises(TooManyRequests):
            mint(case.own_only)
    assert case.users.calls == PER_MINUTE + 1, "who was refused is refused without a call"
