"""Limits a process to the share of a CPU that a function of some memory size has."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

# Linux limits CPU time by period, too ("CFS bandwidth control"). AWS does not say how long Lambda's periods are.
_PERIOD_SECONDS = 0.02
_LOOK_SECONDS = 0.0005


@contextlib.contextmanager
def throttled(process: int, cpu_seconds: Callable[[], float], priority: float) -> Iterator[None]:
    """Within the block ``process`` gets ``share`` of one CPU, from 0 to 1.

    In each period it runs until it has used its part, and is stopped for the rest. Unused time is lost. Excess time is
    subtracted from the next period. This needs no privilege.
    """
    over = threading.Event()
    thread = threading.Thread(target=_hand_out, args=(process, cpu_seconds, priority * _PERIOD_SECONDS, over))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _hand_out(process: int, cpu_seconds: Callable[[], float], part: float, over: threading.Event) -> None:
    debt = 0.0
    with contextlib.suppress(OSError):  # the process may end at any time
        while not over.is_set():
            end = time.perf_counter() + _PERIOD_SECONDS
            allowed, before = part - debt, cpu_seconds()
            if allowed > 0:
                os.kill(process, signal.SIGCONT)
                while time.perf_counter() < end and cpu_seconds() - before < allowed:
                    time.sleep(_LOOK_SECONDS)
                os.kill(process, signal.SIGSTOP)
            debt = max(0.0, cpu_seconds() - before - allowed)
            time.sleep(max(0.0, end - time.perf_counter()))
        os.kill(process, signal.SIGCONT)
