"""Telemetry that counts and keeps defects, in place of log lines and metrics."""

import sys
import traceback
from collections import Counter
from typing import Any

from whop_chat.runtime.metrics import Metric
from whop_chat.runtime.telemetry import Telemetry


class CountingTelemetry(Telemetry):
    """``lines`` has how often each message was logged, ``defects`` the stack of each unexpected error."""

    def __init__(self) -> None:
        self.lines: Counter[str] = Counter()
        self.defects: list[str] = []

    def bind_request(self, context: Any, correlation_id: str | None = None) -> None:
        """Nothing to begin."""

    def bind_correlation(self, correlation_id: str | None) -> None:
        """Nobody reads it."""

    @property
    def correlation_id(self) -> str | None:
        """None: nobody reads it."""
        return None

    def flush(self) -> None:
        """Nothing to write."""

    def bind_user(self, sub: str | None) -> None:
        """Nobody reads it."""

    def event(self, message: str, **fields: Any) -> None:
        self.lines[message] += 1

    def warning(self, message: str, error: BaseException, **fields: Any) -> None:
        self.lines[message] += 1

    def count(self, metric: Metric, value: float = 1, **dimensions: str) -> None:
        """The lines say as much."""

    def exception(self, message: str) -> None:
        # The end of a killed worker is no defect.
        if isinstance(sys.exception(), Exception):
            self.defects.append(traceback.format_exc())
