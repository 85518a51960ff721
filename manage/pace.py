"""So many a minute and no more."""

import argparse
import time

from whop_chat.reconcile.run import USERS_PER_MINUTE

LEAST, MOST = 10, USERS_PER_MINUTE


class Pace:
    """Each `wait` ends when the next ones may begin; the first at once."""

    def __init__(self, per_minute: int) -> None:
        self._seconds_each = 60 / per_minute
        self._next = time.monotonic()

    def wait(self, number: int = 1) -> None:
        """Until ``number`` more may begin."""
        now = time.monotonic()
        if self._next > now:
            time.sleep(self._next - now)
        self._next = max(now, self._next) + number * self._seconds_each


def add_argument(parser: argparse.ArgumentParser) -> None:
    """The argument ``--per-minute``."""
    parser.add_argument(
        "--per-minute", metavar="N", type=_number, default=MOST, help=f"users a minute, {LEAST} to {MOST} ({MOST})"
    )


def _number(text: str) -> int:
    number = int(text)
    if not LEAST <= number <= MOST:
        raise argparse.ArgumentTypeError(f"is not from {LEAST} to {MOST}")
    return number
