"""Whop does not answer for ten minutes, while people go on opening their apps and signing up."""

from soak.checks import answers, at_rest
from soak.people import Log
from soak.report import Figure, Found
from soak.stack import Stack
from soak.traffic import Traffic, most_within, share_at_once
from soak.troubles import Troubles
from soak.world import World

_BEFORE_SECONDS = 900.0
_OUTAGE_SECONDS = 600.0
_AFTER_SECONDS = 1800.0
_OPENED_EVERY = 60.0
_SIGN_UP_EVERY = 10.0


def run(seed: int, *, users: int = 300, mode: str = "never") -> Found:
    """One outage in a ``mode`` of TokenReuse; each of ``users`` users opens the app once a minute on average."""
    world = World(seed)
    troubles = Troubles(world.chance)
    stack = Stack(world, troubles, settings={"TOKEN_REUSE": mode})
    log = Log()
    with stack.deployed():
        traffic = Traffic(stack, log, users=users, every=_OPENED_EVERY)
        world.start(lambda: _sign_ups(stack))
        traffic.begin()
        world.run(world.now + _BEFORE_SECONDS)
        dies = world.now
        troubles.whop_is_dead = True
        world.run(dies + _OUTAGE_SECONDS)
        returns = world.now
        troubles.whop_is_dead = False
        world.run(returns + _AFTER_SECONDS)
        least = 0.0 if mode == "never" else 99.0
        return Found(_figures(stack, log, traffic, dies, returns, at_once=least), stack.network.story)


def _sign_ups(stack: Stack) -> None:
    """People who have never been here go on signing up; they ask for nothing yet."""
    number = 0
    while True:
        stack.world.sleep(_SIGN_UP_EVERY)
        number += 1
        stack.sign_up(stack.pool.sign_up(f"new-{number}@people.example.test", f"New {number}"))


def _figures(stack: Stack, log: Log, traffic: Traffic, dies: float, returns: float, *, at_once: float) -> list[Figure]:
    before, during = traffic.between(dies - 300, dies), traffic.between(dies, returns)
    late = sorted((opening.done_at or float("inf")) - returns for opening in during)
    calls = [at for at, _ in stack.network.whop_calls]
    usual = most_within(10, [at for at in calls if dies - 300 <= at < dies])
    return [
        Figure.at_least("answered at once before", share_at_once(before), 99, " %"),
        Figure.at_least("answered at once during the outage", share_at_once(during), at_once, " %"),
        Figure.at_most("the last app that was waiting had its token after", max(0.0, late[-1]), 90, " s"),
        Figure.at_most("99 in 100 of them after", max(0.0, late[len(late) * 99 // 100]), 60, " s"),
        Figure.known("most calls to Whop in 10 s before", usual),
        Figure.known(
            "most calls to Whop in 10 s during the outage",
            most_within(10, [at for at in calls if dies + 30 <= at < returns]),
        ),
        Figure.at_most(
            "most calls to Whop in 10 s at recovery, against before",
            most_within(10, [at for at in calls if returns <= at < returns + 120]) / usual,
            2,
            " times",
        ),
        Figure.known("most deliveries of one message", stack.queue.most_receives),
        *at_rest(stack),
        *answers(log),
    ]
