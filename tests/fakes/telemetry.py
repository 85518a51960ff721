"""Telemetry for tests."""

from typing import Any

from whop_chat.runtime.telemetry import Telemetry


class RecordingTelemetry(Telemetry):
    """Telemetry that keeps what it receives."""

    def __init__(self) -> None:
        self.users: list[str | None] = []
        self.counts: list[tuple[str, dict[str, Any]]] = []
        self.failures: list[tuple[BaseException, str | None]] = []
        self.defects = 0

    def bind_user(self, sub: str | None) -> None:
        self.users.append(sub)

    def event(self, metric: str, message: str, **fields: Any) -> None:
        self.counts.append((metric, fields))

    def warning(self, message: str, error: BaseException, *, metric: str | None = None) -> None:
        self.failures.append((error, metric))

    def exception(self, message: str) -> None:
        self.defects += 1
