"""The log lines of all functions, as the page shows them."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

# What every line has, and a reader of the page does not look for.
_COMMON = frozenset(
    {"level", "message", "service", "timestamp", "correlation_id", "location", "request_id", "xray_trace_id", "sub"}
)


def entries(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The lines of our code among ``lines`` (``<function name>\\t<line>``): metrics and the runtime's lines are not.

    An entry has ``time``, ``function``, ``level``, ``message``, ``correlation_id``, ``sub`` and ``details``.
    """
    for line in lines:
        try:
            fields = json.loads(line.partition("\t")[2])
        except ValueError:
            continue
        if isinstance(fields, dict) and "message" in fields and "level" in fields:
            yield {
                "time": fields.get("timestamp"),
                "function": fields.get("service"),
                "level": fields["level"],
                "message": fields["message"],
                "correlation_id": fields.get("correlation_id"),
                "sub": fields.get("sub"),
                "details": {name: value for name, value in fields.items() if name not in _COMMON and value is not None},
            }
