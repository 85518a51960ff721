"""Runs over a pool, in memory: what they find, how they end, and what a kill costs."""

import itertools
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any, cast

import pytest

from tests.fakes.clock import Clock
from tests.fakes.memory_checkpoints import MemoryCheckpoints
from tests.fakes.memory_pool import PAGE, MemoryPool
from tests.fakes.memory_runs import MemoryRuns
from tests.fakes.memory_users import MemoryUserRepository
from tests.fakes.telemetry import RecordingTelemetry
from whop_chat.cognito.display_name import profile_digest
from whop_chat.cognito.pool import PoolStatus
from whop_chat.cognito.user import UserRef
from whop_chat.enrolment.email_policy import VerifiedEmail
from whop_chat.reconcile.command import Command, InvalidCommand
from whop_chat.reconcile.drift import Drift
from whop_chat.reconcile.report import report_of
from whop_chat.reconcile.run import USERS_PER_MINUTE, Reconcile
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline
from whop_chat.sync.queue import MAX_BATCH, QueueDepth, Source
from whop_chat.users.record import Record, Status
from whop_chat.users.runs import State
from whop_chat.whop.rate_limit import WINDOW_SECONDS, Priority, permits_per_window

POOL = "eu-west-1_Pool"
START, BACKFILL = Command("start"), Command("start", backfill=True)
CONTINUE, STOP = Command("continue"), Command("stop")


class Killed(BaseException):
    """The invocation is gone; nothing of it runs any more."""


