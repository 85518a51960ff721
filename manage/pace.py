"""So many a minute and no more."""

import argparse
import time

# As of the parameter ReconcilePerMinute: Whop takes 600 calls a minute, and first tokens need some of them.
LEAST, MOST, USUAL = 10, 540, 300


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
        "--per-minute", metavar="N", type=_number, default=USUAL, help=f"users a minute, {LEAST} to {MOST} ({USUAL})"
    )


def _number(text: str) -> int:
    number = int(text)
    if not LEAST <= number <= MOST:
        raise argparse.ArgumentTypeError(f"is not from {LEAST} to {MOST}")
    return number
