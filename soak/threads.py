"""Stands in for the module ``threading``: a thread is a worker of the scheduler, in the process that starts it."""

from collections.abc import Callable
from typing import Any

from soak.scheduler import Scheduler, Worker


class Threads:
    """The replacement of the module."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def Thread(  # noqa: N802 - as in the module
        self, *, target: Callable[..., object], args: tuple[Any, ...] = (), daemon: bool = False
    ) -> "Thread":
        return Thread(self._scheduler, lambda: target(*args))

    def Lock(self) -> "Lock":  # noqa: N802
        return Lock(self._scheduler)

    RLock = Lock

    def Condition(self) -> "Condition":  # noqa: N802
        return Condition(self._scheduler)


class Thread:
    """A thread of the process that makes it."""

    def __init__(self, scheduler: Scheduler, work: Callable[[], object]) -> None:
        self._scheduler = scheduler
        self._work = work
        self._worker: Worker | None = None

    def start(self) -> None:
        """Start now. It runs as soon as its starter waits."""
        self._worker = self._scheduler.start(self._work, process=self._scheduler.current.process)

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, ``timeout`` seconds at most."""
        if self._worker is not None:
            self._worker.wait(timeout)


class Lock:
    """A reentrant lock, as ``RLock``."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._holder: Worker | None = None
        self._depth = 0
        self._waiting: list[Worker] = []

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Returns whether the lock was acquired; ``timeout`` is in seconds."""
        current, end = self._scheduler.current, self._scheduler.now + timeout
        while self._holder not in (None, current):
            left = end - self._scheduler.now
            if not blocking or (timeout >= 0 and left <= 0):
                return False
            self._waiting.append(current)
            if timeout >= 0:
                current.wake(left)
            self._scheduler.pause()
        self._holder = current
        self._depth += 1
        return True

    def release(self) -> None:
        """Release it and wake those who wait."""
        self._depth -= 1
        if not self._depth:
            self._holder = None
            waiting, self._waiting = self._waiting, []
            for worker in waiting:
                worker.wake()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class Condition(Lock):
    """A condition with a lock of its own."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__(scheduler)
        self._waiters: list[Worker] = []

    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:
        """Wait until ``predicate`` is true. Returns its last value."""
        end = None if timeout is None else self._scheduler.now + timeout
        while not (value := predicate()):
            if end is not None and self._scheduler.now >= end:
                return value
            current = self._scheduler.current
            self._waiters.append(current)
            if end is not None:
                current.wake(end - self._scheduler.now)
            self.release()
            self._scheduler.pause()
            self.acquire()
        return value

    def notify_all(self) -> None:
        """Wake all who wait, to check again."""
        waiters, self._waiters = self._waiters, []
        for worker in waiters:
            worker.wake()
