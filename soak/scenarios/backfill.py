"""A backfill of 100,000 users with first tokens in between, event by event on a clock of its own: `make scale`.

Real is the code that decides and writes: `Reconcile`, `Batch`, `Syncing`, `Enrolment`, `CleanUp`. The users table, the
ledger and the pool are the ones in memory that pass the tests of the real ones. Modelled are

- time: a heap of events; each call to AWS or Whop takes a fixed time, and nothing else takes any;
- Whop: 600 calls of an operation in any 60 s, the next one is a 429; accounts by external id, profiles by user; before
  each call `Budget` is asked, as it is deployed, on a count in memory;
- SQS and its worker: delays, visibility, deletion; two workers at a time, which take one message
  after the other, so that what Lambda makes of batches of five is left out;
- EventBridge: a tick every 60 s; an invocation of reconcile works for a minute at most, so that two of its minutes are
  never more than that apart from the rest of the scheduler;
- first tokens: they arrive at random, every second one of a user who has just signed up, the others of users who have
  just been handed to the queue. What costs a user time there is the enrolment, so verification and the token itself
  are left out.

One user is one event. Calls of two workers may therefore be written down up to a second in the wrong order, and are
sorted before the limit is checked; and nobody meets another's claim here, which is what tests/protocol is for. The run
ends with an AssertionError if something does not hold that docs/scale.md says.
"""

import argparse
import bisect
import copy
import heapq
import itertools
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Any, cast

from tests.fakes.memory_checkpoints import MemoryLedger
from tests.fakes.memory_pool import PAGE, MemoryPool
from tests.fakes.memory_users import MemoryUsers
from whop_chat.cognito.display_name import profile_digest
from whop_chat.cognito.pool import Standing
from whop_chat.cognito.user import UserRef
from whop_chat.enrolment.cleanup import CleanUp
from whop_chat.enrolment.email_policy import VerifiedAddress
from whop_chat.enrolment.enrol import Enrolment
from whop_chat.minting.user_quota import MintLimit
from whop_chat.reconcile.command import Order
from whop_chat.reconcile.run import USERS_PER_MINUTE, Reconcile
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.telemetry import Observer
from whop_chat.sync.batch import Batch
from whop_chat.sync.queue import Source, SyncQueue, encode
from whop_chat.sync.worker import Syncing
from whop_chat.users.record import Record, Status
from whop_chat.whop.client import Account, Whop
from whop_chat.whop.errors import WhopRateLimited
from whop_chat.whop.rate_limit import Budget, LocalSlots, Share, Slots, ceiling

POOL, COMPANY = "eu-west-1_Scale", "biz_Scale"
LIMIT, WINDOW = 600, 60.0  # Whop, "Rate limits"
WORKERS = 2  # template.yaml, MaximumConcurrency
MINTS_PER_MINUTE = 30  # template.yaml, MintsPerMinute
TICK, WORKING = 60.0, 60.0
SECONDS = {"dynamodb": 0.006, "cognito": 0.05, "sqs": 0.015, "create_account": 0.3, "update_user": 0.15, "other": 0.15}
"""How long a call takes. Whop's times are guesses: its documents name none."""
AN_HOUR = Deadline(3600)


class Scheduler:
    """The clock, and what is going to happen."""

    def __init__(self) -> None:
        self.now = self.begin = 1_800_000_000.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self.calls: Counter[str] = Counter()

    def clock(self) -> float:
        """Epoch seconds."""
        return self.now

    def pass_time(self, seconds: float) -> None:
        """For whoever is at work now."""
        self.now += seconds

    def call(self, service: str, operation: str, *, count: int = 1) -> None:
        """A call is made, which takes its time."""
        self.calls[f"{service} {operation}"] += count
        self.now += SECONDS[service]

    def at(self, moment: float, event: Callable[[], None]) -> None:
        """``event`` will happen then."""
        heapq.heappush(self._events, (moment, next(self._numbers), event))

    def run(self) -> None:
        """Until nothing is left to happen."""
        while self._events:
            self.now, _, event = heapq.heappop(self._events)
            event()


