"""The clock and the workers.

A worker is a greenlet that gives way wherever it waits, and nothing but waiting takes time. What falls on one moment
happens in an order that chance decides, so that many orders are tried.
"""

import heapq
import itertools
import random
from collections.abc import Callable
from typing import Any

from greenlet import getcurrent, greenlet

BEGIN = 1_800_000_000.0


class Killed(BaseException):
    """The process of this worker is gone; nothing of it runs any more."""


class Worker:
    """Work that is under way. ``killed`` says that it did not come to its end; ``result`` is what it returned."""

    def __init__(self, world: "World", work: Callable[[], Any], parent: greenlet) -> None:
        self._world = world
        self._work = work
        self.thread = greenlet(self._run, parent)
        self._turn = 0
        self._awaited: list[Worker] = []
        self.result: Any = None
        self.killed = False
        self.done = False

    def _run(self) -> None:
        try:
            self.result = self._work()
        except Killed:
            self.killed = True
        self._finished()

    def wake(self, after: float = 0.0) -> None:
        """Let it go on, ``after`` some seconds."""
        turn = self._turn
        self._world.at(self._world.now + after, lambda: self._resume(turn))

    def _resume(self, turn: int) -> None:
        # Somebody else may have woken it meanwhile.
        if self.done or turn != self._turn:
            return
        self._turn += 1
        if self.killed:
            self._end()
        else:
            self.thread.switch()

    def kill(self) -> None:
        """End it where it stands."""
        self.killed = True
        self._turn += 1
        self.wake()

    def _end(self) -> None:
        if self.thread:
            self.thread.throw(Killed)
        self._finished()

    def _finished(self) -> None:
        if not self.done:
            self._world.forget(self)
        self.done = True
        for worker in self._awaited:
            worker.wake()
        self._awaited = []

    def wait(self) -> Any:
        """For another worker: let this one come to its end; what it returned, None if it was killed."""
        while not self.done:
            self._awaited.append(self._world.current)
            self._world.pause()
        return self.result


class World:
    """Now, chance, and what is going to happen."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.now = BEGIN
        self._events: list[tuple[float, float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._workers: dict[greenlet, Worker] = {}
        self._hub = getcurrent()

    def time(self) -> float:
        """Seconds; one clock serves for the wall and for durations."""
        return self.now

    def at(self, moment: float, event: Callable[[], None]) -> None:
        """``event`` will happen then."""
        heapq.heappush(self._events, (max(moment, self.now), self.chance.random(), next(self._numbers), event))

    def start(self, work: Callable[[], Any], *, after: float = 0.0) -> Worker:
        """A worker for ``work``."""
        worker = Worker(self, work, self._hub)
        self._workers[worker.thread] = worker
        worker.wake(after)
        return worker

    @property
    def current(self) -> Worker:
        """The worker that runs."""
        return self._workers[getcurrent()]

    def pause(self) -> None:
        """Let the others run until somebody wakes this worker."""
        self.require_alive()
        self._hub.switch()

    def sleep(self, seconds: float) -> None:
        """Let time pass for this worker."""
        self.require_alive()
        self.current.wake(max(0.0, seconds))
        self._hub.switch()

    def require_alive(self) -> None:
        """Raise `Killed` for a worker that is: what its ``finally`` says is not done any more."""
        if self.current.killed:
            raise Killed

    def run(self, until: float) -> None:
        """What happens up to this moment."""
        while self._events and self._events[0][0] <= until:
            self.now, _, _, event = heapq.heappop(self._events)
            event()
        self.now = max(self.now, until)

    def end(self) -> None:
        """Nothing runs any more."""
        for worker in list(self._workers.values()):
            worker.kill()
        self.run(self.now)
        self._events.clear()

    def forget(self, worker: Worker) -> None:
        """It is done."""
        del self._workers[worker.thread]
