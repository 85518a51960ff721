"""The result of a readiness check, and the backlog, in memory."""

from whop_chat.readiness.store import Readiness, ReadinessStore
from whop_chat.runtime.deadline import Deadline
from whop_chat.sync.backlog import Backlog


class FixedReadiness(ReadinessStore):
    """Has one result, or raises one error. ``loads`` counts the reads, ``saved`` has what was written."""

    def __init__(self, result: Readiness | Exception | None = None) -> None:
        self.result = result
        self.loads = 0
        self.saved: list[Readiness] = []

    def load(self, *, deadline: Deadline) -> Readiness | None:
        self.loads += 1
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    def save(self, readiness: Readiness, *, deadline: Deadline) -> None:
        if isinstance(self.result, Exception):
            raise self.result
        self.saved.append(readiness)


class FixedBacklog(Backlog):
    """Has one age, or raises one error. ``reported`` has when the messages that wait were sent."""

    def __init__(self, age: float | Exception = 0.0) -> None:
        self._fixed = age
        self.reported: list[float] = []

    def report(self, sent_at: float, *, deadline: Deadline) -> None:
        if isinstance(self._fixed, Exception):
            raise self._fixed
        self.reported.append(sent_at)

    def age(self, *, deadline: Deadline) -> float:
        if isinstance(self._fixed, Exception):
            raise self._fixed
        return self._fixed
