"""A day of page loads under each mode of TokenReuse, computed: `make reuse`.

Modelled are

- users: each comes some times a day, mostly in the morning and in the evening, and loads some pages each time; every
  page load asks for a token, as in the sample of Whop's guide, and does not ask again if it gets none;
- Whop: 600 mints in any 60 s, the next one is a 429 that says how long to wait (Whop, "Rate limits");
- this service: the limit of one user, the last token, and the wait that all instances keep. It is a small copy of
  `Minting`, because a day has two million page loads; tests/tools/soak/test_reuse.py holds it to the real one.

``the guide's sample`` is a backend without any of it: each page load is a call.
"""

import argparse
import math
import random
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tools.figures import Table, as_markdown, as_text, write

type Mode = Literal["the guide's sample", "never", "on-error", "always"]
type PageLoad = tuple[int, int]
"""Second of the day, and number of the user."""

MODES: tuple[Mode, ...] = ("the guide's sample", "never", "on-error", "always")
USERS = (10_000, 100_000)
DAY = 86_400
LIMIT, WINDOW = 600, 60  # Whop, "Rate limits"
MINTS_PER_MINUTE = 30  # template.yaml, MintsPerMinute
MARGIN_SECONDS = 60  # whop_chat.minting.fallback
VISITS, PAGES, SECONDS_ON_A_PAGE = 3, 6, 60
"""On average a day, a visit and a page. These are guesses, not measurements."""
PEAKS = ((0.35, 9, 1.5), (0.45, 20, 2.0))
"""Share of the visits, hour, standard deviation in hours. The rest is spread over the day."""


def page_loads(users: int, *, seed: int = 1) -> list[PageLoad]:
    """The page loads of a day, in order."""
    chance = random.Random(seed)
    loads = [
        (int(moment) % DAY, user)
        for user in range(users)
        for _ in range(_geometric(chance, VISITS))
        for moment in _visit(chance)
    ]
    return sorted(loads)


def _visit(chance: random.Random) -> Iterator[float]:
    moment = _begin(chance)
    for _ in range(_geometric(chance, PAGES)):
        yield moment
        moment += chance.expovariate(1 / SECONDS_ON_A_PAGE)


def _begin(chance: random.Random) -> float:
    draw = chance.random()
    for part, hour, spread in PEAKS:
        if draw < part:
            return chance.gauss(hour, spread) * 3600
        draw -= part
    return chance.random() * DAY


def _geometric(chance: random.Random, mean: float) -> int:
    """A geometric random number of at least 1."""
    return 1 + int(math.log(1 - chance.random()) / math.log(1 - 1 / mean))


class Limit:
    """Whop's rate limit of one operation."""

    def __init__(self, calls: int = LIMIT) -> None:
        self._calls = calls
        self._admitted: deque[int] = deque()

    def wait(self, now: int) -> int:
        """0 for an admitted call, else the seconds that the 429 says to wait."""
        while self._admitted and self._admitted[0] <= now - WINDOW:
            self._admitted.popleft()
        if len(self._admitted) >= self._calls:
            return self._admitted[0] + WINDOW - now
        self._admitted.append(now)
        return 0


@dataclass(slots=True)
class Outcome:
    """The results of a day of page loads."""

    calls: Counter[int] = field(default_factory=Counter)
    """Calls to Whop, by minute."""
    limited: int = 0
    """Calls that Whop answered with 429."""
    minted: int = 0
    reused: int = 0
    refused: int = 0
    """Page loads without a token."""


class Model:
    """What `Minting` does at page loads of linked users. Tokens live ``life`` seconds."""

    def __init__(self, mode: Mode, *, life: int = 3600, limit: int = LIMIT, per_minute: int = MINTS_PER_MINUTE) -> None:
        self.outcome = Outcome()
        self._bare = mode == "the guide's sample"
        self._keeps, self._always = mode in ("on-error", "always"), mode == "always"
        self._life = life
        self._whop = Limit(limit)
        self._per_minute = per_minute
        self._not_before = 0
        self._windows: dict[int, tuple[int, int]] = {}
        self._kept: dict[int, int] = {}

    def load(self, now: int, user: int) -> None:
        """Handle one page load."""
        if not self._bare and not self._counted(now, user):
            self.outcome.refused += 1
        elif self._always and self._left(now, user) >= self._life / 2:
            self.outcome.reused += 1
        elif self._admitted(now):
            self.outcome.minted += 1
            if self._keeps and self._left(now, user) < self._life / 2:
                self._kept[user] = now
        elif self._keeps and self._left(now, user) >= MARGIN_SECONDS:
            self.outcome.reused += 1
        else:
            self.outcome.refused += 1

    def _counted(self, now: int, user: int) -> bool:
        since, mints = self._windows.get(user, (-WINDOW, 0))
        since, mints = (since, mints) if now - since < WINDOW else (now, 0)
        if mints < self._per_minute:
            self._windows[user] = since, mints + 1
        return mints < self._per_minute

    def _left(self, now: int, user: int) -> int:
        """Seconds that the user's last token is still valid; negative without one."""
        kept = self._kept.get(user)
        return -1 if kept is None else kept + self._life - now

    def _admitted(self, now: int) -> bool:
        if now < self._not_before and not self._bare:
            return False
        self.outcome.calls[now // 60] += 1
        wait = self._whop.wait(now)
        if wait:
            self.outcome.limited += 1
            self._not_before = now + wait
        return not wait


def day(mode: Mode, loads: Sequence[PageLoad]) -> Outcome:
    """The results of ``loads`` in one mode."""
    model = Model(mode)
    for now, user in loads:
        model.load(now, user)
    return model.outcome


def table(users: int, loads: Sequence[PageLoad]) -> Table:
    """One row for each mode, for one number of users."""
    header = [
        "",
        "calls to Whop a minute, mean",
        "peak",
        "429 of Whop",
        "last token again",
        "page loads without a token",
    ]
    rows = [_row(mode, day(mode, loads), len(loads)) for mode in MODES]
    return Table(f"{users:,} users, {len(loads):,} page loads in a day", header, rows)


def _row(mode: Mode, found: Outcome, loads: int) -> list[str]:
    return [
        mode,
        f"{found.calls.total() / (DAY / 60):,.0f}",
        f"{max(found.calls.values()):,}",
        f"{found.limited:,}",
        f"{found.reused / loads:.1%}",
        f"{found.refused:,} ({found.refused / loads:.1%})",
    ]


def main() -> None:
    """Compute, print, and write docs/figures/reuse.md."""
    parser = argparse.ArgumentParser(prog="python -m soak.scenarios.reuse", description=main.__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--print-only", action="store_true", help="write no file")
    asked = parser.parse_args()
    begin = time.perf_counter()
    shown = [table(users, page_loads(users, seed=asked.seed)) for users in USERS]
    print("\n\n".join(map(as_text, shown)))
    print(f"\nin {time.perf_counter() - begin:.0f} s")
    if not asked.print_only:
        write("reuse", "A day of page loads under each mode of TokenReuse", "make reuse", *map(as_markdown, shown))


if __name__ == "__main__":
    main()
