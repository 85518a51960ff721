"""When a key set is fetched, how long its keys are used, and who waits for whom."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.fakes.tokens import SigningKey, key_set_document, signing_key
from whop_chat.cognito.jwks import (
    COOLDOWN_SECONDS,
    FETCH_SECONDS,
    FIRST_BACKOFF_SECONDS,
    MAX_AGE_SECONDS,
    MAX_REMEMBERED_KIDS,
    MAX_STALE_SECONDS,
    REFRESH_SECONDS,
    JwkSet,
    JwksUnavailable,
    UnknownKey,
)
from whop_chat.runtime.deadline import Deadline

OLD, NEW = signing_key("current"), signing_key("second")
# Threads that should finish at once get this long, in seconds, before the test fails.
PATIENCE = 10.0


class Clock:
    """A clock that stands still until it is told, and knows which threads have looked at it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.readers: set[int] = set()
        self._looked = threading.Condition()

    def __call__(self) -> float:
        with self._looked:
            self.readers.add(threading.get_ident())
            self._looked.notify_all()
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds

    def wait_for_readers(self, count: int) -> None:
        with self._looked:
            assert self._looked.wait_for(lambda: len(self.readers) >= count, PATIENCE)


class KeyServer:
    """Publishes keys, counts who asks, and can be dead or slow."""

    def __init__(self, *keys: SigningKey) -> None:
        self.keys = keys
        self.fetches = 0
        self.deadlines: list[Deadline] = []
        self.fails_with: BaseException | None = None
        self.before_answer: Callable[[], object] = lambda: None

    def __call__(self, deadline: Deadline) -> bytes:
        self.fetches += 1
        self.deadlines.append(deadline)
        self.before_answer()
        if self.fails_with:
            raise self.fails_with
        return key_set_document(*self.keys)

    def die(self) -> None:
        self.fails_with = ConnectionError("refused")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server() -> KeyServer:
    return KeyServer(OLD)


@pytest.fixture
def jwks(server: KeyServer, clock: Clock) -> JwkSet:
    return JwkSet(server, clock=clock)


def accepts(jwks: JwkSet, key: SigningKey) -> bool:
    try:
        found = jwks.key(key.kid, deadline=Deadline(PATIENCE))
    except UnknownKey:
        return False
    assert found == key.private.public_key()
    return True


def unavailable(jwks: JwkSet, key: SigningKey) -> JwksUnavailable:
    with pytest.raises(JwksUnavailable) as failure:
        jwks.key(key.kid, deadline=Deadline(PATIENCE))
    return failure.value


def look_up_random_kids(jwks: JwkSet, count: int, *, seconds: float = PATIENCE) -> None:
    for number in range(count):
        with pytest.raises((UnknownKey, JwksUnavailable)):
            jwks.key(f"made-up-{number}", deadline=Deadline(seconds))


# Fresh


def test_nothing_is_fetched_before_a_key_is_asked_for(jwks: JwkSet, server: KeyServer) -> None:
    assert server.fetches == 0


def test_one_fetch_serves_until_the_maximum_age(jwks: JwkSet, server: KeyServer, clock: Clock) -> None:
    assert accepts(jwks, OLD)
    clock.pass_by(MAX_AGE_SECONDS - 1)
    assert all(accepts(jwks, OLD) for _ in range(100))
    assert server.fetches == 1

    clock.pass_by(1)
    assert accepts(jwks, OLD)
    assert server.fetches == 2


def test_the_age_of_keys_counts_from_when_they_were_asked_for(jwks: JwkSet, server: KeyServer, clock: Clock) -> None:
    server.before_answer = lambda: clock.pass_by(2)
    assert accepts(jwks, OLD)

    clock.pass_by(MAX_AGE_SECONDS - 2)
    assert accepts(jwks, OLD)

    assert server.fetches == 2


def test_a_dead_key_server_costs_nothing_while_keys_are_fresh(jwks: JwkSet, server: KeyServer, clock: Clock) -> None:
    assert accepts(jwks, OLD)
    server.die()

    clock.pass_by(MAX_AGE_SECONDS - 1)
    assert all(accepts(jwks, OLD) for _ in range(100))

    assert server.fetches == 1


def test_a_fetch_is_given_a_deadline_of_its_own(jwks: JwkSet, server: KeyServer) -> None:
    jwks.key(OLD.kid, deadline=Deadline(600))

    assert 0 < server.deadlines[0].remaining() <= FETCH_SECONDS


