"""Telemetry that counts and keeps defects, in place of log lines and metrics."""

import sys
import traceback
from collections import Counter
from collections.abc import Mapping
from typing import Any

from whop_chat.runtime.telemetry import Observer


class CountingTelemetry(Observer):
    """``metrics`` has how often each was counted, ``defects`` the stack of each unexpected error."""

    def __init__(self) -> None:
        self.metrics: Counter[str] = Counter()
        self.defects: list[str] = []

    def started(self, context: Any) -> None:
        """Nothing to begin."""

    def finished(self) -> None:
        """Nothing to write."""

    def concerns(self, sub: str | None) -> None:
        """Nobody reads it."""

    def counted(self, metric: str, message: str, **fields: Any) -> None:
        self.metrics[metric] += 1

    def measured(self, message: str, metrics: Mapping[str, int], **fields: Any) -> None:
        self.metrics.update(metrics)

    def failed(self, message: str, error: BaseException, *, metric: str | None = None) -> None:
        self.metrics[metric or message] += 1

    def broke(self, message: str) -> None:
        # The end of a killed worker is no defect.
        if isinstance(sys.exception(), Exception):
            self.defects.append(traceback.format_exc())
