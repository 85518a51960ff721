"""When the last token is answered, when it is kept, and what it costs if the table fails."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from tests.fakes.clock import Clock
from tests.fakes.memory_tokens import MemoryTokenCache
from tests.fakes.moto_aws import AN_HOUR
from tests.fakes.telemetry import RecordingTelemetry
from whop_chat.cognito.user import UserRef
from whop_chat.minting.chat_token import ChatToken
from whop_chat.minting.fallback import TokenFallback
from whop_chat.minting.token_cache import CachedToken, CacheEntry, CacheKey
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.sealed import UnusableDataKey

ADA = UserRef(pool_id="eu-west-1_Pool", sub="sub-ada", username="ada")
SCOPES = ("chat:read",)
CHAT = CacheKey(ADA, SCOPES)
NOW = 1_800_000_000
HOUR = 3600
TTL = timedelta(hours=1)


class Case:
    """A token of an hour, ``age`` seconds old."""

    def __init__(self, age: int | None, *, always: bool = False, jitter: float = 0.0, life: int = HOUR) -> None:
        self.tokens = MemoryTokenCache()
        if age is not None:
            self.tokens.kept[CHAT] = "user_Ada", CachedToken("kept", at(-age), at(life - age))
        self.telemetry = RecordingTelemetry()
        self.reuse = TokenFallback(
            self.tokens, self.telemetry, always=always, ttl=TTL, clock=Clock(NOW), jitter=lambda: jitter
        )

    def young(self, whop_user: str = "user_Ada") -> ChatToken | None:
        with self.reuse.lookup(ADA, SCOPES, deadline=AN_HOUR) as last:
            return last.fresh(whop_user)

    def instead(self, whop_user: str = "user_Ada", wait: int = 0) -> ChatToken | None:
        with self.reuse.lookup(ADA, SCOPES, deadline=AN_HOUR) as last:
            return last.fallback(whop_user, wait=wait, reason="unavailable")

    def replace(self, whop_user: str = "user_Ada") -> bool:
        """Whether a new token for this Whop user is the one that is kept now."""
        with self.reuse.lookup(ADA, SCOPES, deadline=AN_HOUR) as last:
            last.replace(whop_user, ChatToken("new", at(HOUR), at(HOUR), SCOPES), minted_at=at(0))
        return self.tokens.kept.get(CHAT) == (whop_user, CachedToken("new", at(0), at(HOUR)))


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(NOW + seconds, UTC)


@pytest.mark.parametrize(("age", "answered"), [(0, True), (HOUR // 2, True), (HOUR // 2 + 1, False), (HOUR, False)])
def test_always_answers_in_the_first_half_of_a_life(age: int, answered: bool) -> None:
    assert (Case(age, always=True).young() is not None) is answered


def test_a_reused_token_ends_and_is_refreshed_when_it_would_have_been() -> None:
    again = ChatToken("kept", expires_at=at(3000), refresh_after=at(2280), scopes=SCOPES, reused="fresh")

    assert Case(600, always=True).young() == again


def test_a_token_that_lives_for_moments_is_never_young() -> None:
    assert Case(0, always=True, life=59).young() is None


def test_a_token_from_when_they_lived_longer_is_not_answered_and_is_replaced() -> None:
    case = Case(0, always=True, life=HOUR + 1)

    assert (case.young(), case.instead()) == (None, None)
    assert case.replace()


def test_on_error_does_not_answer_while_nothing_fails() -> None:
    assert Case(0).young() is None


@pytest.mark.parametrize("always", [False, True])
@pytest.mark.parametrize(
    ("age", "answered"),
    [(0, True), (HOUR - 60, True), (HOUR - 59, False), (2 * HOUR, False)],
)
def test_both_answer_up_to_a_minute_before_the_end_when_whop_fails(age: int, answered: bool, always: bool) -> None:
    assert (Case(age, always=always).instead() is not None) is answered


@pytest.mark.parametrize(
    ("age", "wait", "jitter", "refresh_after"),
    [
        (600, 0, 0.0, 2280),  # its own time is far away
        (2860, 0, 0.0, 60),  # its own is too near, or past: soon
        (2950, 0, 1.0, 120),
        (2950, 90, 0.5, 120),  # not within the wait that Whop told
        (3500, 0, 1.0, 50),  # before half of what is left is over
    ],
)
def test_a_token_in_place_of_a_new_one_is_refreshed_soon_but_not_at_once(
    age: int, wait: int, jitter: float, refresh_after: int
) -> None:
    token = Case(age, jitter=jitter).instead(wait=wait)

    assert token is not None
    assert token == ChatToken("kept", at(HOUR - age), at(refresh_after), SCOPES, reused="unavailable")


def test_a_token_of_another_whop_user_is_nobody_s() -> None:
    case = Case(0, always=True)
    assert (case.young("user_Ben"), case.instead("user_Ben")) == (None, None)


@pytest.mark.parametrize(("age", "kept"), [(None, True), (0, False), (HOUR // 2, False), (HOUR // 2 + 1, True)])
def test_a_token_is_kept_only_when_the_last_one_is_past_half_of_its_life(age: int | None, kept: bool) -> None:
    assert Case(age).replace() is kept


def test_a_token_of_another_whop_user_is_replaced() -> None:
    assert Case(0).replace("user_Ben")


@pytest.mark.parametrize("error", [AwsError("ThrottlingException"), UnusableDataKey(), RuntimeError("a defect")])
def test_what_cannot_be_read_is_not_there_and_is_left_alone(error: Exception) -> None:
    case = Case(0, always=True)
    case.tokens.reading = error

    assert (case.young(), case.instead(), case.replace()) == (None, None, False)
    assert case.telemetry.failures == [(error, "cached token not read")] * 3


def test_what_cannot_be_read_is_told_once_in_a_request() -> None:
    case = Case(0)
    case.tokens.reading = AwsError("ThrottlingException")
    with case.reuse.lookup(ADA, SCOPES, deadline=AN_HOUR) as last:
        assert last.fresh("user_Ada") is None
        assert last.fallback("user_Ada", wait=0, reason="unavailable") is None

    assert len(case.telemetry.failures) == 1


@pytest.mark.parametrize("error", [AwsError("ThrottlingException"), UnusableDataKey()])
def test_what_cannot_be_kept_costs_a_line_in_the_log(error: Exception) -> None:
    case = Case(None)
    case.tokens.writing = error

    assert not case.replace()
    assert case.telemetry.failures == [(error, "token not cached")]


def test_reading_and_keeping_have_a_small_time_of_their_own() -> None:
    case = Case(None)
    case.replace()

    assert len(case.tokens.seconds) == 2
    assert all(0 < seconds <= 0.3 for seconds in case.tokens.seconds)


def test_the_token_is_looked_for_while_the_caller_does_something_else() -> None:
    started, go_on = threading.Event(), threading.Event()

    class Slow(MemoryTokenCache):
        def load(self, cache_key: CacheKey, *, deadline: Deadline) -> CacheEntry:
            started.set()
            assert go_on.wait(5)
            return super().load(cache_key, deadline=deadline)

    tokens = Slow()
    tokens.kept[CHAT] = "user_Ada", CachedToken("kept", at(0), at(HOUR))
    reuse = TokenFallback(tokens, RecordingTelemetry(), always=True, ttl=TTL, clock=Clock(NOW))
    with reuse.lookup(ADA, SCOPES, deadline=AN_HOUR) as last:
        assert started.wait(5)
        go_on.set()
        assert last.fresh("user_Ada") is not None


def test_nothing_is_under_way_any_more_when_the_request_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    waited_for = threading.Event()
    patience: list[float | None] = []

    class Joined(threading.Thread):
        def join(self, timeout: float | None = None) -> None:
            patience.append(timeout)
            waited_for.set()
            super().join(5)

    class Slow(MemoryTokenCache):
        def load(self, cache_key: CacheKey, *, deadline: Deadline) -> CacheEntry:
            assert waited_for.wait(5)
            return super().load(cache_key, deadline=deadline)

    tokens = Slow()
    monkeypatch.setattr(threading, "Thread", Joined)
    reuse = TokenFallback(tokens, RecordingTelemetry(), always=True, ttl=TTL)
    with pytest.raises(KeyError), reuse.lookup(ADA, SCOPES, deadline=AN_HOUR):
        raise KeyError

    assert len(tokens.seconds) == 1
    assert all(seconds is not None and 0.3 <= seconds <= 0.6 for seconds in patience)
