"""How many users or messages a command may handle each minute."""

import argparse
import time

from whop_chat.reconcile.run import USERS_PER_MINUTE

# A faster command would only fill the queue.
LEAST, MOST = 10, USERS_PER_MINUTE
# As often as reconcile lists users. The account may do so 30 times a second (Cognito, "Quotas").
LISTINGS_PER_MINUTE = 300


class Throttle:
    """Spreads work evenly over time: at most ``per_minute`` pieces each minute, the first one at once."""

    def __init__(self, per_minute: int) -> None:
        self._seconds_each = 60 / per_minute
        self._next = time.monotonic()

    def wait(self, pieces: int = 1) -> None:
        """Return when the next ``pieces`` may start."""
        now = time.monotonic()
        if self._next > now:
            time.sleep(self._next - now)
        self._next = max(now, self._next) + pieces * self._seconds_each


def add_per_minute(parser: argparse.ArgumentParser) -> None:
    """Add the argument ``--per-minute``."""
    parser.add_argument(
        "--per-minute", metavar="N", type=_number, default=MOST, help=f"users a minute, {LEAST} to {MOST} ({MOST})"
    )


def _number(text: str) -> int:
    number = int(text)
    if not LEAST <= number <= MOST:
        raise argparse.ArgumentTypeError(f"is not from {LEAST} to {MOST}")
    return number