class Queue:
    """Keeps who was sent when, and for when."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.sent: list[tuple[float, UserRef]] = []
        self.sources: set[Source] = set()
        self.backlog = QueueDepth(0, 0)

    def send_many(
        self, users: Collection[UserRef], source: Source, *, run: str, delay_seconds: int, deadline: Deadline
    ) -> None:
        assert 1 <= len(users) <= MAX_BATCH
        assert 0 <= delay_seconds <= 900
        self.sources.add(source)
        self.sent += [(self._clock() + delay_seconds, user) for user in users]

    def depth(self, *, deadline: Deadline) -> QueueDepth:
        return self.backlog

    @property
    def subs(self) -> list[str]:
        return [user.sub for _, user in self.sent]


class Interrupted:
    """Another object, whose ``at``-th call of all is killed, or fails, before it is made or after it."""

    def __init__(self, inner: Any, interruption: "Interruption") -> None:
        self._inner = inner
        self._interruption = interruption

    def __getattr__(self, name: str) -> Any:
        made = getattr(self._inner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self._interruption.before(name)
            answer = made(*args, **kwargs)
            self._interruption.after(name)
            return answer

        return call


def disturbed[T](part: T, interruption: "Interruption | None") -> T:
    """``part`` with its calls under an interruption."""
    return cast(T, Interrupted(part, interruption)) if interruption else part


class Interruption:
    """Counts the calls of one invocation, or those of one name."""

    def __init__(self, error: BaseException, at: int, *, before: bool, only: str | None = None) -> None:
        self._error = error
        self._at = at
        self._before = before
        self._only = only
        self.calls = 0

    def before(self, name: str) -> None:
        self.calls += self._only in (None, name)
        self._raise_if(self._before, name)

    def after(self, name: str) -> None:
        self._raise_if(not self._before, name)

    def _raise_if(self, wanted: bool, name: str) -> None:
        if wanted and self.calls == self._at and self._only in (None, name):
            raise self._error


class Town:
    """A pool, its records, and a run over them whenever somebody asks for one."""

    def __init__(self, trusted: Collection[str] = ()) -> None:
        self.email_policy = VerifiedEmail(frozenset(trusted))
        self.clock = Clock(1_800_000_000.0)
        self.pool = MemoryPool(POOL)
        self.users = MemoryUserRepository()
        self.checkpoints = MemoryCheckpoints()
        self.runs = MemoryRuns()
        self.queue = Queue(self.clock)
        self.told = RecordingTelemetry()

    def reconcile(self, interruption: Interruption | None = None) -> Reconcile:
        """As a fresh execution environment has it."""
        return Reconcile(
            disturbed(self.pool, interruption),
            disturbed(self.users, interruption),
            disturbed(self.queue, interruption),
            disturbed(self.checkpoints, interruption),
            disturbed(self.runs, interruption),
            self.email_policy,
            self.told,
            pool_id=POOL,
            clock=self.clock,
            sleep=self.clock.advance,
        )

    def order(
        self, command: Command, *, seconds: float = 900, interruption: Interruption | None = None
    ) -> dict[str, Any]:
        """What is answered to ``order``, with ``seconds`` until the invocation ends."""
        end = self.clock() + seconds
        return self.reconcile(interruption).handle(command, lambda: end - self.clock())

    def finish(self) -> dict[str, Any]:
        """Tick after tick, as the schedule does, until the run has ended; its report."""
        for _ in range(10_000):
            checkpoint = self.checkpoints.checkpoint
            if checkpoint is not None and checkpoint.phase == "finished":
                return dict(self.checkpoints.reports[checkpoint.run])
            self.clock.advance(60)
            self.order(CONTINUE)
        raise AssertionError("the run does not end")

    def run(self, command: Command = START) -> dict[str, Any]:
        assert "refused" not in self.order(command)
        return self.finish()

    def record(self, user: UserRef, record: Record) -> None:
        self.users.put(user, record, expected=self.users.get(user))

    def link(self, user: UserRef, name: str | None = None) -> None:
        digest = profile_digest(user.sub, name) if name else None
        self.record(user, Record(status=Status.LINKED, whop_user_id=f"user_{user.sub}", profile_digest=digest))


def mixed(count: int = 130) -> tuple[Town, dict[str, int]]:
    """A town of ``count`` users of every kind, and the counts that a backfill of it comes to."""
    town = Town()
    kinds = itertools.cycle(
        (
            *("linked", "renamed", "missing", "passwordless", "unverified"),
            *("abandoned", "denied", "disabled", "re-enabled", "unconfirmed"),
        )
    )
    pool_statuses = {
        "disabled": PoolStatus.DISABLED,
        "unconfirmed": PoolStatus.INACTIVE,
        "passwordless": PoolStatus.PASSWORD_DUE,
    }
    met: Counter[str] = Counter()
    for number, kind in enumerate(itertools.islice(kinds, count)):
        met[kind] += 1
        pool_status = pool_statuses.get(kind, PoolStatus.ACTIVE)
        user = town.pool.join(f"{kind}-{number}", name="Ada", verified=kind != "unverified", pool_status=pool_status)
        match kind:
            case "linked" | "disabled":
                town.link(user, "Ada")
            case "renamed":
                town.link(user, "Eva")
            case "abandoned":
                town.record(user, Record(status=Status.PENDING, lease_until=1))
            case "denied":
                town.record(user, Record(status=Status.DENIED))
            case "re-enabled":
                town.record(user, Record(status=Status.DISABLED))
    for number in range(24):
        gone = UserRef(pool_id=POOL, sub=f"gone-{number}", username="gone")
        town.link(gone)
    town.record(UserRef(pool_id=POOL, sub="buried", username="buried"), Record(status=Status.DELETED, cleaned_at=1))
    town.record(UserRef(pool_id=POOL, sub="gone-half", username="gone"), Record(status=Status.DELETED))
    stale = met["renamed"] + met["disabled"] + met["re-enabled"]
    return town, {
        "seen": count,
        "in_step": met["linked"],
        "missing": met["missing"],
        "passwordless": met["passwordless"],
        "unfinished": met["abandoned"],
        "stale": stale,
        "picture": 0,
        "in_progress": 0,
        "blocked": met["unverified"],
        "denied": met["denied"],
        "disabled": 0,
        "inactive": met["unconfirmed"],
        "deleted": 0,
        "unreadable": 0,
        "linked": met["linked"] + met["renamed"] + met["disabled"],
        "may_conflict": 0,
        "unused_accounts": 0,
        "checked": 25,
        "orphaned": 25,
        "enqueued_create": met["missing"] + met["abandoned"],
        "enqueued_update": stale,
        "enqueued_orphan": 25,
    }


WANTED = ("missing", "abandoned", "renamed", "disabled", "re-enabled", "gone")


def wanted(town: Town) -> set[str]:
    """Whom a backfill has to hand on."""
    everybody = {*town.pool.people, *(sub for _, sub in town.users.records)}
    return {sub for sub in everybody if sub.startswith(WANTED)}


def test_a_backfill_hands_on_everybody_who_is_out_of_step_once_and_nobody_else() -> None:
    town, counts = mixed()
    report = town.run(BACKFILL)

    assert sorted(town.queue.subs) == sorted(wanted(town))
    assert town.queue.sources == {Source.ENROL, Source.RECONCILE}
    assert report["counts"] == counts
    assert report["blocked_by_reason"] == {"no_verified_email": counts["blocked"]}
    assert (report["outcome"], report["backfill"], report["dry_run"]) == ("completed", True, False)
    assert report["pages"] == -(-130 // PAGE)


def test_a_backfill_that_includes_them_hands_on_who_has_their_password_due() -> None:
    town, counts = mixed()
    report = town.run(Command("start", backfill=True, include_passwordless=True))

    without_password = {sub for sub in town.pool.people if sub.startswith("passwordless")}
    assert sorted(town.queue.subs) == sorted(wanted(town) | without_password)
    assert town.queue.sources == {Source.PASSWORDLESS, Source.RECONCILE}
    assert report["counts"] == {**counts, "enqueued_create": counts["enqueued_create"] + len(without_password)}
    assert report["include_passwordless"] is True


def test_without_the_flag_nobody_is_enrolled_who_never_was() -> None:
    town, counts = mixed()
    report = town.run(START)

    assert sorted(town.queue.subs) == sorted(sub for sub in wanted(town) if not sub.startswith("missing"))
    assert report["counts"] == {**counts, "enqueued_create": counts["unfinished"]}


def test_a_dry_run_counts_the_same_and_hands_on_nobody() -> None:
    town, counts = mixed()
    before = dict(town.users.records)
    report = town.run(Command("start", backfill=True, dry_run=True))

    assert town.queue.sent == []
    assert town.users.records == before
    assert report["counts"] == {**counts, "enqueued_create": 0, "enqueued_update": 0, "enqueued_orphan": 0}


def test_a_dry_run_foresees_who_shares_an_address_and_says_why_others_have_none() -> None:
    town = Town(trusted={"Google", "Okta"})
    for number in range(PAGE):
        town.pool.join(f"user-{number}")
    # Most of the other accounts are on the next page.
    town.pool.join("native", email="Ada@team.test")
    town.pool.join("google", email="ada@team.test", providers=("Google",))
    town.pool.join("okta", email="user-0@home.test", providers=("Okta",))
    town.link(town.pool.join("linked", email="eve@team.test"))
    town.pool.join("late", email="eve@team.test", providers=("Google",))
    town.pool.join("disabled", email="user-1@home.test", pool_status=PoolStatus.DISABLED)
    town.pool.join("unverified", email="user-2@home.test", verified=False)
    town.pool.join("facebook", email="user-3@home.test", providers=("Facebook",))
    report = town.run(Command("start", backfill=True, dry_run=True))

    assert report["may_conflict_by_provider"] == {"COGNITO": 2, "Google": 2, "Okta": 1}
    assert report["counts"]["may_conflict"] == 5
    assert report["counts"]["linked"] == 1
    assert report["blocked_by_reason"] == {"no_verified_email": 1, "provider_not_trusted": 1}
    assert town.run(BACKFILL)["may_conflict_by_provider"] == {}


def test_users_are_handed_on_by_the_name_the_pool_has_for_them_and_orphans_by_their_sub() -> None:
    town = Town()
    missing = town.pool.join("missing")
    town.link(UserRef(pool_id=POOL, sub="gone", username="forgotten"))
    town.run(BACKFILL)

    assert [user for _, user in town.queue.sent] == [missing, UserRef(pool_id=POOL, sub="gone", username="gone")]


def test_who_joins_while_a_run_is_under_way_is_no_orphan() -> None:
    town = Town()
    for number in range(PAGE):
        town.link(town.pool.join(f"user-{number}"))
    late = town.pool.join("late")
    town.link(late)
    page = town.pool.list_page
    town.pool.list_page = lambda token, *, deadline=None: page(None, deadline=deadline).__class__(  # type: ignore[method-assign]
        page(None).users, None
    )
    report = town.run()

    assert (report["counts"]["checked"], report["counts"]["orphaned"]) == (1, 0)
    assert town.queue.sent == []


def test_accounts_that_users_have_left_are_reported_by_their_external_ids() -> None:
    town = Town()
    moved, plain, blocked = (town.pool.join(name, name="Ada") for name in ("moved", "plain", "blocked"))
    town.record(moved, Record(status=Status.LINKED, whop_user_id="user_Moved", generation=2, tried=3))
    town.link(plain, "Ada")
    town.record(blocked, Record(status=Status.BLOCKED, reason="identity_conflict", generation=2))
    report = town.run()

    assert report["unused_accounts"] == [
        f"cognito:{POOL}:{sub}:{generation}" for sub, generation in [(moved.sub, 1), (moved.sub, 3), (blocked.sub, 1)]
    ]
    assert report["counts"]["unused_accounts"] == 3


def test_a_report_names_no_more_accounts_than_somebody_can_look_at() -> None:
    town = Town()
    for number in range(60):
        user = town.pool.join(f"moved-{number}", name="Ada")
        town.record(user, Record(status=Status.LINKED, whop_user_id=f"user_{number}", generation=2))
    report = town.run()

    assert (len(report["unused_accounts"]), report["counts"]["unused_accounts"]) == (50, 60)


def test_an_empty_pool_is_a_run_too() -> None:
    report = Town().run()

    assert (report["outcome"], report["counts"]["seen"], report["pages"]) == ("completed", 0, 1)


def test_a_run_reports_to_log_and_metrics_once() -> None:
    town, counts = mixed()
    town.run(BACKFILL)

    ((message, report),) = town.told.events
    assert (message, report["outcome"]) == ("reconciled", "completed")
    assert report["counts"]["missing"] == counts["missing"]
    assert [name for name, *_ in town.told.counts] == ["ReconcilesFinished"]


@pytest.mark.parametrize(("seconds", "counted"), [(3599, []), (3601, ["ReconcilesUnfinished"])])
def test_a_tick_counts_a_run_without_progress_for_an_hour(seconds: float, counted: list[str]) -> None:
    town, _ = mixed()
    for command in (BACKFILL, CONTINUE):
        town.order(command, interruption=Interruption(AwsError("x"), 1, before=True, only="list_page"))
        town.clock.advance(seconds)

    assert [name for name, *_ in town.told.counts] == counted


# Kills


def calls_of_a_run(command: Command) -> int:
    """How many calls a run makes that nobody disturbs, and that is done in one invocation."""
    town, _ = mixed()
    interruption = Interruption(Killed(), 0, before=True)
    answer = town.order(command, seconds=1e6, interruption=interruption)
    assert answer["phase"] == "finished"
    return interruption.calls


CALLS = calls_of_a_run(BACKFILL)


@pytest.mark.thorough
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_run_that_is_killed_at_any_call_and_goes_on_loses_nobody_and_counts_nobody_twice(before: bool) -> None:
    assert CALLS > 25
    for at in range(1, CALLS + 1):
        town, counts = mixed()
        with pytest.raises(Killed):
            town.order(BACKFILL, seconds=1e6, interruption=Interruption(Killed(), at, before=before))
        if town.checkpoints.checkpoint is None:  # killed before it had begun
            town.order(BACKFILL)
        report = town.finish()

        assert set(town.queue.subs) == wanted(town), at
        assert report["counts"] == counts, at
        # What one step had handed on may be handed on once more: a page, or what is confirmed at once.
        assert len(town.queue.subs) - len(wanted(town)) <= PAGE, at


@pytest.mark.parametrize("before", [True, False], ids=["before it is saved", "after it is saved"])
def test_a_run_that_is_killed_at_every_page_loses_nobody_and_counts_nobody_twice(before: bool) -> None:
    town, counts = mixed()
    town.order(BACKFILL, seconds=0)
    kills = 0
    while town.checkpoints.checkpoint is None or town.checkpoints.checkpoint.phase == "listing":
        town.clock.advance(301)
        # The first thing that an invocation saves is that it has the run, the second is its first page.
        at = 3 if before else 2
        with pytest.raises(Killed):
            town.order(CONTINUE, interruption=Interruption(Killed(), at, before=before, only="save"))
        kills += 1
    report = town.finish()

    assert kills == report["pages"] == -(-130 // PAGE)
    assert set(town.queue.subs) == wanted(town)
    assert report["counts"] == counts


def test_a_killed_run_goes_on_before_its_lease_ends_if_an_operator_says_so() -> None:
    town, counts = mixed()
    with pytest.raises(Killed):
        town.order(BACKFILL, interruption=Interruption(Killed(), 2, before=True, only="save"))
    assert town.order(CONTINUE)["refused"] == "nothing to do yet"

    assert "refused" not in town.order(Command("continue", force=True))
    assert town.finish()["counts"] == counts


@pytest.mark.thorough
@pytest.mark.parametrize("before", [True, False], ids=["request lost", "answer lost"])
def test_a_call_that_fails_ends_the_invocation_and_the_next_tick_goes_on(before: bool) -> None:
    error = AwsError("ServiceUnavailable")
    for at in range(1, CALLS + 1):
        town, counts = mixed()
        town.order(BACKFILL, seconds=1e6, interruption=Interruption(error, at, before=before))
        if town.checkpoints.checkpoint is None:
            town.order(BACKFILL)
        report = town.finish()

        assert set(town.queue.subs) == wanted(town), at
        assert report["counts"] == counts, at
        assert town.runs.states[report["run"]].keys() == wanted(town), at
        assert town.told.defects == 0


def test_an_invocation_stops_before_its_time_is_up_and_the_next_tick_goes_on_at_once() -> None:
    town, counts = mixed()
    first = town.order(BACKFILL, seconds=15.1)

    assert (first["phase"], first["pages"]) == ("listing", 2)
    assert town.clock() < 1_800_000_000.0 + 12
    assert town.finish()["counts"] == counts


# Two at once


def test_a_second_run_is_refused_while_one_is_under_way_and_told_which() -> None:
    town, _ = mixed()
    first = town.order(BACKFILL, seconds=15.1)
    second = town.order(START)

    assert second["refused"] == "a run is under way"
    assert second["run"] == first["run"]
    assert second["counts"] == first["counts"]


def test_a_run_that_has_stood_still_gives_way_and_is_reported_as_far_as_it_came() -> None:
    town, counts = mixed()
    first = town.order(BACKFILL, seconds=15.1)
    town.clock.advance(3601)
    town.run(BACKFILL)

    reports = town.checkpoints.reports
    assert len(reports) == 2
    assert reports[first["run"]]["outcome"] == "replaced"
    assert reports[first["run"]]["counts"]["seen"] == first["counts"]["seen"] > 0
    assert [report["counts"] for run, report in reports.items() if run != first["run"]] == [counts]


def test_a_tick_leaves_a_run_alone_that_another_invocation_has_in_hand() -> None:
    town, _ = mixed()
    interruption = Interruption(Killed(), 9, before=True)
    with pytest.raises(Killed):
        town.order(BACKFILL, interruption=interruption)
    checkpoint = town.checkpoints.checkpoint

    assert town.order(CONTINUE)["refused"] == "nothing to do yet"
    assert town.checkpoints.checkpoint == checkpoint


@pytest.mark.parametrize("call", ["list_page", "get_many", "send_many", "save_listed"])
def test_of_two_invocations_with_one_run_only_one_goes_on(call: str) -> None:
    """The first is so slow that its time is over while it is at its second page; the second takes the run."""
    town, counts = mixed()
    part: Any = next(part for part in (town.pool, town.users, town.queue, town.checkpoints) if hasattr(part, call))
    stock = getattr(part, call)
    calls = itertools.count()

    def slow(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == 1:
            town.clock.advance(301)
            assert town.order(CONTINUE, seconds=1e6)["phase"] == "finished"
        return stock(*args, **kwargs)

    setattr(part, call, slow)
    answer = town.order(BACKFILL, seconds=1e6)

    assert answer == {"refused": "another invocation has the run"}
    assert town.finish()["counts"] == counts
    assert set(town.queue.subs) == wanted(town)
    assert len(town.checkpoints.reports) == 1


def test_the_last_report_is_there_while_the_next_run_is_under_way() -> None:
    town, _ = mixed()
    report = town.run()
    town.order(START, seconds=15.1)

    assert town.checkpoints.latest_report() == report


def test_a_run_can_be_stopped_and_another_one_begun() -> None:
    town, counts = mixed()
    town.order(BACKFILL, seconds=15.1)
    stopped = town.order(STOP)

    assert (stopped["phase"], stopped["outcome"]) == ("finished", "stopped")
    assert town.runs.stopped == {stopped["run"]}
    assert town.order(CONTINUE) == {"refused": "no run is under way"}
    assert town.run(BACKFILL)["counts"] == counts


def test_a_run_that_has_ended_can_be_stopped_while_any_of_its_users_wait() -> None:
    town, _ = mixed()
    assert town.order(STOP) == {"refused": "no run is under way"}
    ended = town.run(BACKFILL)["run"]
    settled, last = wanted(town) - {"missing-2"}, "missing-2"
    town.runs.advance(ended, settled, State.ENROLLED, deadline=Deadline(1))

    stopped = town.order(STOP)
    assert (stopped["run"], stopped["outcome"], town.runs.stopped) == (ended, "completed", {ended})
    town.runs.advance(ended, [last], State.STOPPED, deadline=Deadline(1))
    refused = town.order(STOP)
    assert (refused["run"], refused["refused"]) == (ended, "the last run has ended, and none of its users wait")


def test_a_run_is_stopped_although_another_invocation_works_on_it() -> None:
    town, _ = mixed()
    town.order(BACKFILL, seconds=15.1)
    save_report, laps = town.checkpoints.save_report, itertools.count()

    def worked_on(*arguments: Any, **options: Any) -> None:
        if next(laps) == 0:
            town.clock.advance(60)
            town.order(CONTINUE, seconds=15.1)
        save_report(*arguments, **options)

    town.checkpoints.save_report = worked_on  # type: ignore[method-assign]

    assert town.order(STOP)["outcome"] == "stopped"
    assert town.order(CONTINUE) == {"refused": "no run is under way"}


@pytest.mark.parametrize(("late", "first", "outcome"), [(STOP, CONTINUE, "completed"), (CONTINUE, STOP, "stopped")])
def test_of_two_invocations_that_end_a_run_the_report_is_that_of_the_first(
    late: Command, first: Command, outcome: str
) -> None:
    town, _ = mixed()
    town.order(BACKFILL, seconds=15.1)
    town.clock.advance(60)
    save_report, laps = town.checkpoints.save_report, itertools.count()

    def overtaken(*arguments: Any, **options: Any) -> None:
        if next(laps) == 0:
            town.order(first)
        save_report(*arguments, **options)

    town.checkpoints.save_report = overtaken  # type: ignore[method-assign]
    town.order(late)
    report = town.checkpoints.latest_report()

    assert town.checkpoints.checkpoint is not None
    assert report is not None
    assert (town.checkpoints.checkpoint.outcome, report["outcome"]) == (outcome, outcome)
    assert report["finished_at"] == report_of(town.checkpoints.checkpoint)["finished_at"]


def test_a_run_that_was_replaced_meanwhile_is_not_stopped_in_its_place() -> None:
    town, _ = mixed()
    first = town.order(BACKFILL, seconds=15.1)["run"]
    save_report, laps = town.checkpoints.save_report, itertools.count()

    def replaced(*arguments: Any, **options: Any) -> None:
        if next(laps) == 0:
            town.clock.advance(3601)
            town.order(START, seconds=15.1)
        save_report(*arguments, **options)

    town.checkpoints.save_report = replaced  # type: ignore[method-assign]

    assert town.order(STOP) == {"refused": "another invocation has the run"}
    assert town.runs.stopped == {first}
    assert town.checkpoints.checkpoint is not None
    assert town.checkpoints.checkpoint.phase == "listing"


# Time and pace


def test_the_queue_gets_no_more_than_its_share_in_any_minute_and_hardly_less() -> None:
    town = Town()
    for number in range(4_000):
        town.pool.join(f"user-{number}")
    town.run(BACKFILL)

    times = sorted(at for at, _ in town.queue.sent)
    assert len(times) == 4_000
    most = max(sum(1 for at in times if start <= at < start + 60) for start in sorted(set(times)))
    assert most <= 300 + MAX_BATCH + 300 / 60
    assert times[-1] - times[0] < 4_000 / 300 * 60 * 1.05


def test_the_pace_leaves_first_tokens_their_share() -> None:
    assert permits_per_window(Priority.BACKGROUND) * 60 / WINDOW_SECONDS >= USERS_PER_MINUTE


def test_no_message_is_sent_long_before_its_time() -> None:
    """SQS delays by 900 s at most, and what is sent cannot be stopped."""
    town = Town()
    for number in range(1_000):
        town.pool.join(f"user-{number}")
    town.order(BACKFILL)

    last = max(at for at, _ in town.queue.sent)
    assert last - town.clock() <= 120 + PAGE * 60 / 300
    assert "refused" in town.order(CONTINUE)
    town.finish()
    assert len(town.queue.sent) == 1_000


@pytest.mark.parametrize(
    ("full", "ready"),
    [
        (QueueDepth(USERS_PER_MINUTE + 1, 0), QueueDepth(USERS_PER_MINUTE, 0)),
        # Messages that back off, each for a reason of its own, are no depth. An outage makes more of them.
        (QueueDepth(0, 5 * USERS_PER_MINUTE + 1), QueueDepth(USERS_PER_MINUTE, 5 * USERS_PER_MINUTE)),
    ],
)
def test_a_run_adds_nothing_while_the_queue_has_enough_and_does_not_count_as_stuck(
    full: QueueDepth, ready: QueueDepth
) -> None:
    town, counts = mixed()
    town.queue.backlog = full
    town.order(BACKFILL)
    for _ in range(120):
        town.clock.advance(60)
        assert town.order(CONTINUE)["pages"] == 0
    assert town.queue.sent == []
    assert town.order(START)["refused"] == "a run is under way"

    town.queue.backlog = ready
    assert town.finish()["counts"] == counts


def test_a_dry_run_does_not_wait_for_the_queue() -> None:
    town, _ = mixed()
    town.queue.backlog = QueueDepth(1_000_000, 1_000_000)

    assert town.order(Command("start", dry_run=True))["phase"] == "finished"


def test_the_pool_is_asked_at_its_own_pace() -> None:
    town, _ = mixed()
    asked: list[float] = []
    for name in ("list_page", "exists"):
        stock: Callable[..., Any] = getattr(town.pool, name)

        def noted(*args: Any, stock: Callable[..., Any] = stock, **kwargs: Any) -> Any:
            asked.append(town.clock())
            return stock(*args, **kwargs)

        setattr(town.pool, name, noted)
    town.run(BACKFILL)

    assert len(asked) == 3 + 25
    assert min(after - before for before, after in itertools.pairwise(asked)) >= 0.199


def test_a_listing_whose_place_is_not_known_any_more_begins_again_and_counts_nobody_twice() -> None:
    town, counts = mixed()
    town.order(BACKFILL, seconds=15.1)
    page = town.pool.list_page

    def expired(token: str | None, *, deadline: Deadline | None = None) -> Any:
        if token is not None:
            town.pool.list_page = page  # type: ignore[method-assign]
            raise AwsError("InvalidParameterException", operation="ListUsers")
        return page(token)

    town.pool.list_page = expired  # type: ignore[method-assign]
    report = town.finish()

    assert report["relisted"] == 1
    assert report["counts"] == counts


def test_a_listing_that_never_gets_anywhere_is_given_up() -> None:
    town, _ = mixed()
    page = town.pool.list_page

    def expired(token: str | None, *, deadline: Deadline | None = None) -> Any:
        if token is not None:
            raise AwsError("InvalidParameterException", operation="ListUsers")
        return page(token)

    town.pool.list_page = expired  # type: ignore[method-assign]
    assert town.run()["outcome"] == "gave_up"


def test_an_error_at_the_first_page_is_no_expired_place() -> None:
    town, _ = mixed()

    def refused(token: str | None, *, deadline: Deadline | None = None) -> Any:
        raise AwsError("InvalidParameterException", operation="ListUsers")

    town.pool.list_page = refused  # type: ignore[method-assign]
    answer = town.order(START)

    assert (answer["phase"], answer["relisted"]) == ("listing", 0)
    assert [message for _, message in town.told.failures] == ["reconcile interrupted"]


def test_a_slow_pool_is_asked_about_fewer_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a step would never come to its end, nor the run."""
    town, counts = mixed()
    passed = 0.0
    monkeypatch.setattr("whop_chat.reconcile.run.Deadline", lambda seconds: Deadline(seconds, clock=lambda: passed))
    shows = town.pool.exists

    def slow(sub: str, *, deadline: Deadline) -> bool:
        nonlocal passed
        deadline.require()
        passed += 2
        return shows(sub)

    town.pool.exists = slow  # type: ignore[method-assign, assignment]
    assert town.run(BACKFILL)["counts"] == counts


