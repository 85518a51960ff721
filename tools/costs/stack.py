"""What the bill depends on in the stack itself: memory sizes, secrets, alarms, and the time of an invocation."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[2]
MEASURED = ROOT / "docs" / "figures" / "memory.md"

# Below this size, Lambda gives a function a proportional share of a CPU (AWS, "Configure Lambda function memory").
_WHOLE_CPU_MB = 1769
_FUNCTIONS = ("mint_token", "on_signup", "sync_user", "reconcile")
_ROW = re.compile(r"^\| (\w+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| \d+ \|$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Work:
    """One invocation with a whole CPU: milliseconds of CPU time, and milliseconds of waiting."""

    cpu: float
    waiting: float

    def seconds(self, memory: int) -> float:
        """How long it takes with ``memory`` MB, if nothing is computed while it waits."""
        return (self.cpu * max(1.0, _WHOLE_CPU_MB / memory) + self.waiting) / 1000

    def longer(self, milliseconds: float) -> "Work":
        """The same with more waiting."""
        return Work(self.cpu, self.waiting + milliseconds)


@dataclass(frozen=True, slots=True)
class Stack:
    """The counts that a month is billed for, whoever uses the stack, and what an invocation takes."""

    memory: Mapping[str, int]
    """MB by function."""
    cold: Mapping[str, Work]
    """The first invocation of an instance, with its start, by function. Measured by `make memory`."""
    warm: Mapping[str, Work]
    """Any later invocation."""
    secrets: int
    """Without those that a condition leaves out by default."""
    alarm_metrics: int
    """Metrics that alarms look at."""
    dashboards: int
    log_days: int
    """The default of LogRetentionDays."""


def read_stack() -> Stack:
    """The stack of `template.yaml`, with the times of the last `make memory`."""
    template = yaml_parse((ROOT / "template.yaml").read_text())
    resources: Mapping[str, Any] = template["Resources"]
    measured = {name: [float(each) for each in figures] for name, *figures in _ROW.findall(MEASURED.read_text())}
    alarms = _of_type(resources, "AWS::CloudWatch::Alarm")
    return Stack(
        memory={name: resources[_logical_id(name)]["Properties"]["MemorySize"] for name in _FUNCTIONS},
        cold={name: Work(figures[0], figures[1]) for name, figures in measured.items()},
        warm={name: Work(figures[2], figures[3]) for name, figures in measured.items()},
        secrets=len([each for each in _of_type(resources, "AWS::SecretsManager::Secret") if _is_made(each)]),
        alarm_metrics=sum(map(_metrics_of, alarms)),
        dashboards=len(_of_type(resources, "AWS::CloudWatch::Dashboard")),
        log_days=template["Parameters"]["LogRetentionDays"]["Default"],
    )


def _logical_id(function: str) -> str:
    return function.title().replace("_", "") + "Function"


def _of_type(resources: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    return [each for each in resources.values() if each["Type"] == kind]


def _is_made(resource: Mapping[str, Any]) -> bool:
    """Whether a stack with the default parameters has the resource. `EnrolUsers` is true by default."""
    return resource.get("Condition") in (None, "EnrolUsers")


def _metrics_of(alarm: Mapping[str, Any]) -> int:
    """One, or with metric math as many as it reads, also those that a condition can leave out."""
    metrics = alarm["Properties"].get("Metrics")
    return 1 if metrics is None else json.dumps(metrics).count('"MetricStat"')
