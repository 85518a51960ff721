"""Logs and metrics without secrets and personal data."""

import json
import re
from collections import defaultdict
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import AmazonCloudWatchEMFProvider

from whop_chat.runtime.metrics import DEFECTS, Metric

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
    """Writes one function's log lines, as JSON, and its metrics, in CloudWatch's embedded metric format.

    Lines name a user by ``sub`` only, because the user name can be an e-mail address.
    """

    def __init__(self, logger: Logger) -> None:
        self._logger = logger
        # With a service, Powertools would add it to the first dimension set of each line.
        self._emf = AmazonCloudWatchEMFProvider(service="")
        self._samples: dict[tuple[Metric, tuple[tuple[str, str], ...]], list[float]] = defaultdict(list)

    def bind_request(self, context: Any, correlation_id: str | None = None) -> None:
        """Put the ids of this invocation on its lines, and drop the user of the last one.

        ``correlation_id`` is the id that the caller gave this work. Without one it is the invocation's own.
        """
        self.bind_user(None)
        request_id = getattr(context, "aws_request_id", None)
        self._logger.append_keys(request_id=request_id)
        self.bind_correlation(correlation_id or request_id)

    def bind_correlation(self, correlation_id: str | None) -> None:
        """Put the id of the request that caused this work on the lines that follow."""
        self._logger.set_correlation_id(correlation_id)

    @property
    def correlation_id(self) -> str | None:
        """The id to pass on with a message, so that its lines bear it too."""
        return self._logger.get_correlation_id()

    def bind_user(self, sub: str | None) -> None:
        """Put ``sub`` on the lines that follow, or no user if it is None."""
        if sub is None:
            self._logger.remove_keys(["sub"])
        else:
            self._logger.append_keys(sub=sub)

    def event(self, message: str, **fields: Any) -> None:
        """Log an expected event at INFO."""
        self._logger.info(message, **fields)

    def warning(self, message: str, error: BaseException, **fields: Any) -> None:
        """Log an expected failure at WARNING, with its kind and reason and no stack."""
        detail = getattr(error, "detail", None)
        self._logger.warning(message, error=type(error).__name__, reason=str(error), detail=detail, **fields)

    def exception(self, message: str) -> None:
        """Log a defect at ERROR with its stack, and count it. Call this in the ``except`` block."""
        self._logger.exception(message)
        self.count(DEFECTS)

    def count(self, metric: Metric, value: float = 1, **dimensions: str) -> None:
        """Add ``value`` to ``metric``. ``dimensions`` has a value for each of its dimensions but ``service``."""
        self._samples[metric, tuple(sorted(dimensions.items()))].append(value)

    def flush(self) -> None:
        """Write the metrics of this invocation, if there are any."""
        samples, self._samples = self._samples, defaultdict(list)
        lines: dict[tuple[Any, ...], list[tuple[Metric, list[float]]]] = defaultdict(list)
        for (metric, dimensions), values in samples.items():
            lines[metric.sets, dimensions].append((metric, values))
        for (sets, dimensions), metrics in lines.items():
            self._write(sets, {"service": self._logger.service, **dict(dimensions)}, metrics)

    def _write(
        self,
        sets: tuple[tuple[str, ...], ...],
        dimensions: dict[str, str],
        metrics: list[tuple[Metric, list[float]]],
    ) -> None:
        """Write one line, for metrics with the same dimension sets and the same values of their dimensions."""
        # Powertools' `add_dimensions` takes no empty set, which is the total.
        first, *others = ({name: dimensions[name] for name in names} for names in sets)
        self._emf.dimension_set, self._emf.dimension_sets = first, others
        for metric, values in metrics:
            for value in values:
                self._emf.add_metric(metric.name, metric.unit, value)
        if self._emf.metric_set:  # Powertools itself writes a line that is full.
            self._emf.flush_metrics()


def lambda_telemetry() -> Telemetry:
    """The telemetry of this function. Powertools' own variables set its service, namespace and level."""
    return Telemetry(Logger(json_serializer=_line))
