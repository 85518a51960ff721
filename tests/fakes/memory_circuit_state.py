"""What operations wait for, in memory. It passes the same tests as the item in DynamoDB."""

from whop_chat.runtime.deadline import Deadline
from whop_chat.whop.circuit_state import CircuitState


class MemoryCircuitStore:
    """A store that lives as long as the object; instances that are given the same one share it."""

    def __init__(self) -> None:
        self.waits: dict[str, CircuitState] = {}

    def load(self, *, deadline: Deadline | None = None) -> dict[str, CircuitState]:
        """See `whop_chat.whop.circuit_state.CircuitStore.load`."""
        return dict(self.waits)

    def extend(self, operation: str, state: CircuitState, *, deadline: Deadline | None = None) -> None:
        """See `whop_chat.whop.circuit_state.CircuitStore.extend`."""
        pool_status = self.waits.get(operation)
        if pool_status is None or pool_status.until < state.until:
            self.waits[operation] = state

    def replace(
        self,
        operation: str,
        state: CircuitState | None,
        *,
        expected: CircuitState | None,
        deadline: Deadline | None = None,
    ) -> bool:
        """See `whop_chat.whop.circuit_state.CircuitStore.replace`."""
        pool_status = self.waits.get(operation)
        if (pool_status and pool_status.until) != (expected and expected.until):
            return False
        if state is None:
            self.waits.pop(operation, None)
        else:
            self.waits[operation] = state
        return True
