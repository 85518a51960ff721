"""The module ``threading`` as the package sees it: threads are workers of the world, and belong to their process."""

from collections.abc import Callable
from typing import Any

from soak.world import Worker, World


class Threads:
    """What stands in for the module."""

    def __init__(self, world: World) -> None:
        self._world = world

    def Thread(  # noqa: N802 - as in the module
        self, *, target: Callable[..., object], args: tuple[Any, ...] = (), daemon: bool = False
    ) -> "Thread":
        return Thread(self._world, lambda: target(*args))

    def Lock(self) -> "Lock":  # noqa: N802
        return Lock(self._world)

    RLock = Lock

    def Condition(self) -> "Condition":  # noqa: N802
        return Condition(self._world)


class Thread:
    """A thread of the process that makes it."""

    def __init__(self, world: World, work: Callable[[], object]) -> None:
        self._world = world
        self._work = work
        self._worker: Worker | None = None

    def start(self) -> None:
        """Begin at this moment, but not before whoever starts it has come to wait."""
        self._worker = self._world.start(self._work, process=self._world.current.process)

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, ``timeout`` seconds at most."""
        if self._worker is not None:
            self._worker.wait(timeout)


class Lock:
    """A lock that its holder may take again, as an ``RLock``."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._holder: Worker | None = None
        self._depth = 0
        self._waiting: list[Worker] = []

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Whether it is held now; ``timeout`` in seconds."""
        current, end = self._world.current, self._world.now + timeout
        while self._holder not in (None, current):
            left = end - self._world.now
            if not blocking or (timeout >= 0 and left <= 0):
                return False
            self._waiting.append(current)
            if timeout >= 0:
                current.wake(left)
            self._world.pause()
        self._holder = current
        self._depth += 1
        return True

    def release(self) -> None:
        """Let the next one have it."""
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

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._hoping: list[Worker] = []

    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:
        """Until ``predicate`` holds; its value at last."""
        end = None if timeout is None else self._world.now + timeout
        while not (holds := predicate()):
            if end is not None and self._world.now >= end:
                return holds
            current = self._world.current
            self._hoping.append(current)
            if end is not None:
                current.wake(end - self._world.now)
            self.release()
            self._world.pause()
            self.acquire()
        return holds

    def notify_all(self) -> None:
        """Let everybody look again."""
        hoping, self._hoping = self._hoping, []
        for worker in hoping:
            worker.wake()