def test_a_fetch_does_not_outlast_the_caller(jwks: JwkSet, server: KeyServer) -> None:
    jwks.key(OLD.kid, deadline=Deadline(0.5))

    assert 0 < server.deadlines[0].remaining() <= 0.5


def test_a_fetch_beside_a_usable_key_gets_half_a_second(jwks: JwkSet, server: KeyServer, clock: Clock) -> None:
    assert accepts(jwks, OLD)
    clock.pass_by(MAX_AGE_SECONDS)
    assert accepts(jwks, OLD)

    assert 0 < server.deadlines[1].remaining() <= REFRESH_SECONDS == 0.5


def test_without_a_usable_key_a_fetch_gets_all_its_time(jwks: JwkSet, server: KeyServer, clock: Clock) -> None:
    assert accepts(jwks, OLD)
    clock.pass_by(COOLDOWN_SECONDS)
    assert not accepts(jwks, NEW)
    clock.pass_by(MAX_AGE_SECONDS + MAX_STALE_SECONDS)
    assert accepts(jwks, OLD)

    assert all(deadline.remaining() > REFRESH_SECONDS for deadline in server.deadlines)


# Unknown keys and rotation


def test_made_up_kids_make_one_fetch_a_cooldown(jwks: JwkSet, server: KeyServer, clock: Clock) -> None:
    assert accepts(jwks, OLD)

    for cooldown in range(5):
        look_up_random_kids(jwks, 200)
        assert server.fetches == 1 + cooldown
        clock.pass_by(COOLDOWN_SECONDS - 1)
        look_up_random_kids(jwks, 200)
        assert server.fetches == 1 + cooldown
        clock.pass_by(1)


def test_made_up_kids_do_not_hold_up_the_others(jwks: JwkSet, server: KeyServer, clock: Clock) -> None:
    look_up_random_kids(jwks, 10)

    assert accepts(jwks, OLD)
    assert server.fetches == 1


def test_a_new_key_is_found_in_the_middle_of_traffic(jwks: JwkSet, server: KeyServer, clock: Clock) -> None:
    assert accepts(jwks, OLD)
    clock.pass_by(COOLDOWN_SECONDS)

    server.keys = (OLD, NEW)

    assert accepts(jwks, NEW)
    assert accepts(jwks, OLD)
    assert server.fetches == 2


@pytest.mark.parametrize("count", [10, 10 * MAX_REMEMBERED_KIDS])
def test_a_new_key_is_found_within_a_cooldown_even_under_attack(
    jwks: JwkSet, server: KeyServer, clock: Clock, count: int
) -> None:
    look_up_random_kids(jwks, 10)
    server.keys = (OLD, NEW)
    clock.pass_by(1)
    assert unavailable(jwks, NEW).retry_after == COOLDOWN_SECONDS - 1
    look_up_random_kids(jwks, count)

    clock.pass_by(COOLDOWN_SECONDS - 1)

    assert accepts(jwks, NEW)


def test_a_kid_is_refused_once_a_fetch_began_after_it_was_first_seen(
    jwks: JwkSet, server: KeyServer, clock: Clock
) -> None:
    assert accepts(jwks, OLD)
    clock.pass_by(1)
    unavailable(jwks, NEW)

    clock.pass_by(COOLDOWN_SECONDS)
    assert not accepts(jwks, NEW)
    clock.pass_by(1)
    assert not accepts(jwks, NEW)

    assert server.fetches == 2


def test_a_fetch_that_began_before_a_kid_was_seen_does_not_refuse_it(
    jwks: JwkSet, server: KeyServer, clock: Clock
) -> None:
    clock.readers.clear()

    def seen_meanwhile() -> None:
        clock.pass_by(1)
        server.before_answer = lambda: None
        other = pool.submit(unavailable, jwks, NEW)
        clock.wait_for_readers(2)
        late.append(other)

    late: list[Future[JwksUnavailable]] = []
    server.before_answer = seen_meanwhile
    with ThreadPoolExecutor(1) as pool:
        assert accepts(jwks, OLD)

        assert late[0].result(PATIENCE).retry_after == COOLDOWN_SECONDS


def test_no_more_kids_are_remembered_than_the_maximum(jwks: JwkSet, server: KeyServer, clock: Clock) -> None:
    assert accepts(jwks, OLD)
    clock.pass_by(1)
    unavailable(jwks, NEW)
    look_up_random_kids(jwks, MAX_REMEMBERED_KIDS - 1)
    clock.pass_by(COOLDOWN_SECONDS)
    assert not accepts(jwks, NEW)
    clock.pass_by(1)
    assert not accepts(jwks, NEW)

    # With one more, the oldest is forgotten.
    unavailable(jwks, signing_key("stranger"))

    unavailable(jwks, NEW)


