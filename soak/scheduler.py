"""The virtual clock and the workers that run on it.

A worker is a greenlet that yields wherever it waits. Only waiting takes time. Events of one moment happen in random
order, so many orders are tried.
"""

import heapq
import itertools
import random
from collections.abc import Callable
from typing import Any

from greenlet import getcurrent, greenlet

BEGIN = 1_800_000_000.0


class Killed(BaseException):
    """The process of this worker was killed. Nothing of it may run any more."""


class Worker:
    """Work that is under way, in the ``process`` of another worker or as one of its own.

    ``killed`` says that its process is gone; ``result`` is what it returned.
    """

    def __init__(
        self, scheduler: "Scheduler", work: Callable[[], Any], parent: greenlet, process: "Worker | None"
    ) -> None:
        self._scheduler = scheduler
        self._work = work
        self.thread = greenlet(self._run, parent)
        self.process = process or self
        self._threads: list[Worker] = [self] if process is None else []
        self._turn = 0
        self._awaited: list[Worker] = []
        self._killed = False
        self.result: Any = None
        self.done = False
        if process is not None:
            process._threads.append(self)

    @property
    def killed(self) -> bool:
        """Whether the process is gone."""
        return self.process._killed

    def _run(self) -> None:
        try:
            self.result = self._work()
        except Killed:
            self.process.kill()
        self._finished()

    def wake(self, after: float = 0.0) -> None:
        """Resume it ``after`` some seconds."""
        turn = self._turn
        self._scheduler.at(self._scheduler.now + after, lambda: self._resume(turn))

    def _resume(self, turn: int) -> None:
        # Another event may have resumed it first.
        if self.done or turn != self._turn:
            return
        self._turn += 1
        if not self.killed:
            self.thread.switch()
            return
        if self.thread:
            self.thread.throw(Killed)
        self._finished()

    def kill(self) -> None:
        """Kill the whole process, wherever its workers are."""
        self.process._killed = True
        for thread in self.process._threads:
            thread._turn += 1
            thread.wake()

    def _finished(self) -> None:
        if self.done:
            return
        self.done = True
        self._scheduler.forget(self)
        for worker in self._awaited:
            worker.wake()
        self._awaited = []

    def wait(self, timeout: float | None = None) -> Any:
        """For another worker: wait for the end of this one. Returns its result, None if it was killed."""
        end = None if timeout is None else self._scheduler.now + timeout
        while not self.done and (end is None or self._scheduler.now < end):
            current = self._scheduler.current
            self._awaited.append(current)
            if end is not None:
                current.wake(end - self._scheduler.now)
            self._scheduler.pause()
        return self.result


class Scheduler:
    """The current time, the random numbers, and the events to come."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.now = BEGIN
        self._events: list[tuple[float, float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        self._workers: dict[greenlet, Worker] = {}
        self._hub = getcurrent()

    def time(self) -> float:
        """Seconds. One clock serves as wall clock and as monotonic clock."""
        return self.now

    def at(self, moment: float, event: Callable[[], object]) -> None:
        """Call ``event`` at this time."""
        heapq.heappush(self._events, (max(moment, self.now), self.chance.random(), next(self._numbers), event))

    def start(self, work: Callable[[], Any], *, after: float = 0.0, process: Worker | None = None) -> Worker:
        """Start a worker for ``work``."""
        worker = Worker(self, work, self._hub, process)
        self._workers[worker.thread] = worker
        worker.wake(after)
        return worker

    @property
    def current(self) -> Worker:
        """The worker that is running."""
        return self._workers[getcurrent()]

    def pause(self) -> None:
        """Yield until another worker wakes this one."""
        self.require_alive()
        self._hub.switch()

    def sleep(self, seconds: float) -> None:
        """Yield for some seconds."""
        self.require_alive()
        self.current.wake(max(0.0, seconds))
        self._hub.switch()

    def require_alive(self) -> None:
        """Raise `Killed` for a killed worker. So its ``finally`` blocks do nothing more."""
        if self.current.killed:
            raise Killed

    def run(self, until: float) -> None:
        """Run all events up to this time."""
        while self._events and self._events[0][0] <= until:
            self.now, _, _, event = heapq.heappop(self._events)
            event()
        self.now = max(self.now, until)

    def end(self) -> None:
        """Kill all workers and drop all events."""
        for worker in list(self._workers.values()):
            worker.kill()
        self.run(self.now)
        self._events.clear()

    def forget(self, worker: Worker) -> None:
        """Drop a worker that has ended."""
        del self._workers[worker.thread]
