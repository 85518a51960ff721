"""The runs of a pool in memory. They pass the same tests as those in DynamoDB."""

from collections import Counter, defaultdict
from collections.abc import Collection

from whop_chat.runtime.deadline import Deadline
from whop_chat.users.runs import HANDED_ON, SETTLED, RunProgress, State


class MemoryRuns:
    """Runs that live as long as the object."""

    def __init__(self) -> None:
        self.states: defaultdict[str, dict[str, State]] = defaultdict(dict)
        self.started: defaultdict[str, Counter[State]] = defaultdict(Counter)
        self.stopped: set[str] = set()

    def stop(self, run: str, *, deadline: Deadline) -> None:
        """See `whop_chat.users.runs.Runs.stop`."""
        self.stopped.add(run)

    def is_stopped(self, run: str, *, deadline: Deadline) -> bool:
        """See `whop_chat.users.runs.Runs.is_stopped`."""
        return run in self.stopped

    def progress(self, run: str, *, deadline: Deadline) -> RunProgress:
        """See `whop_chat.users.runs.Runs.progress`."""
        now = Counter(state for state in self.states[run].values() if state in SETTLED)
        counts = now + self.started[run]
        return RunProgress({state: counts[state] for state in State}, run in self.stopped)

    def advance(self, run: str, subs: Collection[str], state: State, *, deadline: Deadline) -> None:
        """See `whop_chat.users.runs.Runs.advance`."""
        for sub in subs:
            before = self.states[run].get(sub)
            if before is None:
                update = state in (State.TO_UPDATE, State.UPDATED)
                self.started[run][State.TO_UPDATE if update else State.TO_ENROL] += 1
                self.states[run][sub] = state
            elif (before in HANDED_ON and state in SETTLED) or state is State.ENROLLED:
                self.states[run][sub] = state