def test_a_withdrawn_key_is_refused_within_the_maximum_age(jwks: JwkSet, server: KeyServer, clock: Clock) -> None:
    server.keys = (OLD, NEW)
    assert accepts(jwks, OLD)
    server.keys = (NEW,)

    clock.pass_by(MAX_AGE_SECONDS)

    assert not accepts(jwks, OLD)
    assert accepts(jwks, NEW)


def test_a_withdrawn_key_is_refused_as_soon_as_another_key_causes_a_fetch(
    jwks: JwkSet, server: KeyServer, clock: Clock
) -> None:
    jwks.prefetch(deadline=Deadline(PATIENCE))
    assert accepts(jwks, OLD)
    server.keys = (NEW,)
    clock.pass_by(COOLDOWN_SECONDS)

    assert accepts(jwks, NEW)
    clock.pass_by(1)
    assert not accepts(jwks, OLD)


def test_a_kid_that_is_used_again_means_the_new_key(jwks: JwkSet, server: KeyServer, clock: Clock) -> None:
    assert accepts(jwks, OLD)
    replaced = SigningKey(OLD.kid, NEW.private)
    server.keys = (replaced,)

    clock.pass_by(MAX_AGE_SECONDS)

    assert accepts(jwks, replaced)


def test_a_kid_that_is_forgotten_during_its_fetch_is_not_refused(jwks: JwkSet, server: KeyServer, clock: Clock) -> None:
    server.before_answer = lambda: look_up_random_kids(jwks, MAX_REMEMBERED_KIDS, seconds=0)

    unavailable(jwks, NEW)


# Failures


def test_without_keys_the_wait_is_told(jwks: JwkSet, server: KeyServer) -> None:
    server.die()

    failure = unavailable(jwks, OLD)

    assert (failure.retry_after, failure.detail) == (1, "ConnectionError")


def test_failing_fetches_back_off_from_one_second_to_the_cooldown(
    jwks: JwkSet, server: KeyServer, clock: Clock
) -> None:
    server.die()
    started = clock.now
    attempts = []

    while clock.now < started + 200:
        fetches = server.fetches
        unavailable(jwks, OLD)
        if server.fetches > fetches:
            attempts.append(clock.now - started)
        clock.pass_by(0.5)

    assert attempts == [0, 1, 3, 7, 15, 31, 61, 91, 121, 151, 181]
    assert attempts[1] == FIRST_BACKOFF_SECONDS
    assert attempts[-1] - attempts[-2] == COOLDOWN_SECONDS


def test_the_back_off_counts_from_the_end_of_a_slow_failure(jwks: JwkSet, server: KeyServer, clock: Clock) -> None:
    server.before_answer = lambda: clock.pass_by(FETCH_SECONDS)
    server.die()
    unavailable(jwks, OLD)

    unavailable(jwks, OLD)

    assert server.fetches == 1


def test_the_wait_that_is_told_is_the_time_to_the_next_fetch(jwks: JwkSet, server: KeyServer, clock: Clock) -> None:
    server.die()
    unavailable(jwks, OLD)
    clock.pass_by(1)
    unavailable(jwks, OLD)
    clock.pass_by(1)
    unavailable(jwks, OLD)
    clock.pass_by(1)

    assert unavailable(jwks, OLD).retry_after == 4


def test_an_outage_of_days_ends_with_the_first_answer(jwks: JwkSet, server: KeyServer, clock: Clock) -> None:
    server.die()
    for _ in range(3000):
        unavailable(jwks, OLD)
        clock.pass_by(COOLDOWN_SECONDS)

    server.fails_with = None

    assert accepts(jwks, OLD)


def test_a_success_ends_the_back_off(jwks: JwkSet, server: KeyServer, clock: Clock) -> None:
    server.die()
    for _ in range(10):
        unavailable(jwks, OLD)
        clock.pass_by(COOLDOWN_SECONDS)
    server.fails_with = None
    assert accepts(jwks, OLD)
    clock.pass_by(MAX_AGE_SECONDS + MAX_STALE_SECONDS)
    server.die()

    assert unavailable(jwks, OLD).retry_after == FIRST_BACKOFF_SECONDS


