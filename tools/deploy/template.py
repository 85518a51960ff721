"""The parameters that a template declares, and whether a value suits one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the template. ``default`` is None for a parameter that must have a value."""

    name: str
    description: str
    default: str | None
    is_list: bool
    pattern: str
    constraint: str
    allowed: tuple[str, ...]

    def clean(self, value: str) -> str:
        """``value`` without the white space around it and around the members of a list, which CloudFormation drops."""
        return ",".join(each.strip() for each in value.split(",")) if self.is_list else value.strip()

    def problem(self, value: str) -> str | None:
        """Why CloudFormation would refuse ``value``, or None. It checks each member of a list."""
        members = value.split(",") if self.is_list else [value]
        if self.allowed and not set(members) <= set(self.allowed):
            return f"{self.name} must be one of {', '.join(self.allowed)}."
        if self.is_list and len(members) > 1 and "" in members:
            return f"{self.name} has an empty entry."
        if not all(re.fullmatch(self.pattern, each) for each in members):
            return f"{self.name} {self.constraint or f'must match {self.pattern}'}."
        return None


def parameters(path: Path) -> Mapping[str, Parameter]:
    """The parameters of the template at ``path``, in its order."""
    declared: Mapping[str, Mapping[str, Any]] = yaml_parse(path.read_text())["Parameters"]
    return {name: _parameter(name, each) for name, each in declared.items()}


def defaults(declared: Mapping[str, Parameter]) -> dict[str, str]:
    """The parameters that have a default, with it."""
    return {name: each.default for name, each in declared.items() if each.default is not None}


def _parameter(name: str, declared: Mapping[str, Any]) -> Parameter:
    return Parameter(
        name=name,
        description=declared.get("Description", ""),
        default=str(declared["Default"]) if "Default" in declared else None,
        is_list=declared["Type"] == "CommaDelimitedList",
        pattern=declared.get("AllowedPattern", "(?s:.*)"),
        constraint=declared.get("ConstraintDescription", ""),
        allowed=tuple(str(each) for each in declared.get("AllowedValues", ())),
    )
