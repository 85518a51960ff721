"""Reconcile, the queue and sync_user enrol an existing pool, while Whop fails now and then."""

import math
from typing import Any
from unittest.mock import patch

from local.whop_simulator import Limits, Readings
from soak.checks import at_rest
from soak.fault_injector import ONLY_429_AND_500, FaultInjector
from soak.report import Figure, Found
from soak.scheduler import Scheduler
from soak.stack import Stack
from whop_chat.whop import rate_limit as budget

_LONGEST_SECONDS = 12 * 3600.0


def run(seed: int, *, users: int = 10_000, limit: int = 600, window: float = 60.0, wait_in: str = "sentence") -> Found:
    """One backfill of ``users`` users, where Whop takes ``limit`` calls in ``window`` seconds.

    The service is configured with both. Whop says how long to wait in a ``sentence``, or in a ``header`` only.
    """
    scheduler = Scheduler(seed)
    limits = Limits(limit, window)
    faults = FaultInjector(scheduler.chance, whop=0.1, whop_kinds=ONLY_429_AND_500)
    readings = Readings(retry_after_header=wait_in == "header")
    stack = Stack(scheduler, faults, limits=limits, readings=readings, wait_in_header_only=wait_in == "header")
    known = {"calls": limit, "window": math.ceil(window)}
    with patch.dict(_defaults(budget.permits_per_window), known), stack.deployed():
        for number in range(users):
            stack.pool.sign_up(f"person-{number}@people.example.test", f"Person {number}")
        # ListUsers shows new users only after some seconds.
        scheduler.run(scheduler.now + 10)
        begin = scheduler.now
        scheduler.start(lambda: stack.run_reconcile(command="start", backfill=True))
        scheduler.run(begin + 60)
        while not (stack.run_is_over and not stack.queue.waiting) and scheduler.now - begin < _LONGEST_SECONDS:
            scheduler.run(scheduler.now + 10)
        ended = scheduler.now
        figures = [*at_rest(stack), *_context(stack, limits, (ended - begin) / 60)]
        return Found(figures, stack.network.digest)


def _defaults(function: Any) -> dict[str, Any]:
    defaults: dict[str, Any] = function.__kwdefaults__
    return defaults


def _context(stack: Stack, limits: Limits, minutes: float) -> list[Figure]:
    counts = stack.simulator.counts()
    linked = sum(stack.record(sub).get("status") == "linked" for sub in stack.pool.people)
    window = f"{limits.seconds:,.0f} s"
    return [
        Figure.at_most("users not linked", len(stack.pool.people) - linked, 0),
        Figure.known("users linked", linked),
        Figure.at_most(f"creates in the busiest {window}", counts["accounts.create"].peak, limits.calls),
        Figure.at_most(f"profile updates in the busiest {window}", counts["users.update"].peak, limits.calls),
        Figure.none("calls while Whop had said to wait", stack.network.hasty),
        Figure.known("injected answers 429 and 500", len([c for c in stack.simulator.calls() if c.fault])),
        Figure.known("minutes until the last", minutes),
        Figure.known("lower bound in minutes", _least_minutes(stack)),
        Figure.known("most deliveries of one message", stack.queue.most_receives),
    ]


def _least_minutes(stack: Stack) -> float:
    """The least time that the permits and the waits that Whop reported allow, for the operation that needs longest."""
    permits = budget.permits_per_window(budget.Priority.BACKGROUND)
    calling = len(stack.pool.people) / permits * budget.WINDOW_SECONDS
    return max(calling + _reported_seconds(stack, name) for name in ("accounts.create", "users.update")) / 60


def _reported_seconds(stack: Stack, operation: str) -> float:
    """How long an operation was not to be called. Waits that overlap count once."""
    total = until = 0.0
    for name, at, seconds in stack.network.reported_waits:
        if name == operation and at + seconds > until:
            total += at + seconds - max(at, until)
            until = at + seconds
    return total
