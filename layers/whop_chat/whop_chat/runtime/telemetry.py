"""Logs and metrics that hold no secret and nothing personal."""

import json
import re
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

# The last line of defence: nothing of this kind is logged on purpose, but a library or a stack trace might.
_SECRETS = re.compile(
    r"eyJ[\w-]{4,}\.[\w.-]*"  # a JWT, whole or cut
    r"|(?i:bearer) +[^\s\"\\]+"
    r"|[\w.+%-]+@[\w-]+(?:\.[\w-]+)+"  # an e-mail address
)


def redacted(value: Any) -> Any:
    """``value``, of what JSON is made of, without tokens and e-mail addresses in any text."""
    if isinstance(value, str):
        return _SECRETS.sub("[redacted]", value)
    if isinstance(value, dict):
        return {redacted(key): redacted(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(item) for item in value]
    return value


def _line(fields: dict[str, Any]) -> str:
    # Redacted first: in the finished line an escaped newline before an address would look like a part of it.
    line = json.dumps(redacted(fields), default=lambda value: redacted(str(value)), ensure_ascii=False)
    # Half of a surrogate pair cannot be written, and a line that fails is told with a stack.
    return line.encode(errors="replace").decode()


class Telemetry:
    """What one function tells its operators: JSON lines, and counters in CloudWatch's embedded metric format.

    A user appears by ``sub`` only. The user name does not: it can be an e-mail address.
    """

    def __init__(self, logger: Logger, metrics: Metrics) -> None:
        self._logger = logger
        self._metrics = metrics
        self._anything_counted = False

    def bind_request(self, context: Any) -> None:
        """A new invocation: forget the last one's user, and know this one's request id."""
        self.bind_user(None)
        self._logger.append_keys(request_id=getattr(context, "aws_request_id", None))

    def bind_user(self, sub: str | None) -> None:
        """Put the user ``sub``, or nobody, on the lines that follow."""
        if sub is None:
            self._logger.remove_keys(["sub"])
        else:
            self._logger.append_keys(sub=sub)

    def event(self, metric: str, message: str, **fields: Any) -> None:
        """Something expected happened."""
        self._logger.info(message, **fields)
        self._count(metric)

    def report(self, message: str, metrics: Mapping[str, int], **fields: Any) -> None:
        """Something came to an end, with these figures."""
        self._logger.info(message, **fields)
        for metric, value in metrics.items():
            self._count(metric, value)

    def warning(self, message: str, error: BaseException, *, metric: str | None = None) -> None:
        """Something failed in a way that is provided for: its kind and reason, no stack."""
        detail = getattr(error, "detail", None)
        self._logger.warning(message, error=type(error).__name__, reason=str(error), detail=detail)
        if metric:
            self._count(metric)

    def exception(self, message: str) -> None:
        """A defect: call it in the ``except`` block, for the stack."""
        self._logger.exception(message)
        self._count("Defect")

    def flush(self) -> None:
        """Write the metrics of this invocation, if there are any."""
        if self._anything_counted:
            self._metrics.flush_metrics()
        self._anything_counted = False

    def _count(self, metric: str, value: int = 1) -> None:
        self._metrics.add_metric(metric, MetricUnit.Count, value)
        self._anything_counted = True


def lambda_telemetry() -> Telemetry:
    """The observer of this function; its service, namespace and level come from Powertools' own variables."""
    return Telemetry(Logger(json_serializer=_line), Metrics())
