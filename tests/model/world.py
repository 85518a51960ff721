"""A world in which enrolment and deletion are tried out: every call of every worker is a step that a script decides.

Workers are greenlets running the real `Enrolment` and `SyncUser` with the real `Whop` client on the real simulator.
Only the users table, the pool and time are in memory. Before each call a worker hands over to the world, which says
how it goes: as it should, or with one of the disturbances the call can meet.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import httpx
from greenlet import greenlet

from local.whop_simulator import Fault, Readings, Simulator
from local.whop_simulator.httpx_transport import as_httpx_transport
from tests.fakes.memory_users import MemoryUserRepository
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.whop import circuit, rate_limiter
from whop_chat.cognito.display_name import NEUTRAL_NAME
from whop_chat.cognito.pool import ListedUser, PoolStatus, PoolUser, UserGone
from whop_chat.cognito.user import UserRef
from whop_chat.enrolment.cleanup import CleanUp, DeletePolicy
from whop_chat.enrolment.email_policy import VerifiedEmail
from whop_chat.enrolment.enrol import EmailReuse, Enrolment
from whop_chat.enrolment.errors import DeletedMeanwhile
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.errors import Refused, Retryable
from whop_chat.runtime.http import HttpClient
from whop_chat.sync.queue import Source, SyncMessage
from whop_chat.sync.worker import SyncUser
from whop_chat.users.lease import LEASE_SECONDS
from whop_chat.users.record import Record, Status
from whop_chat.whop.client import Whop

COMPANY = "biz_Company"
POOL = "eu-west-1_Pool"

# What can go wrong with a write to the table, and with a create at Whop. "crash" kills the worker after the call.
TABLE_DISTURBANCES = ("crash", "refused", "answer lost")
CREATE_DISTURBANCES: dict[str, Fault | None] = {
    "crash": None,
    "request lost": Fault("accounts.create", "drop_before"),
    "answer lost": Fault("accounts.create", "drop_after"),
    "answer lost, key held": Fault("accounts.create", "crash_after"),
    "effect after the lease": Fault("accounts.create", "delay", seconds=LEASE_SECONDS + 5),
    "effect at the end": Fault("accounts.create", "delay", seconds=10 * LEASE_SECONDS),
    "500": Fault("accounts.create", "status", status=500),
    "429": Fault("accounts.create", "status", status=429),
    "422": Fault("accounts.create", "status", status=422),
    "409": Fault("accounts.create", "status", status=409),
    "malformed": Fault("accounts.create", "malformed"),
}
# What can go wrong with a change at Whop that is no create; each can be made twice.
CHANGE_DISTURBANCES: dict[str, Fault | None] = {
    "crash": None,
    "request lost": Fault("*", "drop_before", count=2),
    "answer lost": Fault("*", "drop_after", count=2),
}
# What a worker may report; anything else is a defect and ends the run.
REPORTED = (Retryable, Refused)


class Crash(BaseException):
    """The worker is gone; nothing of it runs any more."""


class World:
    """Users, a pool, a Whop and a clock. ``decide`` picks one of a number of options, each time it is asked."""

    def __init__(
        self,
        readings: Readings,
        decide: Callable[[tuple[str, ...]], str],
        disturbances: int,
        *,
        policy: DeletePolicy = "keep-account",
        reuse: EmailReuse = "refuse",
        change_disturbances: Mapping[str, Fault | None] | None = None,
        table: MemoryUserRepository | None = None,
    ) -> None:
        self.now = 1_800_000_000.0
        self.users = table or MemoryUserRepository()
        self.people: dict[str, PoolUser] = {}
        self.simulator = Simulator(clock=lambda: self.now, readings=readings)
        self.simulator.add_company(COMPANY)
        self.simulator.add_key("key", company_id=COMPANY)
        self._decide = decide
        self._disturbances = disturbances
        self._policy = policy
        self._undelivered: list[UserRef] = []
        self.change_disturbances = change_disturbances or {}
        self._http = HttpClient(_SteppedTransport(self, as_httpx_transport(self.simulator)))
        self._whop = Whop(
            self._http,
            _FixedKey(),
            base_url="http://127.0.0.1",
            company_id=COMPANY,
            api_version="2026-10-15-1",
            company_field="account_id",
            circuit=circuit(lambda: self.now),
            rate_limiter=rate_limiter(lambda: self.now),
            telemetry=RecordingTelemetry(),
            sleep=lambda _seconds: None,
        )
        users, pool, clock = _SteppedUsers(self), _Pool(self), lambda: self.now
        self.enrolment = Enrolment(
            users, pool, self._whop, VerifiedEmail(frozenset()), RecordingTelemetry(), reuse=reuse, clock=clock
        )
        clean_up = CleanUp(users, self._whop, RecordingTelemetry(), policy, clock=clock)
        self._syncing = SyncUser(
            users,
            pool,
            self.enrolment,
            self._whop,
            clean_up,
            RecordingTelemetry(),
            pool_id=POOL,
            client_ids=(),
            clock=clock,
        )

    def add_user(self, sub: str, email: str, name: str | None = None) -> UserRef:
        """A confirmed user of the pool."""
        self.people[sub] = PoolUser(sub=sub, email=email, email_verified=True, name=name, providers=())
        return UserRef(pool_id=POOL, sub=sub, username=sub)

    # Running workers

    def run(self, *users: UserRef) -> None:
        """One enrolment for each of ``users``, interleaved as decided, until each has ended."""
        self.run_together(*((self.enrol, user) for user in users))

    def run_together(self, *tasks: tuple[Callable[[UserRef], None], UserRef]) -> None:
        """One worker for each of ``tasks``, interleaved as decided, until each has ended."""
        workers = {f"worker {number}": greenlet(self._work) for number, _ in enumerate(tasks)}
        for (name, worker), (task, user) in zip(list(workers.items()), tasks, strict=True):
            self._resume(workers, name, worker, task, user)
        while workers:
            options = (*workers, *(("a lease passes",) if self._disturbances else ()))
            choice = self._decide(options)
            if choice == "a lease passes":
                self._disturbances -= 1
                self.pass_time(LEASE_SECONDS + 1)
            else:
                self._resume(workers, choice, workers[choice])

    def _resume(self, workers: dict[str, greenlet], name: str, worker: greenlet, *args: Any) -> None:
        worker.switch(*args)
        if worker.dead:
            del workers[name]

    def _work(self, task: Callable[[UserRef], None], user: UserRef) -> None:
        self._pause()
        try:
            task(user)
        except (Crash, *REPORTED):
            return  # What counts is what a worker leaves behind.

    def enrol(self, user: UserRef) -> None:
        """What a first token does."""
        try:
            self.enrolment.enrol(user, self.users.get(user), deadline=Deadline(3))
        except DeletedMeanwhile:
            self._undelivered.append(user)
            raise

    def repair(self, user: UserRef) -> None:
        """What a token does whose Whop user is unknown to Whop: a look-up, then an account of the next generation."""
        for _ in range(2):
            record = self.users.get(user)
            if record is not None and record.linked_to is not None:
                self.enrolment.repair(user, record.linked_to, deadline=Deadline(3))

    def sync(self, user: UserRef) -> None:
        """What a message does; it is delivered again unless this returns."""
        self._undelivered.append(user)
        self._syncing.sync(SyncMessage(user, Source.RECONCILE), deadline=Deadline(8))
        self._undelivered.remove(user)

    def delete(self, user: UserRef) -> None:
        """The user is deleted in the pool, and a message tells of it."""
        self.people.pop(user.sub, None)
        self._pause()
        self.sync(user)

    def _pause(self) -> None:
        current = greenlet.getcurrent()
        if current.parent is not None:
            current.parent.switch()

    def step(self, disturbances: tuple[str, ...]) -> str | None:
        """Before a call: let the others run, then learn how the call goes; None if as it should."""
        if greenlet.getcurrent().parent is None:
            return None
        self._pause()
        if not self._disturbances:
            return None
        choice = self._decide(("as it should", *disturbances))
        if choice == "as it should":
            return None
        self._disturbances -= 1
        return choice

    def pass_time(self, seconds: float) -> None:
        """Let the clock go on; calls that were under way land."""
        self.now += seconds
        self.simulator.advance(0)

    def settle(self, *users: UserRef) -> None:
        """What happens afterwards: each user is tried again, after a wait that every passing obstacle outlasts."""
        self._settle(lambda: users, self.enrol)

    def settle_by_messages(self, *users: UserRef) -> None:
        """The same by the queue: messages that were not handled come again, and reconcile sends its own.

        Reconcile sends none about a tombstone that says that the clean-up is done.
        """

        def told_of() -> tuple[UserRef, ...]:
            undelivered, self._undelivered = self._undelivered, []
            records = [(user, self.users.get(user)) for user in users]
            open_ = [user for user, record in records if record is None or record.cleaned_at is None]
            return (*undelivered, *open_)

        self._settle(told_of, self.sync)

    def _settle(self, users: Callable[[], Iterable[UserRef]], task: Callable[[UserRef], None]) -> None:
        for _ in range(4):
            for user in users():
                self.pass_time(3600 + LEASE_SECONDS)
                try:
                    task(user)
                except REPORTED as error:
                    self.last_error = error
        self.pass_time(100 * LEASE_SECONDS)

    # What came of it

    def record(self, user: UserRef) -> Record:
        """The user's record, which must exist."""
        record = self.users.records[(user.pool_id, user.sub)]
        assert record is not None
        return record

    def accounts(self, user: UserRef) -> list[dict[str, Any]]:
        """The accounts at Whop that were made for the user, whatever their generation."""
        made = f"cognito:{user.pool_id}:{user.sub}:"
        accounts: Any = self.simulator.dump()["accounts"]
        return [a for a in accounts if str((a["metadata"] or {}).get("external_id", "")).startswith(made)]

    def check(self, *users: UserRef) -> None:
        """Nobody is stuck, nobody shares a Whop user, nobody has two accounts, and every link is to one's own."""
        linked = [user for user in users if self.record(user).status is Status.LINKED]
        for user in users:
            record = self.record(user)
            assert record.status in (Status.LINKED, Status.BLOCKED), (user, record, self.last_error)
            assert record.status is not Status.BLOCKED or record.reason
        ids = [self.record(user).whop_user_id for user in linked]
        assert len(set(ids)) == len(ids)
        for user in linked:
            record = self.record(user)
            accounts = self.accounts(user)
            assert [a["id"] for a in accounts] == [record.whop_account_id]
            assert accounts[0]["owner_id"] == record.whop_user_id
            assert accounts[0]["parent_id"] == COMPANY
            assert accounts[0]["email"] == self.people[user.sub].email
            assert self.users.reservations[str(record.whop_user_id)] == (user.pool_id, user.sub)

    def names(self) -> dict[str, str]:
        """The names that Whop users have in the company."""
        profiles: Any = self.simulator.dump()["profiles"]
        return {each["user_id"]: each["name"] for each in profiles if each["account_id"] == COMPANY}

    def check_deleted(self, user: UserRef) -> None:
        """A tombstone is left, the clean-up is done, and at Whop nothing shows who it was."""
        record = self.record(user)
        assert record.status is Status.DELETED, (record, self.last_error)
        assert record.cleaned_at is not None, (record, self.last_error)
        assert record.reason is None
        held = [
            whop_user for whop_user, holder in self.users.reservations.items() if holder == (user.pool_id, user.sub)
        ]
        assert held in ([], [record.whop_user_id])
        names = self.names()
        assert set(names.values()) <= {NEUTRAL_NAME}
        accounts = self.accounts(user)
        assert self._policy == "keep-account" or accounts == []
        for account in accounts:
            assert names[account["owner_id"]] == NEUTRAL_NAME

    last_error: Exception | None = None