def test_stale_keys_bridge_an_outage_at_the_price_of_the_back_off(
    jwks: JwkSet, server: KeyServer, clock: Clock
) -> None:
    assert accepts(jwks, OLD)
    server.die()
    clock.pass_by(MAX_AGE_SECONDS)

    while clock.now < 1000 + MAX_AGE_SECONDS + MAX_STALE_SECONDS:
        assert accepts(jwks, OLD)
        clock.pass_by(1)

    # 1 + 2 + 4 + 8 + 16 seconds, and then one attempt a cooldown.
    assert server.fetches - 1 <= 5 + MAX_STALE_SECONDS / COOLDOWN_SECONDS


def test_stale_keys_are_not_used_for_ever(jwks: JwkSet, server: KeyServer, clock: Clock) -> None:
    assert accepts(jwks, OLD)
    server.die()
    clock.pass_by(MAX_AGE_SECONDS + MAX_STALE_SECONDS - 1)
    assert accepts(jwks, OLD)

    clock.pass_by(1)

    unavailable(jwks, OLD)


def test_stale_keys_are_replaced_as_soon_as_the_key_server_answers(
    jwks: JwkSet, server: KeyServer, clock: Clock
) -> None:
    assert accepts(jwks, OLD)
    server.die()
    clock.pass_by(MAX_AGE_SECONDS)
    assert accepts(jwks, OLD)
    server.fails_with, server.keys = None, (NEW,)

    clock.pass_by(FIRST_BACKOFF_SECONDS)

    assert accepts(jwks, NEW)
    assert not accepts(jwks, OLD)


def test_an_unknown_kid_is_not_refused_while_the_key_server_is_dead(
    jwks: JwkSet, server: KeyServer, clock: Clock
) -> None:
    assert accepts(jwks, OLD)
    server.die()
    clock.pass_by(COOLDOWN_SECONDS)

    assert unavailable(jwks, NEW).retry_after == COOLDOWN_SECONDS
    assert accepts(jwks, OLD)


def test_a_kid_that_was_refused_stays_so_while_the_key_server_is_dead(
    jwks: JwkSet, server: KeyServer, clock: Clock
) -> None:
    assert not accepts(jwks, NEW)
    server.die()

    clock.pass_by(COOLDOWN_SECONDS)

    assert not accepts(jwks, NEW)
    assert server.fetches == 2


def test_made_up_kids_make_one_fetch_a_cooldown_at_a_dead_key_server(
    jwks: JwkSet, server: KeyServer, clock: Clock
) -> None:
    assert accepts(jwks, OLD)
    server.die()
    clock.pass_by(COOLDOWN_SECONDS)

    for _ in range(int(COOLDOWN_SECONDS)):
        unavailable(jwks, NEW)
        clock.pass_by(0.9)

    assert server.fetches == 2


def test_a_document_that_is_no_key_set_is_a_failure_like_any_other(
    jwks: JwkSet, server: KeyServer, clock: Clock
) -> None:
    assert accepts(jwks, OLD)
    server.keys = ()
    clock.pass_by(MAX_AGE_SECONDS)

    assert accepts(jwks, OLD)
    assert unavailable(jwks, NEW).detail == "no usable key"


def test_a_fetch_that_is_interrupted_does_not_block_the_next(jwks: JwkSet, server: KeyServer, clock: Clock) -> None:
    server.fails_with = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        jwks.key(OLD.kid, deadline=Deadline(PATIENCE))
    server.fails_with = None

    clock.pass_by(FIRST_BACKOFF_SECONDS)

    assert accepts(jwks, OLD)


def test_a_caller_without_time_left_is_told_to_come_back(jwks: JwkSet, server: KeyServer) -> None:
    with pytest.raises(JwksUnavailable) as failure:
        jwks.key(OLD.kid, deadline=Deadline(0))

    assert (failure.value.retry_after, failure.value.detail) == (1, "no time left to fetch")
    assert server.fetches == 0
    assert accepts(jwks, OLD)


def test_a_caller_without_time_left_does_not_get_an_unknown_kid_refused(
    jwks: JwkSet, server: KeyServer, clock: Clock
) -> None:
    assert accepts(jwks, OLD)
    clock.pass_by(COOLDOWN_SECONDS)

    with pytest.raises(JwksUnavailable):
        jwks.key(NEW.kid, deadline=Deadline(0))


# Before the first key is asked for


def test_a_prefetch_saves_the_first_fetch(jwks: JwkSet, server: KeyServer) -> None:
    jwks.prefetch(deadline=Deadline(PATIENCE))
    assert server.fetches == 1

    assert accepts(jwks, OLD)
    assert server.fetches == 1


