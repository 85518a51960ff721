"""Users sign up, act and leave while calls fail now and then. At the end nothing is lost."""

import functools
from collections import Counter
from collections.abc import Mapping

from local.whop_simulator import Readings
from soak.actors import App, Life, Log
from soak.checks import answers, at_rest, drift, not_synced, repaired
from soak.fault_injector import FaultInjector
from soak.lambdas import Function
from soak.report import Figure, Found
from soak.scheduler import Scheduler
from soak.stack import COMPANY, WHOP_SECRET, Stack

# Readings of what Whop's documents leave open, and parameters of a team. Each seed tries one of the three.
_VARIANTS: tuple[tuple[Readings, dict[str, str]], ...] = (
    (
        Readings(server_error="replayed", existing_account_status=201, email_returned="as_sent"),
        {"TOKEN_REUSE": "always", "EMAIL_REUSE": "inherit"},
    ),
    (Readings(), {"TOKEN_REUSE": "never"}),
    (
        Readings(lost_answer="held", server_error="held", retry_after_header=True),
        {"TOKEN_REUSE": "on-error", "EMAIL_REUSE": "inherit", "DELETE_POLICY": "delete-account"},
    ),
)
_SETTLE_SECONDS = 6 * 3600.0
_MOVES_ONE_IN = 10


def run(seed: int, *, users: int = 2000, storm: float = 1.0) -> Found:
    """One run with ``users`` users, on average one a second. ``storm`` multiplies all probabilities of faults."""
    scheduler = Scheduler(seed)
    faults = FaultInjector(
        scheduler.chance, whop=0.08 * storm, aws=0.02 * storm, kill=0.003 * storm, forget=0.01 * storm
    )
    readings, settings = _VARIANTS[seed % len(_VARIANTS)]
    stack = Stack(
        scheduler,
        faults,
        readings=readings,
        settings=settings,
        duplicates=0.05,
        changes_lost=0.05,
        failed_entries=0.02,
        overlooked=0.02,
    )
    with stack.deployed():
        scenario = Scenario(stack, users)
        log = scenario.run()
        figures = [
            *at_rest(stack),
            *answers(log),
            Figure.none("users not enrolled although their messages were handled", scenario.not_synced),
            Figure.none("users out of step before the last reconcile", scenario.drift),
            _given_up(log, storm),
            *_context(stack, log),
        ]
        return Found(figures, stack.network.digest)


