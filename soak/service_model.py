"""AWS, SQS and Whop without HTTP, for runs with 100,000 users.

Each call takes a fixed time and is counted. `soak.network` answers requests as they are sent instead, which takes ten
times as long to compute.
"""

import bisect
import copy
import hashlib
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, cast

from soak.scheduler import Scheduler
from soak.sqs import Queue
from whop_chat.cognito.user import UserRef
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.telemetry import Telemetry
from whop_chat.sync.backlog import Backlog
from whop_chat.sync.queue import QueueDepth, Source, SyncQueue, encode
from whop_chat.whop.client import Account, Whop
from whop_chat.whop.errors import WhopRateLimited
from whop_chat.whop.rate_limit import LocalWindows, Priority, RateLimiter, permits_per_window

COMPANY = "biz_Soak"
LIMIT, WINDOW = 600, 60.0  # Whop, "Rate limits"


class Calls:
    """Makes calls take their time, and counts them.

    ``seconds`` says how long a call takes, by service, or by service and operation.
    """

    def __init__(self, scheduler: Scheduler, seconds: Mapping[str, float]) -> None:
        self.scheduler = scheduler
        self.counts: Counter[str] = Counter()
        self._seconds = seconds
        self._digest = hashlib.sha256()

    @property
    def digest(self) -> str:
        """The same for two runs in which the same calls were made at the same moments."""
        return self._digest.hexdigest()[:12]

    def make(self, service: str, operation: str) -> None:
        """One call, which takes its time."""
        call = f"{service} {operation}"
        self.counts[call] += 1
        self._digest.update(f"{self.scheduler.now:.6f} {call}\n".encode())
        self.scheduler.sleep(self._seconds[call] if call in self._seconds else self._seconds[service])

    def timed[T](self, service: str, inner: T) -> T:
        """``inner``, where each call of a method is a call to ``service``."""
        return cast(T, _Timed(self, service, inner))


class _Timed:
    def __init__(self, calls: Calls, service: str, inner: object) -> None:
        self._calls = calls
        self._service = service
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self._calls.make(self._service, name)
            return method(*args, **kwargs)

        return call


class ModelWhop(Whop):
    """Whop as far as an enrolment sees it, and its limit. Accounts are kept by external id, names by user."""

    def __init__(self, calls: Calls, telemetry: Telemetry) -> None:
        self.company_id = COMPANY
        self.accounts: dict[str, Account] = {}
        self.names: dict[str, str] = {}
        self.admitted: dict[str, list[float]] = {}
        self.refused: Counter[str] = Counter()
        self._calls = calls
        self._telemetry = telemetry
        self._slots = LocalWindows()

    def seen_by(self, priority: Priority) -> "ModelWhop":
        """The same Whop for callers of one ``share`` of the budget; all shares are counted together."""
        other = copy.copy(self)
        other._rate_limiter = RateLimiter(
            self._slots, permits_per_window(priority), self._telemetry, clock=self._calls.scheduler.time
        )
        return other

    def require_allowed(self, operation: Any, *, deadline: Deadline) -> None:
        """It never says to wait."""

    def _admit(self, operation: Any, deadline: Deadline) -> None:
        self._calls.make("dynamodb", "count")
        self._require_permit(operation, deadline)
        self._calls.make("whop", operation)
        now, times = self._calls.scheduler.now, self.admitted.setdefault(operation, [])
        if len(times) - bisect.bisect_right(times, now - WINDOW) >= LIMIT:
            self.refused[operation] += 1
            raise WhopRateLimited(operation, 10)
        times.append(now)

    def create_account(
        self, *, email: str, title: str, external_id: str, idempotency_key: str, deadline: Deadline
    ) -> Account:
        self._admit("create_account", deadline)
        return self.add_account(external_id, email)

    def add_account(self, external_id: str, email: str | None) -> Account:
        """The account with this ``external_id``, made if there is none."""
        number = len(self.accounts)
        account = Account(f"biz_{number}", f"user_{number}", email, external_id, COMPANY)
        return self.accounts.setdefault(external_id, account)

    def find_accounts(self, external_id: str, *, deadline: Deadline) -> list[Account]:
        self._admit("find_accounts", deadline)
        return [self.accounts[external_id]] if external_id in self.accounts else []

    def set_profile(self, user_id: str, *, name: str, deadline: Deadline) -> bool:
        self._admit("update_user", deadline)
        self.names[user_id] = name
        return True


class ModelQueue(SyncQueue):
    """The sync queue as its senders see it. ``longest`` is the highest sum of a `depth`."""

    def __init__(self, calls: Calls, queue: Queue) -> None:
        self._calls = calls
        self._messages = queue
        self.longest = 0

    def send(
        self,
        user: UserRef,
        source: Source,
        client_id: str | None = None,
        *,
        correlation_id: str | None = None,
        deadline: Deadline,
    ) -> None:
        self._calls.make("sqs", "send")
        self._messages.send(encode(user, source, client_id))

    def send_many(
        self, users: Collection[UserRef], source: Source, *, run: str, delay_seconds: int = 0, deadline: Deadline
    ) -> None:
        self._calls.make("sqs", "send_many")
        for user in users:
            self._messages.send(encode(user, source, run=run), delay_seconds)

    def send_raw(self, body: str, *, correlation_id: str | None = None, deadline: Deadline) -> None:
        raise AssertionError("a message was unreadable")

    def depth(self, *, deadline: Deadline) -> QueueDepth:
        self._calls.make("sqs", "depth")
        counts = self._messages.counts()
        self.longest = max(self.longest, sum(counts.values()))
        return QueueDepth(counts["ApproximateNumberOfMessages"], counts["ApproximateNumberOfMessagesNotVisible"])

    def postpone(self, receipt_handle: str, seconds: int, *, deadline: Deadline) -> None:
        self._calls.make("sqs", "postpone")
        self._messages.postpone(receipt_handle, seconds)


class ModelBacklog(Backlog):
    """Keeps nothing: no readiness check runs here."""

    def __init__(self) -> None:
        pass

    def report(self, sent_at: float, *, deadline: Deadline) -> None:
        """See `Backlog.report`."""
