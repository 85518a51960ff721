"""Telemetry that counts and keeps defects, in place of log lines and metrics."""

import sys
import traceback
from collections import Counter
from collections.abc import Mapping
from typing import Any

from whop_chat.runtime.telemetry import Telemetry


class CountingTelemetry(Telemetry):
    """``metrics`` has how often each was counted, ``defects`` the stack of each unexpected error."""

    def __init__(self) -> None:
        self.metrics: Counter[str] = Counter()
        self.defects: list[str] = []

    def bind_request(self, context: Any) -> None:
        """Nothing to begin."""

    def flush(self) -> None:
        """Nothing to write."""

    def bind_user(self, sub: str | None) -> None:
        """Nobody reads it."""

    def event(self, metric: str, message: str, **fields: Any) -> None:
        self.metrics[metric] += 1

    def report(self, message: str, metrics: Mapping[str, int], **fields: Any) -> None:
        self.metrics.update(metrics)

    def warning(self, message: str, error: BaseException, *, metric: str | None = None) -> None:
        self.metrics[metric or message] += 1

    def exception(self, message: str) -> None:
        # The end of a killed worker is no defect.
        if isinstance(sys.exception(), Exception):
            self.defects.append(traceback.format_exc())
