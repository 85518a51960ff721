"""Apps that people open again and again. Each time the app asks for a token until it gets one."""

import bisect
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from soak.actors import App, Log
from soak.cognito import Person
from soak.stack import Stack

_LONGEST_BACKOFF_SECONDS = 30.0


@dataclass(slots=True)
class Opening:
    """An app was opened. ``tries`` counts requests; ``done_at`` is None until there is a token."""

    begun_at: float
    tries: int = 0
    done_at: float | None = None

    @property
    def at_once(self) -> bool:
        """Whether the first request was answered with a token."""
        return self.done_at is not None and self.tries == 1


class Load:
    """The apps of ``users`` users. Each is opened again ``every`` seconds after it got its token, on average."""

    def __init__(self, stack: Stack, log: Log, *, users: int, every: float) -> None:
        self._stack = stack
        self._log = log
        self._every = every
        self.openings: list[Opening] = []
        self.people = [stack.pool.sign_up(f"person-{n}@people.example.test", f"Person {n}") for n in range(users)]

    def begin(self) -> None:
        """Start."""
        for person in self.people:
            self._stack.scheduler.start(self._using(person))

    def _using(self, person: Person) -> Any:
        return lambda: self._use(App(self._stack, self._log, person.sub))

    def _use(self, app: App) -> None:
        scheduler = self._stack.scheduler
        while True:
            scheduler.sleep(scheduler.chance.expovariate(1 / self._every))
            opening = Opening(scheduler.now)
            self.openings.append(opening)
            while not self._asked(app, opening):
                pass

    def _asked(self, app: App, opening: Opening) -> bool:
        """Ask once. Returns False after the wait of the answer, or after a back-off, if there is no token."""
        scheduler = self._stack.scheduler
        answer = app.ask()
        opening.tries += 1
        if answer["statusCode"] == 200:
            opening.done_at = scheduler.now
            return True
        retry_after = float(answer["headers"].get("Retry-After", 0))
        backoff = min(_LONGEST_BACKOFF_SECONDS, 2.0**opening.tries)
        scheduler.sleep(max(retry_after, backoff) * scheduler.chance.uniform(1.0, 1.3))
        return False

    def between(self, begin: float, end: float) -> Sequence[Opening]:
        """The openings that began between two times."""
        return [opening for opening in self.openings if begin <= opening.begun_at < end]


def most_within(seconds: float, times: Sequence[float]) -> int:
    """The highest number of ``times`` within any ``seconds``. ``times`` are in order."""
    return max((place - bisect.bisect_right(times, at - seconds) + 1 for place, at in enumerate(times)), default=0)


def share_at_once(openings: Sequence[Opening]) -> float:
    """Percentage of openings whose first request was answered with a token."""
    return 100 * sum(opening.at_once for opening in openings) / len(openings)


def code_of(answer: dict[str, Any]) -> str:
    """The ``code`` of an answer."""
    return str(json.loads(answer["body"]).get("code", ""))
