"""What an event asks of reconcile."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


class NotAnOrder(Exception):
    """The event does not say what to do; the message says why."""


@dataclass(frozen=True, slots=True)
class Order:
    """What an event asks for.

    ``backfill`` also enrols who was never enrolled: Whop writes an e-mail to each of them, so nobody gets it without
    having asked. With ``dry_run`` nothing is enqueued.
    """

    command: Literal["start", "continue", "stop"]
    backfill: bool = False
    dry_run: bool = False

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> "Order":
        """The order that a function was called with; raises `NotAnOrder`."""
        command = event.get("command") if isinstance(event, dict) else None
        if command not in ("start", "continue", "stop"):
            raise NotAnOrder("command is none of start, continue, stop")
        options = {name: value for name, value in event.items() if name != "command"}
        unknown = options.keys() - ({"backfill", "dry_run"} if command == "start" else set())
        if unknown:
            raise NotAnOrder(f"{command} does not know {len(unknown)} of the other members")
        if not all(isinstance(value, bool) for value in options.values()):
            raise NotAnOrder("backfill and dry_run are true or false")
        return cls(command, **options)