class _FixedKey:
    def current(self, *, deadline: Deadline) -> str:
        return "key"

    def after_refusal(self, refused: str, *, deadline: Deadline) -> str | None:
        return None


class _Pool:
    """Reads change nothing and meet no disturbance, so they are no steps: that keeps the runs to those that differ."""

    def __init__(self, world: World) -> None:
        self._world = world

    def admin_get(self, user: UserRef, *, deadline: Deadline | None = None) -> PoolUser:
        if user.sub not in self._world.people:
            raise UserGone
        return self._world.people[user.sub]

    def lookup(self, user: UserRef, *, deadline: Deadline | None = None) -> ListedUser:
        return ListedUser(user, PoolStatus.ACTIVE, self.admin_get(user))


class _SteppedUsers:
    def __init__(self, world: World) -> None:
        self._world = world

    def get(self, user: UserRef, *, deadline: Deadline) -> Record | None:
        return self._world.users.get(user)

    def put(self, user: UserRef, record: Record, *, expected: Record | None, deadline: Deadline) -> Record:
        return self._disturbed(lambda: self._world.users.put(user, record, expected=expected))

    def link(self, user: UserRef, record: Record, *, expected: Record, deadline: Deadline) -> Record:
        return self._disturbed(lambda: self._world.users.link(user, record, expected=expected))

    def holder(self, whop_user_id: str, *, deadline: Deadline) -> UserRef | None:
        return self._world.users.holder(whop_user_id)

    def transfer(
        self,
        user: UserRef,
        record: Record,
        *,
        expected: Record,
        holder: UserRef,
        holder_record: Record | None,
        holder_after: Record | None,
        deadline: Deadline,
    ) -> Record:
        return self._disturbed(
            lambda: self._world.users.transfer(
                user, record, expected=expected, holder=holder, holder_record=holder_record, holder_after=holder_after
            )
        )

    def _disturbed(self, write: Callable[[], Record]) -> Record:
        disturbance = self._world.step(TABLE_DISTURBANCES)
        if disturbance == "refused":
            raise AwsError("InternalServerError")
        written = write()
        if disturbance == "crash":
            raise Crash
        if disturbance == "answer lost":
            raise AwsError("ReadTimeout")
        return written