def test_a_failed_prefetch_is_not_told(jwks: JwkSet, server: KeyServer, clock: Clock) -> None:
    server.die()
    jwks.prefetch(deadline=Deadline(PATIENCE))
    server.fails_with = None

    clock.pass_by(FIRST_BACKOFF_SECONDS)

    assert accepts(jwks, OLD)


# Many threads


def test_whoever_waits_goes_on_as_soon_as_the_fetch_ends(jwks: JwkSet, server: KeyServer, clock: Clock) -> None:
    server.before_answer = lambda: clock.wait_for_readers(20)

    started = time.monotonic()
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda _: accepts(jwks, OLD), range(20)))

    # Left alone, a waiting thread would sleep until its deadline.
    assert time.monotonic() - started < PATIENCE / 2


def stampede[T](ask: Callable[[], T], server: KeyServer, clock: Clock) -> list[T]:
    """What fifty threads get. The key server answers only after each of them has found that it has no key."""
    clock.readers.clear()
    server.before_answer = lambda: clock.wait_for_readers(50)
    with ThreadPoolExecutor(50) as pool:
        return list(pool.map(lambda _: ask(), range(50)))


def test_a_stampede_of_fifty_threads_makes_one_fetch(jwks: JwkSet, server: KeyServer, clock: Clock) -> None:
    assert stampede(lambda: accepts(jwks, OLD), server, clock) == [True] * 50
    assert server.fetches == 1


def test_a_stampede_at_the_maximum_age_makes_one_fetch(jwks: JwkSet, server: KeyServer, clock: Clock) -> None:
    assert accepts(jwks, OLD)
    clock.pass_by(MAX_AGE_SECONDS)

    assert stampede(lambda: accepts(jwks, OLD), server, clock) == [True] * 50
    assert server.fetches == 2


def test_a_stampede_at_a_dead_key_server_makes_one_fetch(jwks: JwkSet, server: KeyServer, clock: Clock) -> None:
    server.die()
    failures = stampede(lambda: unavailable(jwks, OLD), server, clock)

    assert {failure.retry_after for failure in failures} == {1}
    assert server.fetches == 1


def test_a_stampede_of_made_up_kids_makes_one_fetch(jwks: JwkSet, server: KeyServer, clock: Clock) -> None:
    assert accepts(jwks, OLD)
    clock.pass_by(COOLDOWN_SECONDS)
    stampede(lambda: look_up_random_kids(jwks, 5), server, clock)

    assert server.fetches == 2


@contextlib.contextmanager
def hanging_fetch(jwks: JwkSet, server: KeyServer, key: SigningKey) -> Iterator[Future[bool]]:
    """A fetch that another thread needs for ``key``, and that lands when the block ends."""
    asked, answer = threading.Event(), threading.Event()

    def slowly() -> None:
        asked.set()
        assert answer.wait(PATIENCE)

    server.before_answer = slowly
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(accepts, jwks, key)
        assert asked.wait(PATIENCE)
        try:
            yield slow
        finally:
            answer.set()
    assert slow.result() is (key in server.keys)


def test_whoever_has_a_fresh_key_does_not_wait_for_a_fetch(jwks: JwkSet, server: KeyServer, clock: Clock) -> None:
    assert accepts(jwks, OLD)
    clock.pass_by(COOLDOWN_SECONDS)
    server.keys = (OLD, NEW)
    with hanging_fetch(jwks, server, NEW) as slow:
        assert all(accepts(jwks, OLD) for _ in range(100))

        assert not slow.done()


def test_whoever_has_a_usable_key_waits_half_a_second_for_the_fetch_of_another(
    jwks: JwkSet, server: KeyServer, clock: Clock
) -> None:
    assert accepts(jwks, OLD)
    clock.pass_by(MAX_AGE_SECONDS)
    with hanging_fetch(jwks, server, NEW):
        started = time.monotonic()
        assert accepts(jwks, OLD)
        waited = time.monotonic() - started

    assert REFRESH_SECONDS * 0.9 < waited < FETCH_SECONDS


def test_whoever_waits_for_a_fetch_waits_no_longer_than_its_own_deadline(
    jwks: JwkSet, server: KeyServer, clock: Clock
) -> None:
    with hanging_fetch(jwks, server, OLD) as slow:
        started = time.monotonic()
        with pytest.raises(JwksUnavailable):
            jwks.key(OLD.kid, deadline=Deadline(0.05))
        waited = time.monotonic() - started

        assert not slow.done()
    assert waited < PATIENCE / 2
