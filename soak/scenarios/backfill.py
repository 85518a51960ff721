"""A pool of 100,000 users is enrolled while first tokens come in: `make scale`.

The code that decides and writes is real: `Reconcile`, `Batch`, `Syncing`, `Enrolment`, `CleanUp`. The users table, the
checkpoints and the pool are the ones in memory that pass the tests of the real ones. `soak.service_model` stands for
AWS, SQS and Whop. An invocation of reconcile works for a minute at most.

Half of the first tokens are of users who have just signed up, half of users who are on the queue. What takes time at a
first token is the enrolment, so verification and the token itself are left out.
"""

import functools
from collections import Counter
from typing import Any

from soak.lambdas import QueueSource
from soak.load import most_within
from soak.report import Figure, Found
from soak.scheduler import Scheduler
from soak.service_model import LIMIT, WINDOW, Calls, ModelBacklog, ModelQueue, ModelWhop
from soak.sqs import Queue
from soak.telemetry import CountingTelemetry
from soak.virtual_clock import virtual_time
from tests.fakes.memory_checkpoints import MemoryCheckpoints
from tests.fakes.memory_pool import PAGE, MemoryPool
from tests.fakes.memory_runs import MemoryRuns
from tests.fakes.memory_users import MemoryUserRepository
from whop_chat.cognito.display_name import profile_digest
from whop_chat.cognito.pool import PoolStatus
from whop_chat.cognito.user import UserRef
from whop_chat.enrolment.cleanup import CleanUp
from whop_chat.enrolment.email_policy import VerifiedEmail
from whop_chat.enrolment.enrol import Enrolment
from whop_chat.enrolment.errors import EnrolmentInProgress
from whop_chat.minting.user_quota import UserQuota
from whop_chat.reconcile.command import Command
from whop_chat.reconcile.run import USERS_PER_MINUTE, Reconcile
from whop_chat.runtime.deadline import Deadline
from whop_chat.sync.batch import SyncBatch
from whop_chat.sync.queue import Source
from whop_chat.sync.worker import SECONDS_PER_USER, SyncUser
from whop_chat.users.record import Record, Status
from whop_chat.whop.errors import WhopRateLimited
from whop_chat.whop.rate_limit import Priority

POOL = "eu-west-1_Scale"
MINTS_PER_MINUTE = 30  # template.yaml, MintsPerMinute
_TICK_SECONDS = 60.0  # template.yaml, ReconcileFunction
_WORKING_SECONDS = 60.0
_LAST_STEP_SECONDS = 15.0  # whop_chat.reconcile.run
_BATCH_SECONDS = 60.0  # template.yaml, SyncUserFunction
_POLL_SECONDS = 0.1  # whop_chat.minting.mint
_PATIENCE_SECONDS = 3.0
_LONGEST_SECONDS = 48 * 3600.0
_SETTLE_SECONDS = 600.0
_SECONDS = {"dynamodb": 0.006, "cognito": 0.05, "sqs": 0.015, "whop": 0.15}
_LISTED = (
    *("in_step", "missing", "passwordless", "unfinished", "stale", "picture"),
    *("in_progress", "blocked", "disabled", "inactive", "deleted"),
)


def run(seed: int, *, users: int = 100_000, tokens_per_minute: int = 120, create: float = 0.3) -> Found:
    """One backfill of ``users`` users, where Whop takes ``create`` seconds for an account.

    A profile update takes half of that. Whop's documents name no times, so they are guesses.
    """
    scheduler = Scheduler(seed)
    calls = Calls(scheduler, {**_SECONDS, "whop create_account": create, "whop update_user": create / 2})
    around = Surroundings(calls, users)
    with virtual_time(scheduler):
        backfill = Backfill(around, tokens_per_minute)
        seconds = backfill.run()
        scheduler.end()
    figures = [*_at_the_end(around), *_limits(around, backfill), *_context(around, backfill, seconds)]
    return Found(figures, calls.digest)


