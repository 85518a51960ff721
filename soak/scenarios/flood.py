"""A hundred broken clients of one user ask for tokens in a loop, while others use the service."""

import math
from collections import Counter

from soak.actors import App, Log
from soak.checks import answers, at_rest
from soak.fault_injector import FaultInjector
from soak.load import Load, code_of, most_within
from soak.report import Figure, Found
from soak.scheduler import Scheduler
from soak.stack import Stack

MINTS_PER_MINUTE = 30  # template.yaml, MintsPerMinute
_WARM_SECONDS = 300.0
_OPENED_EVERY = 60.0
_ROUND_TRIP_SECONDS = 0.25


def run(seed: int, *, users: int = 300, clients: int = 100, minutes: float = 5) -> Found:
    """``clients`` clients of one user for ``minutes``, while ``users`` others open the app once a minute."""
    scheduler = Scheduler(seed)
    stack = Stack(scheduler, FaultInjector(scheduler.chance))
    normal, flooded = Log(), Log()
    with stack.deployed():
        load = Load(stack, normal, users=users, every=_OPENED_EVERY)
        load.begin()
        flooder = stack.pool.sign_up("flooder@people.example.test", "Flooder")
        scheduler.start(App(stack, flooded, flooder.sub).token, after=30)
        scheduler.run(scheduler.now + _WARM_SECONDS)
        begin = scheduler.now
        flood = Flood(stack, flooded, flooder.sub)
        for _ in range(clients):
            scheduler.start(flood.ask_for_ever, after=scheduler.chance.random())
        scheduler.run(begin + minutes * 60)
        during = load.between(begin, scheduler.now - 5)
        mints = [at for at in flood.mints_at_whop() if at >= begin]
        figures = [
            Figure.known("minutes of the flood", minutes),
            Figure.known("requests of the flooder", sum(flood.codes.values())),
            Figure.at_most(
                "tokens of the flooder that Whop minted",
                len(mints),
                MINTS_PER_MINUTE * math.ceil(minutes),
            ),
            # Any 60 s can overlap two windows of the limit.
            Figure.at_most("in the busiest 60 s", most_within(60, mints), 2 * MINTS_PER_MINUTE),
            Figure.known("refused by the limit", flood.codes["too_many_requests"]),
            Figure.none("refused without Retry-After", flood.without_retry_after),
            Figure.known("app starts of everybody else", len(during)),
            Figure.none("refusals of everybody else", normal.refusals),
            *at_rest(stack),
            *answers(normal),
        ]
        return Found(figures, stack.network.digest)


class Flood:
    """The clients of one user. They ignore ``Retry-After``."""

    def __init__(self, stack: Stack, log: Log, sub: str) -> None:
        self._stack = stack
        self._log = log
        self._sub = sub
        self.codes: Counter[str] = Counter()
        self.without_retry_after: list[str] = []

    def ask_for_ever(self) -> None:
        """Ask again as soon as there is an answer, which takes a round trip."""
        app = App(self._stack, self._log, self._sub)
        while True:
            self._stack.scheduler.sleep(_ROUND_TRIP_SECONDS)
            answer = app.ask()
            code = code_of(answer)
            self.codes[code or str(answer["statusCode"])] += 1
            if answer["statusCode"] in (429, 503) and "Retry-After" not in answer["headers"]:
                self.without_retry_after.append(code)

    def mints_at_whop(self) -> list[float]:
        """When Whop minted for this user."""
        whop_user = self._stack.record(self._sub).get("whop_user_id")
        tokens = self._stack.simulator.dump()["tokens"]
        return sorted(t["minted_at"] for t in tokens if t["user_id"] == whop_user)  # type: ignore[attr-defined]
