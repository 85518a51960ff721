"""The model behind docs/figures/reuse.md does what the real code does, page load by page load."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import pytest

from soak.scenarios.reuse import MODES, USERS, Limit, Mode, Model, PageLoad, page_loads, table
from tests.fakes.clock import Clock
from tests.fakes.enrolment import Enrolling
from tests.fakes.memory_tokens import MemoryTokenCache
from tests.fakes.memory_users import MemoryUserRepository
from tests.fakes.queue import Queue
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.whop import FakeWhop
from tools.figures import FIGURES, as_markdown
from whop_chat.cognito.pool import PoolUser
from whop_chat.cognito.user import UserRef
from whop_chat.cognito.verifier import Caller, TokenVerifier
from whop_chat.enrolment.errors import Link
from whop_chat.minting.authorizer import Authorizer
from whop_chat.minting.fallback import TokenFallback
from whop_chat.minting.features import FeaturePolicy
from whop_chat.minting.mint import MintToken
from whop_chat.minting.user_quota import TooManyRequests, UserQuota
from whop_chat.runtime.deadline import Deadline
from whop_chat.users.record import Record, Status
from whop_chat.whop.client import UserToken
from whop_chat.whop.errors import WhopRateLimited

POOL = "eu-west-1_Pool"
LIMIT, PER_MINUTE = 4, 3


class Verifier(TokenVerifier):
    """A token is the number of its user."""

    def __init__(self) -> None:
        pass

    def verify(self, token: str, *, deadline: Deadline) -> Caller:
        return Caller(f"sub-{token}", token, "client", (), frozenset(), 1_900_000_000)


class Linked(Enrolling):
    """Everybody is linked."""

    def __init__(self) -> None:
        super().__init__()

    def enrol(
        self, user: UserRef, record: Record | None, person: PoolUser | None = None, *, deadline: Deadline
    ) -> Link:
        return Link(f"user-{user.sub}")


class Limited(FakeWhop):
    """Has the limit of the model, and does not call Whop before the wait of its last 429 is over."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.limit = Limit(LIMIT)
        self.not_before = 0.0
        self.calls = 0

    def mint_token(
        self, user_id: str, scopes: Collection[str], expires_at: datetime, *, deadline: Deadline
    ) -> UserToken:
        if self.clock.now < self.not_before:
            raise WhopRateLimited("mint_token", int(self.not_before - self.clock.now))
        self.calls += 1
        wait = self.limit.wait(int(self.clock.now))
        if wait:
            self.not_before = self.clock.now + wait
            raise WhopRateLimited("mint_token", wait)
        return UserToken(f"token-of-{user_id}", expires_at)


class Real:
    """The real `Minting`, with everything that it calls in memory."""

    def __init__(self, mode: Mode, users: int) -> None:
        self.clock = Clock(0)
        self.whop = Limited(self.clock)
        directory = MemoryUserRepository()
        for user in range(users):
            directory.put(UserRef(POOL, f"sub-{user}", str(user)), Record(status=Status.LINKED), expected=None)
        told, enrolment = RecordingTelemetry(), Linked()
        reuse = TokenFallback(
            MemoryTokenCache(), told, always=mode == "always", ttl=timedelta(hours=1), clock=self.clock
        )
        self.minting = MintToken(
            Authorizer(Verifier(), FeaturePolicy(["channels"]), pool_id=POOL),
            UserQuota(directory, PER_MINUTE, clock=self.clock),
            enrolment,
            self.whop,
            Queue(),
            told,
            None if mode == "never" else reuse,
            ttl=timedelta(hours=1),
            clock=self.clock,
        )

    def load(self, now: int, user: int) -> str:
        self.clock.now = float(now)
        try:
            token = self.minting.mint(str(user), None, deadline=Deadline(3))
        except (TooManyRequests, WhopRateLimited):
            return "refused"
        assert token.expires_at > datetime.fromtimestamp(now, UTC)
        return "minted" if token.reused is None else "reused"


def busy(users: int) -> list[PageLoad]:
    """The page loads of a day, squeezed into eight hours, a day after the epoch."""
    return [(86_400 + now // 3, user) for now, user in page_loads(users, seed=7)]


@pytest.mark.parametrize("mode", MODES[1:])
def test_the_model_answers_each_page_load_as_the_real_code_does(mode: Mode) -> None:
    users = 60
    real, model = Real(mode, users), Model(mode, limit=LIMIT, per_minute=PER_MINUTE)
    seen = set()
    for now, user in busy(users):
        before = (model.outcome.minted, model.outcome.reused, model.outcome.refused)
        model.load(now, user)
        after = (model.outcome.minted, model.outcome.reused, model.outcome.refused)
        (modelled,) = (
            name for name, old, new in zip(("minted", "reused", "refused"), before, after, strict=True) if new > old
        )
        assert real.load(now, user) == modelled
        seen.add(modelled)

    assert real.whop.calls == model.outcome.calls.total()
    assert seen == ({"minted", "refused"} if mode == "never" else {"minted", "reused", "refused"})


def test_the_sample_of_the_guide_calls_at_each_page_load() -> None:
    model, loads = Model(MODES[0]), page_loads(50)
    for load in loads:
        model.load(*load)

    assert (model.outcome.calls.total(), model.outcome.minted) == (len(loads), len(loads))


def test_the_seed_decides_the_day() -> None:
    assert page_loads(20, seed=1) == page_loads(20, seed=1) != page_loads(20, seed=2)


def test_the_limit_is_one_of_any_minute() -> None:
    limit = Limit(2)

    assert [limit.wait(now) for now in (0, 30, 30, 59, 60, 61, 90)] == [0, 0, 30, 1, 0, 29, 0]


@pytest.mark.thorough
def test_the_page_shows_what_the_model_computes() -> None:
    users = USERS[0]

    assert as_markdown(table(users, page_loads(users))) in (FIGURES / "reuse.md").read_text()
