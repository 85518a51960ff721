"""A world in which the model is followed: every step of the real code has to be one of `Model.successors`."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from greenlet import greenlet

from local.whop_simulator import Readings
from tests.model.enrolment_model import AS_IT_SHOULD, Body, Model, Record, State, Step, Task, described
from tests.model.world import World
from whop_chat.cognito.user import UserRef
from whop_chat.users.lease import LEASE_SECONDS
from whop_chat.users.record import Status

_CALLS = {
    "accounts.create": "creates",
    "accounts.list": "looks up",
    "users.update": "overwrites the name",
}

Runs = dict[State, tuple[Step, ...]]
"""States, each with a run that leads there."""


class Seen(NamedTuple):
    """What of a state can be seen from outside: in the table and at Whop."""

    records: tuple[Record, ...]
    holders: tuple[int | None, ...]
    accounts: frozenset[Body]

    @classmethod
    def of(cls, state: State) -> "Seen":
        """What the model would show. How old a key is is not seen."""
        records = tuple(record._replace(young=False) for record in state.records)
        return cls(records, state.holders, state.accounts).without_key_names()

    def without_key_names(self) -> "Seen":
        """A key has one name in the model and another in the world; a step tells whether it is a new one."""
        return self._replace(records=tuple(record._replace(key=min(record.key, 1)) for record in self.records))


class Drifted(AssertionError):
    """The real code did what the model does not know, or it left something else behind."""


class FollowedWorld(World):
    """Runs workers, and keeps the states in which the model can be after what they did, with a run that leads there."""

    def __init__(
        self,
        model: Model,
        readings: Readings,
        decide: Callable[[tuple[str, ...]], str],
        disturbances: int,
        emails: Sequence[str],
    ) -> None:
        super().__init__(readings, decide, disturbances)
        self._model = model
        self._emails = emails
        self._subs = [self.add_user(f"user-{number}", email) for number, email in enumerate(emails)]
        self._numbers = {user.sub: number for number, user in enumerate(self._subs)}
        self._keys: dict[str, int] = {}
        self._runs: Runs = {}
        self._steps: list[Step] = []
        self._called, self._how = False, AS_IT_SHOULD
        self._before = self._seen()
        self._attempts_before = self._attempts()

    def follow(self, *tasks: Task) -> list[Step]:
        """Run the tasks together, then for each user one more, four times, in peace.

        A run of the model that does the same; raises `Drifted` if there is none.
        """
        self._runs = {self._model.initial(*tasks, disturbances=self._disturbances): ()}
        self._run(*tasks)
        self._disturbances = 0
        for _visit in range(4):
            for number, user in enumerate(self._subs):
                task = "enrol" if user.sub in self.people else "clean"
                super().pass_time(3600 + LEASE_SECONDS)
                self._before = self._seen()
                self._runs = {self._model.much_later(state, (task, number)): run for state, run in self._runs.items()}
                self._run((task, number))
        return list(next(iter(self._runs.values())))

    def _run(self, *tasks: Task) -> None:
        work = {"enrol": self.enrol, "delete": self.delete, "clean": self.sync}
        self.run_together(*((work[task], self._subs[number]) for task, number in tasks))

    # A step of the real code

    def pass_time(self, seconds: float) -> None:
        """A lease passes, of which the model knows."""
        super().pass_time(seconds)
        self._follow(Step("time", "a lease passes"), self._seen())

    def step(self, disturbances: tuple[str, ...]) -> str | None:
        """See `World.step`."""
        disturbance = super().step(disturbances)
        self._called, self._how = True, disturbance or AS_IT_SHOULD
        return disturbance

    def _resume(self, workers: dict[str, greenlet], name: str, worker: greenlet, *args: Any) -> None:
        self._called, self._how = False, AS_IT_SHOULD
        known = len(self.simulator.calls())
        self._attempts_before = self._attempts()
        super()._resume(workers, name, worker, *args)
        if not args:  # With them it only came to life.
            seen = self._seen()
            does = self._does([call.operation for call in self.simulator.calls()[known:]], seen)
            self._follow(Step(name, does, self._how), seen)

    def _does(self, calls: list[str], seen: Seen) -> str:
        if not self._called:
            return "starts"
        if calls:
            return _CALLS[calls[0]]
        for number, attempt in enumerate(self._attempts()):
            if attempt != self._attempts_before[number]:
                return f"writes {described(self._before.records[number], seen.records[number])}"
        return "writes nothing"

    # What is seen of it

    def _seen(self) -> Seen:
        state: Any = self.simulator.dump()
        emails = {whop_user["id"]: whop_user["email"] for whop_user in state["users"]}
        persons = list(dict.fromkeys(self._emails))
        holders: dict[str, int] = {
            emails[whop_user]: self._numbers[sub] for whop_user, (_, sub) in self.users.reservations.items()
        }
        ids = [str(row["metadata"]["external_id"]).split(":") for row in state["accounts"] if row["metadata"]]
        return Seen(
            tuple(map(self._record, self._subs)),
            tuple(map(holders.get, persons)),
            frozenset(Body(self._numbers[sub], int(generation)) for _, _, sub, generation in ids),
        )

    def _attempts(self) -> list[str | None]:
        records = map(self.users.get, self._subs)
        return [record.version if record else None for record in records]

    def _record(self, user: UserRef) -> Record:
        record = self.users.get(user)
        if record is None:
            return Record()
        waits = record.retry_at is not None and record.retry_at > self.now
        held = {
            Status.PENDING: record.lease_until > self.now,
            Status.BLOCKED: waits or record.retry_at is None,
            Status.DELETED: waits,
        }
        key = record.idempotency_key
        return Record(
            status=record.status.value,
            generation=record.generation,
            key=self._keys.setdefault(key, len(self._keys) + 1) if key else 0,
            held=held.get(record.status, False),
            reason=record.reason or "",
            named=record.whop_user_id is not None,
            cleaned=record.cleaned_at is not None,
        )

    # A step of the model

    def _follow(self, step: Step, seen: Seen) -> None:
        self._steps.append(step)
        self._before = seen
        possible: Runs = {}
        for state, run in _with_late_requests(self._model, self._runs).items():
            for taken, after in _successors(self._model, state):
                if taken == step:
                    possible.setdefault(after, (*run, step))
        possible = _with_late_requests(self._model, possible)
        self._runs = {state: run for state, run in possible.items() if Seen.of(state) == seen.without_key_names()}
        if not self._runs:
            story = "\n".join(f"  {place}. {each}" for place, each in enumerate(self._steps, 1))
            known = "\n".join(f"  model: {Seen.of(state)}" for state in possible) or "  model: has no such step"
            raise Drifted(f"the model does not know this:\n{story}\n  seen:  {seen}\n{known}")


def _with_late_requests(model: Model, runs: Runs) -> Runs:
    """Together with what may have happened at Whop unseen; a run without it goes first."""
    closed = dict(runs)
    queue = list(runs)
    for state in queue:
        for step, after in _successors(model, state):
            if step.who == "Whop" and after not in closed:
                closed[after] = (*closed[state], step)
                queue.append(after)
    return closed


@functools.cache
def _successors(model: Model, state: State) -> tuple[tuple[Step, State], ...]:
    return tuple(model.successors(state))
