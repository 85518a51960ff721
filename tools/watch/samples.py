"""Samples of metrics, from lines in CloudWatch's embedded metric format and from what a test says of AWS's metrics."""

import itertools
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Name:
    """What CloudWatch calls one metric: a metric with another set of dimensions is another metric."""

    namespace: str
    metric: str
    dimensions: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def of(cls, namespace: str, metric: str, dimensions: Mapping[str, str] | None = None) -> "Name":
        """The name with these dimensions."""
        return cls(namespace, metric, frozenset((dimensions or {}).items()))


class Samples:
    """Samples by the name of their metric, with their time in epoch seconds."""

    def __init__(self) -> None:
        self._samples: dict[Name, list[tuple[float, float]]] = defaultdict(list)

    @property
    def names(self) -> set[Name]:
        """Every metric that has a sample. CloudWatch bills each."""
        return set(self._samples)

    @property
    def span(self) -> tuple[float, float]:
        """The times of the first and the last sample. Raises `ValueError` if there is none."""
        times = [at for samples in self._samples.values() for at, _ in samples]
        return min(times), max(times)

    def add(self, name: Name, value: float, *, at: float) -> None:
        """Add one sample."""
        self._samples[name].append((at, value))

    def add_lines(self, lines: Iterable[str], *, at: float | None = None) -> None:
        """Add the samples in the lines that are in the embedded metric format, with their own time or all at ``at``.

        Each metric counts once in each of its dimension sets (CloudWatch, "Specification: Embedded metric format").
        Raises `KeyError` if a line does not have what its directive names: CloudWatch would drop such a line.
        """
        for line in lines:
            document = _document(line)
            if document is None:
                continue
            time = document["_aws"]["Timestamp"] / 1000 if at is None else at
            for directive in document["_aws"]["CloudWatchMetrics"]:
                for keys, metric in itertools.product(directive["Dimensions"], directive["Metrics"]):
                    dimensions = {key: document[key] for key in keys}
                    name = Name.of(directive["Namespace"], metric["Name"], dimensions)
                    value = document[metric["Name"]]
                    for each in value if isinstance(value, list) else [value]:
                        self.add(name, each, at=time)

    def statistic(self, name: Name, statistic: str, *, start: float, period: float) -> float | None:
        """The statistic of the samples of one period, or None if there are none. Raises `ValueError` for others."""
        values = sorted(value for at, value in self._samples.get(name, []) if start <= at < start + period)
        if not values:
            return None
        match statistic:
            case "Sum":
                return sum(values)
            case "SampleCount":
                return float(len(values))
            case "Maximum":
                return values[-1]
            case "p50" | "p99":
                return values[min(len(values) - 1, int(len(values) * int(statistic[1:]) / 100))]
        raise ValueError(f"the statistic {statistic} is not known here")


def _document(line: str) -> dict[str, Any] | None:
    """The document in a line that has one, or in the message of Lambda's JSON log format."""
    if '"CloudWatchMetrics"' not in line:
        return None
    document = json.loads(line[line.index("{") :])
    return document if "_aws" in document else None