class Surroundings:
    """What the code works on: a pool, a table, a queue and Whop, with ``users`` users who were there before.

    Most of them were never enrolled. Some cannot be, some are linked already, and some records are of users who are
    gone: ``expected`` and ``orphans`` have the ``sub`` of who is to be linked and of who is to be deleted.
    """

    def __init__(self, calls: Calls, users: int) -> None:
        self.calls = calls
        self.scheduler = calls.scheduler
        self.telemetry = CountingTelemetry()
        self.pool = MemoryPool(POOL)
        self.users = MemoryUserRepository()
        self.checkpoints = MemoryCheckpoints()
        self.runs = MemoryRuns()
        self.whop = ModelWhop(calls, self.telemetry)
        self.messages = Queue(calls.scheduler)
        self.queue = ModelQueue(calls, self.messages)
        self.expected: set[str] = set()
        self.orphans: set[str] = set()
        for number in range(users):
            self._add_user(number)
        for number in range(users // 200):
            gone = UserRef(pool_id=POOL, sub=f"{number:08d}-0000-4000-8000-gone", username="gone")
            self._link(gone, "Gone")
            self.orphans.add(gone.sub)

    def _add_user(self, number: int) -> None:
        kinds = ("plain", "unverified", "disabled", "linked", "renamed")
        kind = self.scheduler.chance.choices(kinds, (92, 3, 1, 2, 2))[0]
        sub = f"{number:08d}-0000-4000-8000-{kind}"
        standing = PoolStatus.DISABLED if kind == "disabled" else PoolStatus.ACTIVE
        user = self.pool.join(sub, name=f"Person {number}", verified=kind != "unverified", pool_status=standing)
        if kind in ("linked", "renamed"):
            self._link(user, f"Person {number}" if kind == "linked" else "Another Name")
        if kind in ("plain", "linked", "renamed"):
            self.expected.add(sub)

    def _link(self, user: UserRef, name: str) -> None:
        account = self.whop.add_account(f"cognito:{POOL}:{user.sub}:1", email=None)
        linked = Record(
            status=Status.LINKED,
            whop_user_id=account.user_id,
            whop_account_id=account.id,
            profile_digest=profile_digest(user.sub, name),
        )
        claim = self.users.put(user, Record(status=Status.PENDING), expected=None)
        self.users.link(user, linked, expected=claim)

    @property
    def run_is_over(self) -> bool:
        """Whether reconcile has finished, and the queue is empty."""
        checkpoint = self.checkpoints.checkpoint
        return checkpoint is not None and checkpoint.finished_at is not None and not self.messages.waiting


class Backfill:
    """The code that runs, and who calls it. To be made within the virtual time."""

    def __init__(self, around: Surroundings, tokens_per_minute: int) -> None:
        self._around = around
        self._scheduler = around.scheduler
        table, pool = around.calls.timed("dynamodb", around.users), around.calls.timed("cognito", around.pool)
        addresses = VerifiedEmail(frozenset())
        whop, telemetry = around.whop.seen_by(Priority.BACKGROUND), around.telemetry
        enrolment = Enrolment(table, pool, whop, addresses, telemetry)
        clean_up = CleanUp(table, whop, telemetry, "keep-account")
        runs: Any = around.calls.timed("dynamodb", around.runs)
        syncing = SyncUser(table, pool, enrolment, whop, clean_up, telemetry, pool_id=POOL, client_ids=(), runs=runs)
        self._batch = SyncBatch(
            syncing, around.queue, around.queue, ModelBacklog(), telemetry, seconds=SECONDS_PER_USER
        )
        checkpoints = around.calls.timed("dynamodb", around.checkpoints)
        self._reconcile = Reconcile(pool, table, around.queue, checkpoints, runs, addresses, telemetry, pool_id=POOL)
        first_enrolment = Enrolment(table, pool, around.whop.seen_by(Priority.FOREGROUND), addresses, telemetry)
        limit = UserQuota(table, MINTS_PER_MINUTE)
        self.first_tokens = FirstTokens(
            around, limit, first_enrolment, a_minute=tokens_per_minute, ahead=USERS_PER_MINUTE
        )

    def run(self) -> float:
        """Everything; the seconds from the command to the last message."""
        scheduler, begin = self._scheduler, self._scheduler.now
        scheduler.start(lambda: self._invoke(Command("start", backfill=True)))
        scheduler.start(self._tick)
        scheduler.start(self.first_tokens.arrive)
        QueueSource(scheduler, self._around.messages, self._sync)
        while not self._around.run_is_over and scheduler.now - begin < _LONGEST_SECONDS:
            scheduler.run(scheduler.now + 1)
        seconds = scheduler.now - begin
        # Who came at last still gets an answer and a name.
        self.first_tokens.over = True
        scheduler.run(scheduler.now + _SETTLE_SECONDS)
        return seconds

    def _tick(self) -> None:
        while not self._around.run_is_over:
            self._scheduler.sleep(_TICK_SECONDS)
            self._scheduler.start(lambda: self._invoke(Command("continue")))

    def _invoke(self, order: Command) -> None:
        """One invocation of reconcile."""
        self._around.calls.counts["reconcile invocations"] += 1
        end = self._scheduler.now + _WORKING_SECONDS + _LAST_STEP_SECONDS
        self._reconcile.handle(order, lambda: end - self._scheduler.now)

    def _sync(self, event: dict[str, Any]) -> dict[str, Any]:
        """One invocation of sync_user."""
        end = self._scheduler.now + _BATCH_SECONDS
        return self._batch.handle(event["Records"], lambda: end - self._scheduler.now)


class FirstTokens:
    """Users who ask for their first token, ``a_minute`` on average, until it is ``over``.

    Every second one has just signed up. The others are at most 2 * ``ahead`` users behind what reconcile has listed,
    so that a first token and the user's message often meet.
    """

    def __init__(
        self, around: Surroundings, limit: UserQuota, enrolment: Enrolment, *, a_minute: int, ahead: int
    ) -> None:
        self._around = around
        self._scheduler = around.scheduler
        self._limit = limit
        self._enrolment = enrolment
        self._a_minute = a_minute
        self._ahead = ahead
        self.over = False
        self.asked = 0
        self.rate_limited = 0
        self.waits: list[float] = []
        """Seconds from the request to the enrolment."""

    def arrive(self) -> None:
        """One after the other."""
        while not self.over:
            self._scheduler.sleep(self._scheduler.chance.expovariate(self._a_minute / 60))
            user = self._new_user() if self._scheduler.chance.random() < 0.5 else self._user_on_the_queue()
            if user is not None:
                self.asked += 1
                self._scheduler.start(functools.partial(self._ask, user))

    def _new_user(self) -> UserRef:
        user = self._around.pool.join(f"{self.asked:08d}-0000-4000-8000-new", name="New")
        self._around.expected.add(user.sub)
        return user

    def _user_on_the_queue(self) -> UserRef | None:
        checkpoint = self._around.checkpoints.checkpoint
        listed = checkpoint.page * PAGE if checkpoint else 0
        sub = f"{listed - self._scheduler.chance.randrange(2 * self._ahead):08d}-0000-4000-8000-plain"
        return UserRef(POOL, sub, f"name-of-{sub}") if sub in self._around.expected else None

    def _ask(self, user: UserRef) -> None:
        """Ask until the user is enrolled, and wait as the answer says."""
        begun = self._scheduler.now
        while True:
            deadline = Deadline(_PATIENCE_SECONDS)
            try:
                record = self._limit.count(user, deadline=deadline)
                link = self._enrolment.enrol(user, record, deadline=deadline)
                break
            except WhopRateLimited as error:
                self.rate_limited += 1
                self._scheduler.sleep(error.retry_after)
            except EnrolmentInProgress:
                self._scheduler.sleep(_POLL_SECONDS)
        self.waits.append(self._scheduler.now - begun)
        if link.created:
            self._around.queue.send(user, Source.FIRST_TOKEN, deadline=Deadline(_PATIENCE_SECONDS))


def _at_the_end(around: Surroundings) -> list[Figure]:
    """Whether everybody is as they should be."""
    records = {sub: record for (_, sub), record in around.users.records.items()}
    linked = {sub for sub, record in records.items() if record.status is Status.LINKED}
    deleted = {sub for sub, record in records.items() if record.status is Status.DELETED}
    owners = Counter(records[sub].whop_user_id for sub in linked)
    accounts = Counter(external_id.rpartition(":")[0] for external_id in around.whop.accounts)
    unnamed = [
        sub for sub in linked if not sub.endswith("linked") and str(records[sub].whop_user_id) not in around.whop.names
    ]
    return [
        Figure.none("users who should be linked and are not", sorted(around.expected - linked)),
        Figure.none("users who are linked and should not be", sorted(linked - around.expected)),
        Figure.none("shared Whop users", [str(owner) for owner, count in owners.items() if count > 1]),
        Figure.none("users with two accounts", [user for user, count in accounts.items() if count > 1]),
        Figure.none("users without a name at Whop", sorted(unnamed)),
        Figure.none("users who are gone without a tombstone, or the reverse", sorted(around.orphans ^ deleted)),
        Figure.none("unexpected errors", around.telemetry.defects),
    ]


def _limits(around: Surroundings, backfill: Backfill) -> list[Figure]:
    """Whether all waits and all rates of calls are within their limits."""
    whop, first_tokens = around.whop, backfill.first_tokens
    checkpoint = around.checkpoints.checkpoint
    outcome = [] if checkpoint is not None and checkpoint.outcome == "completed" else ["the run has not completed"]
    return [
        Figure.none("runs that did not complete", outcome),
        Figure.none("calls that Whop refused", list(whop.refused.elements())),
        *(
            Figure.at_most(f"calls of {operation} in the busiest minute", most_within(WINDOW, times), LIMIT)
            for operation, times in sorted(whop.admitted.items())
        ),
        Figure.at_most("first tokens without an answer", first_tokens.asked - len(first_tokens.waits), 0),
        Figure.at_most("the longest enrolment of a first token", max(first_tokens.waits), _PATIENCE_SECONDS, " s"),
        Figure.at_most("most messages waiting at a tick", around.queue.longest, 5 * USERS_PER_MINUTE),
    ]


def _context(around: Surroundings, backfill: Backfill, seconds: float) -> list[Figure]:
    """What the run took."""
    calls, first_tokens = around.calls.counts, backfill.first_tokens
    listed = around.checkpoints.checkpoint.counts if around.checkpoints.checkpoint else {}
    rate_limited = around.telemetry.lines["out of permits"] - first_tokens.rate_limited

    def made(service: str, *operations: str) -> int:
        return sum(calls[f"{service} {operation}"] for operation in operations)

    figures = {
        "users listed": sum(listed.get(name, 0) for name in _LISTED),
        "users enrolled, each with an e-mail of Whop": len(around.whop.admitted.get("create_account", ())),
        "first tokens": first_tokens.asked,
        "of them rate-limited": first_tokens.rate_limited,
        "syncs rate-limited": rate_limited,
        "messages handled": around.messages.handled,
        "reconcile invocations": calls["reconcile invocations"],
        "ListUsers calls": made("cognito", "list_page", "exists", "lookup"),
        "AdminGetUser calls": made("cognito", "admin_get"),
        "SQS sends": made("sqs", "send", "send_many"),
        "table: batch reads": made("dynamodb", "get_many"),
        "table: reads": made("dynamodb", "get", "load", "holder"),
        "table: writes": made("dynamodb", "put", "count_mint", "save", "note_listed"),
        "table: counts of calls": made("dynamodb", "count"),
        "table: transactions": made("dynamodb", "link"),
        "table: users of the run": made("dynamodb", "advance", "is_stopped"),
    }
    hours = Figure.known("hours until the last", seconds / 3600)
    return [hours, *(Figure.known(what, count) for what, count in figures.items())]