class _SteppedTransport(httpx.BaseTransport):
    def __init__(self, world: World, inner: httpx.BaseTransport) -> None:
        self._world = world
        self._inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET" and self._world.change_disturbances:
            return self._inner.handle_request(request)
        disturbances = CREATE_DISTURBANCES if request.method == "POST" else self._world.change_disturbances
        disturbance = self._world.step(tuple(disturbances))
        fault = disturbances[disturbance] if disturbance else None
        if fault is not None:
            self._world.simulator.add_fault(fault)
        response = self._inner.handle_request(request)
        if disturbance == "crash":
            raise Crash
        return response


class Script:
    """Decisions by number, the first option where the script has run out; remembers how many options there were."""

    def __init__(self, choices: tuple[int, ...]) -> None:
        self._choices = choices
        self.taken: list[int] = []
        self.sizes: list[int] = []
        self.story: list[str] = []

    def decide(self, options: tuple[str, ...]) -> str:
        """The option that the script says."""
        place = len(self.taken)
        choice = self._choices[place] if place < len(self._choices) else 0
        self.taken.append(choice)
        self.sizes.append(len(options))
        self.story.append(options[choice])
        return options[choice]


def every_script(run: Callable[[Script], None]) -> int:
    """Run every script there is, depth first, and count them; a failure tells the script that leads to it."""
    scripts: list[tuple[int, ...]] = [()]
    count = 0
    while scripts:
        choices = scripts.pop()
        script = Script(choices)
        try:
            run(script)
        except AssertionError as error:
            raise AssertionError(f"{script.story}: {error}") from error
        count += 1
        for place in range(len(choices), len(script.taken)):
            taken = tuple(script.taken[:place])
            scripts.extend((*taken, other) for other in range(1, script.sizes[place]))
    return count