class Timed:
    """An object each of whose calls is a call to AWS."""

    def __init__(self, scheduler: Scheduler, service: str, inner: Any) -> None:
        self._scheduler = scheduler
        self._service = service
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        made = getattr(self._inner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self._scheduler.call(self._service, name)
            return made(*args, **kwargs)

        return call


def timed[T](scheduler: Scheduler, service: str, inner: T) -> T:
    """``inner``, whose calls take time and are counted."""
    return cast(T, Timed(scheduler, service, inner))


class ModelWhop(Whop):
    """Whop as far as an enrolment sees it, with its limit."""

    def __init__(self, scheduler: Scheduler, slots: Slots, told: Observer, share: Share) -> None:
        self.company_id = COMPANY
        self.accounts: dict[str, Account] = {}
        self.names: dict[str, str] = {}
        self.admitted: dict[str, list[float]] = {}
        self.refused: Counter[str] = Counter()
        self._scheduler = scheduler
        self._budget = Budget(slots, ceiling(share), told, clock=scheduler.clock)

    def asked_by(self, slots: Slots, told: Observer, share: Share) -> "ModelWhop":
        """The same Whop, called by others."""
        other = copy.copy(self)
        other._budget = Budget(slots, ceiling(share), told, clock=self._scheduler.clock)
        return other

    def _admit(self, operation: Any) -> None:
        self._scheduler.call("dynamodb", "count")
        self._require_budget(operation, AN_HOUR)
        self._scheduler.call(operation if operation in SECONDS else "other", operation)
        times = self.admitted.setdefault(operation, [])
        if len(times) - bisect.bisect_right(times, self._scheduler.now - WINDOW) >= LIMIT:
            self.refused[operation] += 1
            raise WhopRateLimited(operation, 10)
        bisect.insort(times, self._scheduler.now)

    def create_account(
        self, *, email: str, title: str, external_id: str, idempotency_key: str, deadline: Deadline
    ) -> Account:
        self._admit("create_account")
        number = len(self.accounts)
        return self.accounts.setdefault(
            external_id,
            Account(f"biz_{number}", f"user_{number}", email=email, external_id=external_id, parent_id=COMPANY),
        )

    def find_accounts(self, external_id: str, *, deadline: Deadline) -> list[Account]:
        self._admit("find_accounts")
        return [self.accounts[external_id]] if external_id in self.accounts else []

    def set_profile(self, user_id: str, *, name: str, deadline: Deadline) -> None:
        self._admit("update_user")
        self.names[user_id] = name


class ModelQueue(SyncQueue):
    """SQS: messages become visible, are received by one, and are deleted or become visible again."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._visible: list[tuple[float, int, str]] = []
        self._numbers = itertools.count()
        self._postponed: dict[str, float] = {}
        self.longest = 0

    def send(self, user: UserRef, source: Source, *, deadline: Deadline) -> None:
        self._scheduler.call("sqs", "send")
        self._put(self._scheduler.now, encode(user, source))

    def send_many(
        self, users: Collection[UserRef], source: Source, *, delay_seconds: int = 0, deadline: Deadline
    ) -> None:
        self._scheduler.call("sqs", "send_many")
        for user in users:
            self._put(self._scheduler.now + delay_seconds, encode(user, source))

    def send_raw(self, body: str, *, deadline: Deadline) -> None:
        raise AssertionError("a message was set aside")

    def waiting(self, *, deadline: Deadline) -> int:
        self._scheduler.call("sqs", "waiting")
        waiting = sum(moment <= self._scheduler.now for moment, _, _ in self._visible)
        self.longest = max(self.longest, waiting)
        return waiting

    def postpone(self, receipt_handle: str, seconds: int, *, deadline: Deadline) -> None:
        self._scheduler.call("sqs", "postpone")
        self._postponed[receipt_handle] = self._scheduler.now + seconds

    def receive(self) -> str | None:
        """The next message that is visible."""
        if not self._visible or self._visible[0][0] > self._scheduler.now:
            return None
        return heapq.heappop(self._visible)[2]

    def settle(self, body: str, *, done: bool) -> None:
        """After a message was handled."""
        if not done:
            self._put(self._postponed.pop(body), body)

    @property
    def next_visible(self) -> float | None:
        """When there is something to receive."""
        return self._visible[0][0] if self._visible else None

    def _put(self, moment: float, body: str) -> None:
        heapq.heappush(self._visible, (moment, next(self._numbers), body))


class Counts(Observer):
    """Counts what the functions tell."""

    def __init__(self) -> None:
        self.metrics: Counter[str] = Counter()

    def concerns(self, sub: str | None) -> None:
        """Nobody reads it."""

    def counted(self, metric: str, message: str, **fields: Any) -> None:
        self.metrics[metric] += 1

    def measured(self, message: str, metrics: Mapping[str, int], **fields: Any) -> None:
        self.metrics.update(metrics)

    def failed(self, message: str, error: BaseException, *, metric: str | None = None) -> None:
        self.metrics[metric or message] += 1

    def broke(self, message: str) -> None:
        raise AssertionError(message)


class Scale:
    """One backfill."""

    def __init__(self, users: int, *, tokens_per_minute: int) -> None:
        self.chance = random.Random(20)
        self.scheduler = Scheduler()
        self.pool = MemoryPool(POOL)
        self.directory = MemoryUsers()
        self.ledger = MemoryLedger()
        self.queue = ModelQueue(self.scheduler)
        self.told = Counts()
        slots = LocalSlots()
        self.whop = ModelWhop(self.scheduler, slots, self.told, Share.BACKGROUND)
        self.whop_of_tokens = self.whop.asked_by(slots, self.told, Share.FOREGROUND)
        self.tokens_per_minute = tokens_per_minute
        self.expected: set[str] = set()
        self.orphans: set[str] = set()
        self.first_tokens: list[float] = []
        self.refused = 0
        self.waits: list[float] = []
        self._populate(users)
        self._compose()

    def _populate(self, count: int) -> None:
        """Mostly people who were never enrolled; some who cannot be, some who are, some who are gone."""
        for number in range(count):
            kind = self.chance.choices(("plain", "unverified", "disabled", "linked", "renamed"), (92, 3, 1, 2, 2))[0]
            sub = f"{number:08d}-0000-4000-8000-{kind}"
            standing = Standing.DISABLED if kind == "disabled" else Standing.ACTIVE
            user = self.pool.join(sub, name=f"Person {number}", verified=kind != "unverified", standing=standing)
            if kind in ("linked", "renamed"):
                self._link(user, f"Person {number}" if kind == "linked" else "Another Name")
            if kind in ("plain", "linked", "renamed"):
                self.expected.add(sub)
        for number in range(count // 200):
            gone = UserRef(pool_id=POOL, sub=f"{number:08d}-0000-4000-8000-gone", username="gone")
            self._link(gone, "Gone")
            self.orphans.add(gone.sub)

    def _link(self, user: UserRef, name: str) -> None:
        number = len(self.whop.accounts)
        external_id = f"cognito:{POOL}:{user.sub}:1"
        account = Account(f"biz_{number}", f"user_{number}", email=None, external_id=external_id, parent_id=COMPANY)
        self.whop.accounts[external_id] = account
        linked = Record(
            status=Status.LINKED,
            whop_user_id=account.user_id,
            whop_account_id=account.id,
            profile_digest=profile_digest(user.sub, name),
        )
        claim = self.directory.put(user, Record(status=Status.CLAIMED), seen=None)
        self.directory.link(user, linked, seen=claim)

    def _compose(self) -> None:
        scheduler = self.scheduler
        addresses = VerifiedAddress(frozenset())
        table, pool = timed(scheduler, "dynamodb", self.directory), timed(scheduler, "cognito", self.pool)
        self.limit = MintLimit(table, MINTS_PER_MINUTE, clock=scheduler.clock)
        enrolment = Enrolment(table, pool, self.whop, addresses, clock=scheduler.clock)
        self.first_enrolment = Enrolment(table, pool, self.whop_of_tokens, addresses, clock=scheduler.clock)
        clean_up = CleanUp(table, self.whop, self.told, "keep-account", clock=scheduler.clock)
        syncing = Syncing(table, pool, enrolment, self.whop, clean_up, self.told, pool_id=POOL, clock=scheduler.clock)
        self.batch = Batch(
            syncing, self.queue, self.queue, self.told, jitter=self.chance.random, sleep=scheduler.pass_time
        )
        self.reconcile = Reconcile(
            pool,
            table,
            self.queue,
            timed(scheduler, "dynamodb", self.ledger),
            addresses,
            self.told,
            pool_id=POOL,
            clock=scheduler.clock,
            sleep=scheduler.pass_time,
        )

    # What happens

    def run(self) -> None:
        """From the order to the last message."""
        begin = self.scheduler.now
        self.scheduler.at(begin, lambda: self._invocation(Order("start", backfill=True)))
        self.scheduler.at(begin + TICK, self._tick)
        for number in range(WORKERS):
            self.scheduler.at(begin + number / 10, self._worker)
        self.scheduler.at(begin, self._first_token)
        self.scheduler.run()

    @property
    def listed_all(self) -> bool:
        """Whether the run has ended."""
        checkpoint = self.ledger.checkpoint
        return checkpoint is not None and checkpoint.finished_at is not None

    @property
    def is_over(self) -> bool:
        """Whether the run has ended and the queue is empty."""
        return self.listed_all and self.queue.next_visible is None

    def _tick(self) -> None:
        if self.listed_all:
            return
        self.scheduler.at(self.scheduler.now + TICK, self._tick)
        self._invocation(Order("continue"))

    def _invocation(self, order: Order) -> None:
        end = self.scheduler.now + WORKING + 15  # what it keeps for its last step
        self.scheduler.calls["reconcile invocations"] += 1
        self.reconcile.handle(order, lambda: end - self.scheduler.now)

    def _worker(self) -> None:
        body = self.queue.receive()
        if body is not None:
            message = {
                "messageId": "message",
                "receiptHandle": body,
                "body": body,
                "attributes": {"ApproximateReceiveCount": "1"},
            }
            failures = self.batch.handle([message], lambda: 60.0)["batchItemFailures"]
            self.queue.settle(body, done=not failures)
            self.scheduler.calls["messages handled"] += 1
            self.scheduler.at(self.scheduler.now, self._worker)
        elif not self.is_over:
            coming = self.queue.next_visible
            self.scheduler.at(max(self.scheduler.now + 0.05, min(coming or 0, self.scheduler.now + 1)), self._worker)

    def _first_token(self) -> None:
        if self.is_over:
            return
        self.scheduler.at(self.scheduler.now + self.chance.expovariate(self.tokens_per_minute / 60), self._first_token)
        if self.chance.random() < 0.5:
            user = self.pool.join(f"{len(self.first_tokens):08d}-0000-4000-8000-new", name="New")
            self.expected.add(user.sub)
        else:
            # One whose message is in the queue: the two meet.
            listed = self.ledger.checkpoint.page * PAGE if self.ledger.checkpoint else 0
            sub = f"{listed - self.chance.randrange(2 * USERS_PER_MINUTE):08d}-0000-4000-8000-plain"
            if sub not in self.expected:
                return
            user = UserRef(pool_id=POOL, sub=sub, username=f"name-of-{sub}")
        asked = self.scheduler.now
        self.first_tokens.append(asked)
        self._mint(user, asked)

    def _mint(self, user: UserRef, asked: float) -> None:
        """Enrol; who is refused asks again when the answer says so, as an app does."""
        try:
            record = self.limit.counted(user, deadline=AN_HOUR)
            link = self.first_enrolment.enrol(user, record, deadline=AN_HOUR)
        except WhopRateLimited as error:
            self.refused += 1
            self.scheduler.at(self.scheduler.now + error.retry_after, lambda: self._mint(user, asked))
            return
        self.waits.append(self.scheduler.now - asked)
        if link.created:
            self.queue.send(user, Source.FIRST_TOKEN, deadline=AN_HOUR)

    # What came of it

    def check(self) -> None:
        """Raise AssertionError unless everything is as docs/scale.md says."""
        records = {sub: record for (_, sub), record in self.directory.records.items()}
        linked = {sub for sub, record in records.items() if record.status is Status.LINKED}
        assert linked == self.expected, "not exactly those are linked who should be"
        owners = Counter(records[sub].whop_user_id for sub in linked)
        assert max(owners.values()) == 1, "two users share a Whop user"
        made = Counter(external_id.rpartition(":")[0] for external_id in self.whop.accounts)
        assert max(made.values()) == 1, "a user has two accounts"
        named = all(
            self.whop.names.get(str(records[sub].whop_user_id)) is not None or sub.endswith("linked") for sub in linked
        )
        assert named, "a name was not set"
        deleted = {sub for sub, record in records.items() if record.status is Status.DELETED}
        assert deleted == self.orphans, "not exactly those are deleted who are gone"
        for operation, times in self.whop.admitted.items():
            assert most_in_a_window(times) <= LIMIT, f"{operation} is above the limit"
        assert not self.whop.refused, "somebody was refused by Whop"
        assert len(self.waits) == len(self.first_tokens), "a first token was never answered"
        assert max(self.waits) < 3, "a first token waited longer than a client does"
        checkpoint = self.ledger.checkpoint
        assert checkpoint is not None
        assert checkpoint.outcome == "completed"
        assert self.queue.longest < 5 * USERS_PER_MINUTE, "a sign-up would wait for more than some minutes"


def most_in_a_window(times: list[float]) -> int:
    """The most calls in any 60 seconds; ``times`` are in order."""
    return max(number - bisect.bisect_right(times, moment - WINDOW) + 1 for number, moment in enumerate(times))


def figures(scale: Scale) -> dict[str, float]:
    """What is printed."""
    calls, scheduler = scale.scheduler.calls, scale.scheduler
    checkpoint = scale.ledger.checkpoint
    if checkpoint is None:
        raise AssertionError("no run")
    creates = scale.whop.admitted["create_account"]
    return {
        "users listed": checkpoint.page and sum(checkpoint.counts.get(name, 0) for name in _LISTED),
        "users enrolled": len(creates),
        "e-mails from Whop": len(creates),
        "hours until the last": round((scheduler.now - scheduler.begin) / 3600, 2),
        "creates in the fullest minute": most_in_a_window(creates),
        "profile updates in the fullest minute": most_in_a_window(scale.whop.admitted["update_user"]),
        "first tokens": len(scale.first_tokens),
        "of them told to wait": scale.refused,
        "syncs told to wait": scale.told.metrics["BudgetUsedUp"] - scale.refused,
        "their longest enrolment, ms": round(max(scale.waits) * 1000),
        "most messages waiting at a tick": scale.queue.longest,
        "messages handled": calls["messages handled"],
        "reconcile invocations": calls["reconcile invocations"],
        "ListUsers calls": sum(calls[f"cognito {name}"] for name in ("page", "shows", "find")),
        "AdminGetUser calls": calls["cognito read"],
        "SQS sends": calls["sqs send_many"] + calls["sqs send"],
        "table: batch reads": calls["dynamodb get_many"],
        "table: reads": calls["dynamodb get"] + calls["dynamodb load"] + calls["dynamodb holder"],
        "table: writes": calls["dynamodb put"]
        + calls["dynamodb count_mint"]
        + calls["dynamodb save"]
        + calls["dynamodb note_listed"],
        "table: counts of calls": calls["dynamodb count"],
        "table: transactions": calls["dynamodb link"],
    }


_LISTED = ("in_step", "missing", "unfinished", "stale", "in_progress", "blocked", "disabled", "inactive", "deleted")


def main() -> None:
    """Command line; an AssertionError if a check fails."""
    parser = argparse.ArgumentParser(prog="soak.scenarios.backfill")
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--tokens-per-minute", type=int, default=120)
    parser.add_argument("--whop-seconds", type=float, default=SECONDS["create_account"], help="a create; others half")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    SECONDS["create_account"], SECONDS["update_user"] = asked.whop_seconds, asked.whop_seconds / 2
    began = time.perf_counter()
    scale = Scale(asked.users, tokens_per_minute=asked.tokens_per_minute)
    scale.run()
    scale.check()
    found = figures(scale)
    if asked.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:40}{value:>12,}")
    print(f"every check holds; computed in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
