"""Telemetry for tests."""

from typing import Any

from whop_chat.runtime.metrics import Metric
from whop_chat.runtime.telemetry import Telemetry


class RecordingTelemetry(Telemetry):
    """Telemetry that keeps what it receives. ``counts`` has the name, the value and the dimensions of each sample."""

    def __init__(self) -> None:
        self.users: list[str | None] = []
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.failures: list[tuple[BaseException, str]] = []
        self.counts: list[tuple[str, float, dict[str, str]]] = []
        self.correlation_ids: list[str | None] = []
        self.defects = 0

    def bind_user(self, sub: str | None) -> None:
        self.users.append(sub)

    def bind_correlation(self, correlation_id: str | None) -> None:
        self.correlation_ids.append(correlation_id)

    @property
    def correlation_id(self) -> str | None:
        return self.correlation_ids[-1] if self.correlation_ids else None

    def event(self, message: str, **fields: Any) -> None:
        self.events.append((message, fields))

    def warning(self, message: str, error: BaseException, **fields: Any) -> None:
        self.failures.append((error, message))

    def exception(self, message: str) -> None:
        self.defects += 1

    def count(self, metric: Metric, value: float = 1, **dimensions: str) -> None:
        for name, given in dimensions.items():
            assert given in metric.values[name], f"{metric.name}: {name} {given} is not declared"
        assert dimensions.keys() | {"service"} == metric.values.keys() | {"service"}, metric.name
        self.counts.append((metric.name, value, dimensions))

    def counted(self, metric: Metric) -> list[dict[str, str]]:
        """The dimensions of each sample of ``metric``."""
        return [dimensions for name, _, dimensions in self.counts if name == metric.name]
