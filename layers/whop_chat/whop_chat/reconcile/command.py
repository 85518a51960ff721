"""The commands that the reconcile function accepts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

_OPTIONS: Mapping[str, frozenset[str]] = {
    "start": frozenset({"backfill", "dry_run", "include_passwordless", "scheduled"}),
    "continue": frozenset({"force"}),
    "stop": frozenset(),
}


class InvalidCommand(Exception):
    """The event has no valid command. The message says why."""


@dataclass(frozen=True, slots=True)
class Command:
    """The command in an event.

    ``backfill`` also enrols users that were never enrolled. Whop sends an e-mail to each of them, so an operator has to
    ask for it. ``include_passwordless`` has a backfill enrol users whose password is due, too: nothing has proved that
    these can sign in. With ``dry_run`` nothing is enqueued. ``force`` continues a run whose invocation was killed,
    before its lease ends. An invocation that still runs loses the run then. Nobody reads the answer to a ``scheduled``
    command, so its failure is an error of the function, which Lambda retries.
    """

    command: Literal["start", "continue", "stop"]
    backfill: bool = False
    dry_run: bool = False
    include_passwordless: bool = False
    force: bool = False
    scheduled: bool = False

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> "Command":
        """The command in a function's event. Raises `InvalidCommand`."""
        command = event.get("command") if isinstance(event, dict) else None
        if command not in ("start", "continue", "stop"):
            raise InvalidCommand("command is none of start, continue, stop")
        options = {name: value for name, value in event.items() if name != "command"}
        unknown = options.keys() - _OPTIONS[command]
        if unknown:
            raise InvalidCommand(f"{command} does not know {len(unknown)} of the other members")
        if not all(isinstance(value, bool) for value in options.values()):
            raise InvalidCommand("an option is neither true nor false")
        if options.get("include_passwordless") and not options.get("backfill"):
            raise InvalidCommand("include_passwordless needs backfill")
        return cls(command, **options)