class Scenario:
    """One run: a part with faults and a part without."""

    def __init__(self, stack: Stack, users: int) -> None:
        self._stack = stack
        self._log = Log()
        self._everybody: list[Life] = []
        self._users = users
        self.not_synced: list[str] = []
        self.drift: list[str] = []
        self._spread = max(600.0, float(users))

    def run(self) -> Log:
        """Run both parts. Returns the answers that apps got."""
        scheduler = self._stack.scheduler
        begin = scheduler.now
        for number in range(self._users):
            life = Life(self._stack, self._log, number, self._everybody)
            self._everybody.append(life)
            scheduler.start(functools.partial(life.live, begins_within=self._spread, acts=6))
        self._disturb(begin)
        scheduler.run(begin + self._spread + 3600)
        self._stack.faults.end()
        self._stack.queue.duplicates = 0.0
        scheduler.start(self._settle)
        scheduler.run(scheduler.now + _SETTLE_SECONDS)
        return self._log

    def _disturb(self, begin: float) -> None:
        """Rotate the API key and the signing keys duplicates, and run reconcile duplicates."""
        scheduler, stack = self._stack.scheduler, self._stack
        scheduler.at(begin + self._spread * 0.2, lambda: self._new_key(1, gap=-600.0))
        # The operator revokes the old key before the secret has the new one.
        scheduler.at(begin + self._spread * 0.7, lambda: self._new_key(2, gap=20.0))
        scheduler.at(begin + self._spread * 0.3, stack.pool.rotate)
        scheduler.at(begin + self._spread * 0.8, stack.pool.rotate)
        for part in (0.4, 0.9):
            scheduler.start(lambda: stack.run_reconcile(command="start"), after=self._spread * part)

    def _new_key(self, number: int, *, gap: float) -> None:
        """Whop revokes the old key ``gap`` seconds before the secret has the new one; after it if negative."""
        stack, scheduler = self._stack, self._stack.scheduler
        key = f"whop-key-{number}"
        stack.simulator.add_key(key, company_id=COMPANY)
        old = stack.secrets[WHOP_SECRET]
        scheduler.at(scheduler.now + max(0.0, -gap), lambda: stack.simulator.revoke_key(old))
        scheduler.at(scheduler.now + max(0.0, gap), lambda: stack.secrets.put(WHOP_SECRET, key))

    def _settle(self) -> None:
        """Some Whop users are lost, an operator starts a backfill, and everybody asks for a token once more."""
        stack, scheduler = self._stack, self._stack.scheduler
        # Longer than any message is postponed, and than any call may take to set a name.
        scheduler.sleep(2000)
        self.not_synced = not_synced(stack)
        self.drift = drift(stack)
        self._move()
        while not stack.run_is_over:
            scheduler.sleep(60)
        stack.run_reconcile(command="start", backfill=True)
        scheduler.sleep(2 * 3600)
        for sub in list(stack.pool.people):
            scheduler.sleep(0.25)
            scheduler.start(App(stack, self._log, sub).token)

    def _move(self) -> None:
        """Whop loses some users, whose address changes. The sync links each to another Whop user.

        Each asks for a token just before and after it, so that a kept token is of the former Whop user.
        """
        stack, scheduler = self._stack, self._stack.scheduler
        everybody = [*stack.pool.people, *stack.pool.gone]
        owners = Counter(address for sub in everybody for address in stack.pool.addresses(sub))
        moving = [sub for sub in stack.pool.people if self._can_move(sub, owners)][::_MOVES_ONE_IN]
        apps = [App(stack, self._log, sub) for sub in moving]
        for app in apps:
            scheduler.start(app.token)
        scheduler.sleep(60)
        for number, sub in enumerate(moving):
            stack.network.lose(stack.record(sub)["whop_user_id"])
            stack.pool.change(sub, name=f"Moved {number}", email=f"moved-{number}@people.example.test")
            stack.publish_change(sub)
        scheduler.sleep(900)
        for app in apps:
            scheduler.start(app.token)

    def _can_move(self, sub: str, owners: Mapping[str, int]) -> bool:
        """Whether a user is linked, never shared an address, and has all repairs of the day left.

        ``owners`` says how many users have or had an address. Whop knows people by it.
        """
        stack, person = self._stack, self._stack.pool.people[sub]
        record = stack.record(sub)
        is_alone = all(owners[address] == 1 for address in stack.pool.addresses(sub))
        is_linked = record.get("status") == "linked" and record.get("repairs") == "0"
        return is_linked and is_alone and person.enabled and person.verified


def _given_up(log: Log, storm: float) -> Figure:
    """In a storm an app may give up. Nothing is lost by that."""
    what = "apps without a token after twelve requests"
    return Figure.none(what, log.without) if storm <= 1 else Figure.known(what, len(log.without))


def _context(stack: Stack, log: Log) -> list[Figure]:
    """The numbers behind the figures above."""
    calls = stack.network.calls
    waits = sorted(log.waits)
    faults = sum(call.fault is not None for call in stack.simulator.calls())
    return [
        Figure.known("users who signed up", len(stack.pool.people) + len(stack.pool.gone)),
        Figure.known("users who were deleted", len(stack.pool.gone)),
        Figure.known("calls to AWS", sum(count for name, count in calls.items() if not name.startswith("whop"))),
        Figure.known("calls to Whop", sum(count for name, count in calls.items() if name.startswith("whop"))),
        Figure.known("of them with a fault", faults),
        Figure.known("users that Whop did not know for some seconds", len(stack.network.forgotten)),
        Figure.known("of them with a new account", repaired(stack)),
        Figure.known("invocations", sum(each.invocations for each in _functions(stack))),
        Figure.known("of them killed or out of time", sum(each.failures for each in _functions(stack))),
        Figure.known("cold starts", sum(each.cold_starts for each in _functions(stack))),
        Figure.known("messages, with those delivered twice", stack.queue.accepted + stack.queue.copies),
        Figure.known("most deliveries of one message", stack.queue.most_receives),
        Figure.known("tokens", log.answers["200"]),
        Figure.known("median time to a token", waits[len(waits) // 2], " s"),
        Figure.known("99th percentile of it", waits[len(waits) * 99 // 100], " s"),
    ]


def _functions(stack: Stack) -> list[Function]:
    return [stack.mint, stack.on_signup, stack.sync, stack.reconcile]
