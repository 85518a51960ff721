"""Logs and metrics without secrets and personal data."""

import json
import re
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

# The last line of defence. Our code logs none of these, but a library or a stack trace might.
# The bounded repetitions keep the search linear in the length of a line.
_SECRETS = re.compile(
    r"eyJ[\w-]{4,1024}+\.[\w.-]*"  # a JWT, whole or cut
    r"|(?i:bearer) +[^\s\"\\]+"
    r"|(?i:apik_)[\w-]+"  # an API key of Whop
    # An e-mail address (RFC 5322, section 3.4.1). Its local part can be quoted, also inside of JSON.
    r"|(?:\\\"[^\"]{1,128}\\\"|\"(?:[^\"\\]|\\.){1,128}\"|[\w.+%-][\w.+%!#$'*^`~-]{0,127})"
    r"(?:@|%40)"
    r"(?:[\w-]+(?:\.[\w-]+)+|\[[\w.:-]{2,64}\])"  # a domain, or an IP address in brackets
)
# Whop's tokens are opaque, so only their look gives them away: long, and random. A name of CloudFormation is long too,
# but its random part has 12 characters.
_LONG = re.compile(r"[\w-]{40,}", re.ASCII)
_RANDOM = re.compile(r"(?=\w*?[a-z])(?=\w*?[A-Z])(?=\w*?[0-9])\w{16,}", re.ASCII)


def redacted(value: Any) -> Any:
    """``value``, which must be JSON-like, with ``[redacted]`` for tokens and e-mail addresses in its strings."""
    if isinstance(value, str):
        return _LONG.sub(_without_random, _SECRETS.sub("[redacted]", value))
    if isinstance(value, dict):
        return {redacted(key): redacted(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(item) for item in value]
    return value


def _without_random(found: re.Match[str]) -> str:
    text = found.group()
    return "[redacted]" if any(_RANDOM.fullmatch(part) for part in text.split("-")) else text


def _line(fields: dict[str, Any]) -> str:
    # Redacted before encoding: an escaped newline before an address would look like a part of the address.
    line = json.dumps(redacted(fields), default=lambda value: redacted(str(value)), ensure_ascii=False)
    # Half of a surrogate pair cannot be encoded. The logging module would then print the failed line with a stack.
    return line.encode(errors="replace").decode()


class Telemetry:
    """Writes one function's log lines, as JSON, and its counters, in CloudWatch's embedded metric format.

    Lines name a user by ``sub`` only, because the user name can be an e-mail address.
    """

    def __init__(self, logger: Logger, metrics: Metrics) -> None:
        self._logger = logger
        self._metrics = metrics
        self._anything_counted = False

    def bind_request(self, context: Any) -> None:
        """Put the request id of this invocation on its lines, and drop the user of the last one."""
        self.bind_user(None)
        self._logger.append_keys(request_id=getattr(context, "aws_request_id", None))

    def bind_user(self, sub: str | None) -> None:
        """Put ``sub`` on the lines that follow, or no user if it is None."""
        if sub is None:
            self._logger.remove_keys(["sub"])
        else:
            self._logger.append_keys(sub=sub)

    def event(self, metric: str, message: str, **fields: Any) -> None:
        """Log an expected event at INFO, and count it once as ``metric``."""
        self._logger.info(message, **fields)
        self._count(metric)

    def report(self, message: str, metrics: Mapping[str, int], **fields: Any) -> None:
        """Log the end of a piece of work at INFO, and add each value to its metric."""
        self._logger.info(message, **fields)
        for metric, value in metrics.items():
            self._count(metric, value)

    def warning(self, message: str, error: BaseException, *, metric: str | None = None) -> None:
        """Log an expected failure at WARNING, with its kind and reason and no stack. Count it once as ``metric``."""
        detail = getattr(error, "detail", None)
        self._logger.warning(message, error=type(error).__name__, reason=str(error), detail=detail)
        if metric:
            self._count(metric)

    def exception(self, message: str) -> None:
        """Log a defect at ERROR with its stack, and count it. Call this in the ``except`` block."""
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
    """The telemetry of this function. Powertools' own variables set its service, namespace and level."""
    return Telemetry(Logger(json_serializer=_line), Metrics())
