"""Fetches what a cold start will need, while Python still imports the rest."""

import contextlib
import threading
from collections.abc import Callable

from whop_chat.runtime.deadline import Deadline

_SECONDS = 2.0


class Prefetch:
    """Starts ``fetches`` concurrently, each in a thread of its own and within ``seconds``.

    A failed fetch is not reported here. The caller that needs its result fetches again and gets the error.
    """

    def __init__(self, *fetches: Callable[[Deadline], object], seconds: float = _SECONDS) -> None:
        self._deadline = Deadline(seconds)
        self._threads = [threading.Thread(target=self._run, args=(fetch,), daemon=True) for fetch in fetches]
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        """Wait until all are over, so that none is open when Lambda freezes the environment."""
        for thread in self._threads:
            thread.join(self._deadline.remaining())

    def _run(self, fetch: Callable[[Deadline], object]) -> None:
        with contextlib.suppress(Exception):
            fetch(self._deadline)
