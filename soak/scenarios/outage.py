"""Whop does not answer for ten minutes, while people go on opening their apps and signing up."""

from soak.actors import Log
from soak.checks import answers, at_rest
from soak.fault_injector import FaultInjector
from soak.load import Load, most_within, share_at_once
from soak.report import Figure, Found
from soak.scheduler import Scheduler
from soak.stack import Stack

_BEFORE_SECONDS = 600.0
_OUTAGE_SECONDS = 600.0
# Longer than any message is put off.
_AFTER_SECONDS = 1200.0
_OPENED_EVERY = 60.0
_SIGN_UP_EVERY = 10.0
# An open circuit waits 60 s at most, and a quarter more by chance; who asks is told up to a half more, and an app here
# adds up to three tenths.
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
        # Without a token that is kept there is none to give.
        least = None if mode == "never" else 99.0
        return Found(_figures(stack, log, load, dies, returns, least), stack.network.story)


def _sign_ups(stack: Stack) -> None:
    """Until the outage is over, people who have never been here sign up; they ask for nothing yet."""
    for number in range(int((_BEFORE_SECONDS + _OUTAGE_SECONDS) / _SIGN_UP_EVERY)):
        stack.scheduler.sleep(_SIGN_UP_EVERY)
        stack.sign_up(stack.pool.sign_up(f"new-{number}@people.example.test", f"New {number}"))


def _figures(stack: Stack, log: Log, load: Load, dies: float, returns: float, least: float | None) -> list[Figure]:
    usual, during = load.between(dies - 300, dies), load.between(dies, returns)
    late = sorted(max(0.0, (opening.done_at or float("inf")) - returns) for opening in during)
    herd = stack.network.calls_between(returns, returns + 120)
    mints = [at for at, operation in herd if operation == "access_tokens.create"]
    opened = most_within(10, [opening.begun_at for opening in usual])
    return [
        Figure.at_least("openings answered at once, before", share_at_once(usual), 99, " %"),
        _answered_meanwhile(share_at_once(during), least),
        Figure.known("calls to Whop a minute, before", len(stack.network.calls_between(dies - 300, dies)) / 5),
        Figure.known("calls to Whop a minute, during", len(stack.network.calls_between(dies, returns)) / 10),
        Figure.known("half of the apps that were waiting had a token after", late[len(late) // 2], " s"),
        Figure.at_most("the last of them after", late[-1], _LONGEST_WAIT_SECONDS, " s"),
        Figure.known("openings in the fullest 10 s, before", opened),
        Figure.at_most("tokens asked of Whop in the fullest 10 s, at recovery", most_within(10, mints), 3 * opened),
        Figure.known("all calls to Whop in the fullest 10 s, at recovery", most_within(10, [at for at, _ in herd])),
        Figure.known("most deliveries of one message", stack.queue.most_receives),
        *at_rest(stack),
        *answers(log),
    ]


def _answered_meanwhile(share: float, least: float | None) -> Figure:
    what = "openings answered at once, during the outage"
    return Figure.known(what, share, " %") if least is None else Figure.at_least(what, share, least, " %")
