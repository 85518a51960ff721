"""What operations wait for, in memory. It passes the same tests as the item in DynamoDB."""

from whop_chat.runtime.deadline import Deadline
from whop_chat.whop.circuit_state import CircuitState


class MemoryCircuitStore:
    """A store that lives as long as the object; instances that are given the same one share it."""

    def __init__(self) -> None:
        self.states: dict[str, CircuitState] = {}

    def load(self, *, deadline: Deadline | None = None) -> dict[str, CircuitState]:
        """See `whop_chat.whop.circuit_state.CircuitStore.load`."""
        return dict(self.states)

    def extend(self, operation: str, state: CircuitState, *, deadline: Deadline | None = None) -> None:
        """See `whop_chat.whop.circuit_state.CircuitStore.extend`."""
        current = self.states.get(operation)
        if current is None or current.until < state.until:
            self.states[operation] = state

    def replace(
        self,
        operation: str,
        state: CircuitState | None,
        *,
        expected: CircuitState | None,
        deadline: Deadline | None = None,
    ) -> bool:
        """See `whop_chat.whop.circuit_state.CircuitStore.replace`."""
        current = self.states.get(operation)
        if (current and current.until) != (expected and expected.until):
            return False
        if state is None:
            self.states.pop(operation, None)
        else:
            self.states[operation] = state
        return True
