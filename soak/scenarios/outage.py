"""Whop does not answer for ten minutes, while people open their apps and sign up."""

from soak.actors import Log
from soak.checks import answers, at_rest
from soak.fault_injector import FaultInjector
from soak.load import Load, most_within, share_at_once
from soak.report import Figure, Found
from soak.scheduler import Scheduler
from soak.stack import Stack

_BEFORE_SECONDS = 600.0
_OUTAGE_SECONDS = 600.0
# Longer than any message is postponed.
_AFTER_SECONDS = 1200.0
_OPENED_EVERY = 60.0
_SIGN_UP_EVERY = 10.0
# An open circuit waits up to 60 s, with jitter 75 s. `Retry-After` adds up to a half, and an app here up to 30 %.
_LONGEST_WAIT_SECONDS = 150.0


def run(seed: int, *, users: int = 300, mode: str = "never") -> Found:
    """One outage in a ``mode`` of TokenReuse; each of ``users`` users opens the app once a minute on average."""
    scheduler = Scheduler(seed)
    faults = FaultInjector(scheduler.chance)
    stack = Stack(scheduler, faults, settings={"TOKEN_REUSE": mode})
    log = Log()
    with stack.deployed():
        load = Load(stack, log, users=users, every=_OPENED_EVERY)
        scheduler.start(lambda: _sign_ups(stack))
        load.begin()
        scheduler.run(scheduler.now + _BEFORE_SECONDS)
        dies = scheduler.now
        faults.whop_is_down = True
        scheduler.run(dies + _OUTAGE_SECONDS)
        returns = scheduler.now
        faults.whop_is_down = False
        scheduler.run(returns + _AFTER_SECONDS)
        # In this mode no token is kept, so none can be answered.
        least = None if mode == "never" else 99.0
        return Found(_figures(stack, log, load, dies, returns, least), stack.network.digest)


def _sign_ups(stack: Stack) -> None:
    """New people sign up until the outage ends. They do not ask for a token yet."""
    for number in range(int((_BEFORE_SECONDS + _OUTAGE_SECONDS) / _SIGN_UP_EVERY)):
        stack.scheduler.sleep(_SIGN_UP_EVERY)
        stack.sign_up(stack.pool.sign_up(f"new-{number}@people.example.test", f"New {number}"))


def _figures(stack: Stack, log: Log, load: Load, dies: float, returns: float, least: float | None) -> list[Figure]:
    calls = stack.network.calls_between
    usual, during = load.between(dies - 300, dies), load.between(dies, returns)
    late = sorted(max(0.0, (opening.done_at or float("inf")) - returns) for opening in during)
    herd = calls(returns, returns + 120)
    mints = [at for at, operation in herd if operation == "access_tokens.create"]
    opened = most_within(10, [opening.begun_at for opening in usual])
    return [
        Figure.at_least("app starts answered at once, before the outage", share_at_once(usual), 99, " %"),
        _answered_meanwhile(share_at_once(during), least),
        Figure.known("calls to Whop a minute, before the outage", len(calls(dies - 300, dies)) / 5),
        Figure.known("calls to Whop a minute, during the outage", len(calls(dies, returns)) / 10),
        Figure.known("median wait of the waiting apps after the outage", late[len(late) // 2], " s"),
        Figure.at_most("longest wait of them", late[-1], _LONGEST_WAIT_SECONDS, " s"),
        Figure.known("app starts in the busiest 10 s, before the outage", opened),
        Figure.at_most("token requests to Whop in the busiest 10 s, at recovery", most_within(10, mints), 3 * opened),
        Figure.known("all calls to Whop in the busiest 10 s, at recovery", most_within(10, [at for at, _ in herd])),
        Figure.known("most deliveries of one message", stack.queue.most_receives),
        *at_rest(stack),
        *answers(log),
    ]


def _answered_meanwhile(share: float, least: float | None) -> Figure:
    what = "app starts answered at once, during the outage"
    return Figure.known(what, share, " %") if least is None else Figure.at_least(what, share, least, " %")
