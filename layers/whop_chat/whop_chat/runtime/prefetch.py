"""What a new environment of a function will need, fetched while the rest of it is still being imported."""

import contextlib
import threading
from collections.abc import Callable

from whop_chat.runtime.deadline import Deadline

_SECONDS = 2.0


class HeadStart:
    """Starts ``fetches`` side by side, each in a thread of its own and within ``seconds``.

    A failure is not told here: whoever needs what was to be fetched asks for it again, and meets it.
    """

    def __init__(self, *fetches: Callable[[Deadline], object], seconds: float = _SECONDS) -> None:
        self._deadline = Deadline(seconds)
        self._threads = [threading.Thread(target=self._run, args=(fetch,), daemon=True) for fetch in fetches]
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        """Wait until all are done, so that none is under way when Lambda freezes the environment."""
        for thread in self._threads:
            thread.join(self._deadline.remaining())

    def _run(self, fetch: Callable[[Deadline], object]) -> None:
        with contextlib.suppress(Exception):
            fetch(self._deadline)
