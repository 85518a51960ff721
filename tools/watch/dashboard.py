"""The widgets of the template's dashboard, and the values that they would show."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tools.watch.alarms import values_of
from tools.watch.expressions import Value
from tools.watch.samples import Name, Samples


def widgets_of(template: Mapping[str, Any], stack: str, physical: Callable[[str], str] = str) -> list[dict[str, Any]]:
    """The widgets, with names in place of the references. ``physical`` gives what CloudFormation calls a resource."""
    body = template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    return list(json.loads(re.sub(r"\$\{([\w:.]+)\}", lambda found: _name(found[1], stack, physical), body))["widgets"])


def _name(reference: str, stack: str, physical: Callable[[str], str]) -> str:
    match reference.split("."):
        case ["AWS::StackName"]:
            return stack
        case ["AWS::Region"]:
            return "eu-west-1"
        case [resource, *_]:
            return physical(resource)
    raise ValueError(reference)


@dataclass(frozen=True)
class Series:
    """One line of a widget that is visible."""

    label: str
    color: str | None
    values: list[Value]


def queries_of(widget: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The metrics and expressions of a metric widget in the form of an alarm's. Metrics come first."""
    properties = widget["properties"]
    metrics, expressions = [], []
    for number, row in enumerate(properties["metrics"]):
        *names, options = row
        identity = options.get("id", f"row{number}")
        shown = {"Label": options.get("label"), "Color": options.get("color"), "Visible": options.get("visible", True)}
        if "expression" in options:
            expressions.append({"Id": identity, "Expression": options["expression"], **shown})
            continue
        namespace, metric, *pairs = names
        dimensions = [{"Name": key, "Value": value} for key, value in zip(pairs[::2], pairs[1::2], strict=True)]
        asked = {"Namespace": namespace, "MetricName": metric, "Dimensions": dimensions}
        stat = {"Period": properties["period"], "Stat": options.get("stat", properties["stat"])}
        metrics.append({"Id": identity, "MetricStat": {"Metric": asked, **stat}, **shown})
    return [*metrics, *expressions]


def metrics_of(widget: Mapping[str, Any]) -> list[Name]:
    """The metrics that a metric widget reads."""
    found = [each["MetricStat"]["Metric"] for each in queries_of(widget) if "MetricStat" in each]
    return [
        Name.of(each["Namespace"], each["MetricName"], {pair["Name"]: pair["Value"] for pair in each["Dimensions"]})
        for each in found
    ]


def series_of(widget: Mapping[str, Any], samples: Samples, starts: list[float], period: float) -> list[Series]:
    """The visible lines of a metric widget, with a value for each period that starts at one of ``starts``."""
    queries = queries_of(widget)
    for each in queries:
        if "MetricStat" in each:
            each["MetricStat"]["Period"] = period
    rows = [values_of(queries, samples, start=start) for start in starts]
    return [
        Series(each["Label"], each["Color"], [row[each["Id"]] for row in rows]) for each in queries if each["Visible"]
    ]
