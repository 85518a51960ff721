"""Runs of reconcile while AWS fails: operators stop some, a backfill enrols a pool, and a run finds every change."""

from soak.checks import at_rest
from soak.fault_injector import FaultInjector
from soak.report import Figure, Found
from soak.scheduler import Scheduler
from soak.stack import Stack

_STOPPED_RUNS = 8
_LONGEST_SECONDS = 12 * 3600.0


def run(seed: int, *, users: int = 300, aws: float = 0.05) -> Found:
    """One pool of ``users`` users. No change of a user is reported, so only reconcile can find it.

    ``aws`` is the probability of a fault in a call to AWS.
    """
    scheduler = Scheduler(seed)
    faults = FaultInjector(scheduler.chance, aws=aws, kill=0.003)
    stack = Stack(scheduler, faults, changes_lost=1.0, failed_entries=0.05, unprocessed=0.3, overlooked=0.05)
    with stack.deployed():
        operator = Operator(stack, users)
        scheduler.start(operator.work)
        while not operator.done and scheduler.now - operator.begun < _LONGEST_SECONDS:
            scheduler.run(scheduler.now + 60)
        figures = [
            Figure.none("runs without an end", [] if operator.done else ["the last one"]),
            Figure.none("runs that went on after an operator had stopped them", operator.went_on),
            Figure.known("runs that an operator stopped", operator.stopped),
            *at_rest(stack),
        ]
        return Found(figures, stack.network.digest)


class Operator:
    """Starts and stops runs, and waits for their end."""

    def __init__(self, stack: Stack, users: int) -> None:
        self._stack = stack
        self._scheduler = stack.scheduler
        self.begun = stack.scheduler.now
        self.stopped = 0
        self.went_on: list[str] = []
        self.done = False
        for number in range(users):
            stack.pool.sign_up(f"person-{number}@people.example.test", f"Person {number}")

    def work(self) -> None:
        """Everything, one after the other."""
        # ListUsers shows new users only after some seconds.
        self._scheduler.sleep(10)
        for _ in range(_STOPPED_RUNS):
            self._start_and_stop()
        self._run_to_the_end(backfill=True)
        self._change_people()
        self._scheduler.sleep(10)
        self._run_to_the_end(backfill=False)
        self.done = True

    def _start_and_stop(self) -> None:
        """Stop a run while it works. Its invocation must not write over that."""
        before = self._stack.checkpoint.get("run")
        self._scheduler.start(lambda: self._stack.run_reconcile(command="start"))
        self._scheduler.sleep(self._scheduler.chance.uniform(0.5, 3.0))
        while not self._stack.run_is_over:
            self._stack.run_reconcile(command="stop")
        ended = self._stack.checkpoint
        # A slow start may not have begun its run yet. It is then not this one that was stopped.
        if ended.get("outcome") != "stopped" or ended["run"] == before:
            return
        self.stopped += 1
        self._scheduler.sleep(180)
        if self._stack.checkpoint != ended:
            self.went_on.append(f"{ended['run']} is {self._stack.checkpoint['phase']}")

    def _run_to_the_end(self, *, backfill: bool) -> None:
        """Until the run is over and all its messages are handled."""
        while not self._stack.run_is_over:
            self._scheduler.sleep(60)
        before = self._stack.checkpoint.get("run")
        while self._stack.checkpoint.get("run") == before:
            self._stack.run_reconcile(command="start", backfill=backfill)
        while self._is_busy():
            self._scheduler.sleep(10)

    def _is_busy(self) -> bool:
        return not self._stack.run_is_over or bool(self._stack.queue.waiting)

    def _change_people(self) -> None:
        """Most change their name, some are disabled, some are deleted."""
        for number, sub in enumerate(list(self._stack.pool.people)):
            match number % 10:
                case 0:
                    self._stack.pool.delete(sub)
                case 1:
                    self._stack.pool.change(sub, enabled=False)
                case 2:
                    continue
                case _:
                    self._stack.pool.change(sub, name=f"Person {number} the second")