# Orders


@pytest.mark.parametrize(
    ("event", "command"),
    [
        ({"command": "start"}, START),
        ({"command": "start", "backfill": True}, BACKFILL),
        ({"command": "start", "dry_run": True, "backfill": False}, Command("start", dry_run=True)),
        (
            {"command": "start", "backfill": True, "include_passwordless": True},
            Command("start", backfill=True, include_passwordless=True),
        ),
        ({"command": "continue"}, CONTINUE),
        ({"command": "continue", "force": True}, Command("continue", force=True)),
        ({"command": "stop"}, STOP),
    ],
)
def test_an_event_says_what_to_do(event: dict[str, Any], command: Command) -> None:
    assert Command.of(event) == command


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"backfill": True},
        {"command": "begin"},
        {"command": ["start"]},
        {"command": "start", "backfill": "false"},
        {"command": "start", "dry_run": 1},
        {"command": "start", "dryrun": True},
        {"command": "continue", "backfill": True},
        {"command": "start", "force": True},
        {"command": "continue", "force": 1},
        {"command": "start", "include_passwordless": True},
        {"command": "start", "backfill": True, "include_passwordless": "yes"},
        {"key1": "value1", "key2": "value2", "key3": "value3"},
    ],
)
def test_an_event_that_does_not_say_so_is_refused(event: dict[str, Any]) -> None:
    with pytest.raises(InvalidCommand):
        Command.of(event)


@pytest.mark.parametrize("event", [None, [], "start", 7])
def test_what_is_no_event_at_all_is_no_order(event: Any) -> None:
    with pytest.raises(InvalidCommand):
        Command.of(event)


def test_every_user_is_of_one_kind() -> None:
    town, counts = mixed()
    report = town.run(BACKFILL)

    assert sum(report["counts"][kind] for kind in Drift) == counts["seen"]
