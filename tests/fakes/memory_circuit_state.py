"""What operations wait for, in memory. It passes the same tests as the item in DynamoDB."""

from whop_chat.runtime.deadline import Deadline
from whop_chat.whop.circuit_state import Wait


class MemoryWaits:
    """A store that lives as long as the object; instances that are given the same one share it."""

    def __init__(self) -> None:
        self.waits: dict[str, Wait] = {}

    def load(self, *, deadline: Deadline | None = None) -> dict[str, Wait]:
        """See `whop_chat.whop.circuit_state.WaitStore.load`."""
        return dict(self.waits)

    def prolong(self, operation: str, wait: Wait, *, deadline: Deadline | None = None) -> None:
        """See `whop_chat.whop.circuit_state.WaitStore.prolong`."""
        standing = self.waits.get(operation)
        if standing is None or standing.until < wait.until:
            self.waits[operation] = wait

    def replace(
        self, operation: str, wait: Wait | None, *, seen: Wait | None, deadline: Deadline | None = None
    ) -> bool:
        """See `whop_chat.whop.circuit_state.WaitStore.replace`."""
        standing = self.waits.get(operation)
        if (standing and standing.until) != (seen and seen.until):
            return False
        if wait is None:
            self.waits.pop(operation, None)
        else:
            self.waits[operation] = wait
        return True
