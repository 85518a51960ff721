"""The state of an alarm of the template, from samples.

It looks at the last periods only. CloudWatch also looks at older data when some is missing ("Configuring how CloudWatch
alarms treat missing data"). With missing data as no breach, both come to the same, because none of it can breach.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tools.watch.expressions import Value, value_of
from tools.watch.samples import Name, Samples

_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
}


@dataclass(frozen=True)
class Alarm:
    """The properties of one AWS::CloudWatch::Alarm, with all references resolved."""

    properties: Mapping[str, Any]

    @property
    def metrics(self) -> list[Name]:
        """The metrics that the alarm reads."""
        return [_name_of(each["MetricStat"]["Metric"]) for each in self._queries if "MetricStat" in each]

    @property
    def period(self) -> int:
        """The seconds of one period."""
        periods = {each["MetricStat"]["Period"] for each in self._queries if "MetricStat" in each}
        (period,) = periods
        return int(period)

    def is_in_alarm(self, samples: Samples, *, now: float) -> bool:
        """Whether M of the last N periods breach, the one that ``now`` is in included."""
        last = now // self.period * self.period
        needed: int = self.properties.get("DatapointsToAlarm", self.properties["EvaluationPeriods"])
        starts = [last - number * self.period for number in range(self.properties["EvaluationPeriods"])]
        return sum(self._breaches(samples, start) for start in starts) >= needed

    def _breaches(self, samples: Samples, start: float) -> bool:
        value = self.value(samples, start=start)
        if value is None:
            return bool(self.properties["TreatMissingData"] == "breaching")
        return _COMPARISONS[self.properties["ComparisonOperator"]](value, self.properties["Threshold"])

    def value(self, samples: Samples, *, start: float) -> Value:
        """What the alarm compares with its threshold in one period."""
        return values_of(self._queries, samples, start=start)[self._returned]

    @property
    def _queries(self) -> list[dict[str, Any]]:
        if "Metrics" in self.properties:
            return list(self.properties["Metrics"])
        metric = {key: self.properties[key] for key in ("Namespace", "MetricName")}
        stat = {"Period": self.properties["Period"], "Stat": self.properties["Statistic"]}
        return [{"Id": "only", "MetricStat": {"Metric": {**metric, **self._dimensions}, **stat}}]

    @property
    def _dimensions(self) -> dict[str, Any]:
        return {"Dimensions": self.properties.get("Dimensions", [])}

    @property
    def _returned(self) -> str:
        (returned,) = [each["Id"] for each in self._queries if each.get("ReturnData", True)]
        return str(returned)


def alarms_of(resources: Mapping[str, Any], stack: str, physical: Callable[[str], str] = str) -> dict[str, Alarm]:
    """The alarms among ``resources`` by logical id. ``physical`` gives what CloudFormation calls a resource."""
    found = {name: each for name, each in resources.items() if each["Type"] == "AWS::CloudWatch::Alarm"}
    return {name: Alarm(resolved(each["Properties"], stack, physical)) for name, each in found.items()}


def resolved(node: Any, stack: str, physical: Callable[[str], str]) -> Any:
    """``node`` with names in place of its references. The other attributes of resources are not in use here."""
    match node:
        case {"Ref": "AWS::StackName"}:
            return stack
        case {"Ref": name} | {"Fn::GetAtt": [name, _]}:
            return physical(name)
        case {"Fn::Sub": str(text)}:
            return text.replace("${AWS::StackName}", stack)
        case Mapping():
            return {key: resolved(each, stack, physical) for key, each in node.items()}
        case list():
            return [resolved(each, stack, physical) for each in node]
    return node


def values_of(queries: list[dict[str, Any]], samples: Samples, *, start: float) -> dict[str, Value]:
    """The value of each metric and expression of a query in one period, by id. Expressions come after what they use."""
    metrics: dict[str, Value] = {}
    known: dict[str, Value] = {}
    for each in queries:
        if "MetricStat" in each:
            asked = each["MetricStat"]
            value = samples.statistic(_name_of(asked["Metric"]), asked["Stat"], start=start, period=asked["Period"])
            metrics[each["Id"]] = value
        else:
            value = value_of(each["Expression"], known, metrics)
        known[each["Id"]] = value
    return known


def _name_of(metric: Mapping[str, Any]) -> Name:
    dimensions = {each["Name"]: each["Value"] for each in metric.get("Dimensions", [])}
    return Name.of(metric["Namespace"], metric["MetricName"], dimensions)
