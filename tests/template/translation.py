"""The template as CloudFormation gets it: SAM translated, conditions decided, parameters put in.

Everything is offline. `translated` is what the SAM transform makes of the template, `deployed` what one deployment with
these parameters would create.
"""

import copy
import functools
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from samtranslator.translator.transform import transform  # type: ignore[import-untyped]
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from tools.watch import conditions
from tools.watch.conditions import decided_resources

ROOT = Path(__file__).resolve().parents[2]
GIVEN = {"WhopCompanyId": "biz_0123456789", "AllowedOrigins": "https://app.example.test"}

type Resource = dict[str, Any]
type Resources = dict[str, Resource]


@functools.cache
def template() -> dict[str, Any]:
    """template.yaml as it stands, its tags in their long form; not to be changed."""
    parsed: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text())
    return parsed


def parameter_values(**given: str) -> dict[str, Any]:
    """The values of a deployment: `given` over `GIVEN` over the defaults; lists as CloudFormation hands them on."""
    definitions = template()["Parameters"]
    defaults = {name: str(each["Default"]) for name, each in definitions.items() if "Default" in each}
    values: dict[str, Any] = {**defaults, **GIVEN, **given}
    lists = {name for name, each in definitions.items() if each["Type"] == "CommaDelimitedList"}
    return {name: value.split(",") if name in lists else value for name, value in values.items()}


def translated(contents: Mapping[str, str], /, **given: str) -> dict[str, Any]:
    """The template after the SAM transform.

    `contents` names the content of each folder that `sam package` would upload, by the folder's logical id: the object
    is called after its content, so that is all that a changed file changes.
    """
    source = copy.deepcopy(template())
    for name, resource in source["Resources"].items():
        for uri in {"CodeUri", "ContentUri"} & resource["Properties"].keys():
            resource["Properties"][uri] = f"s3://artifacts/{contents.get(name, name)}"
    with mock.patch.dict(os.environ, AWS_DEFAULT_REGION="us-east-1"):
        result: dict[str, Any] = transform(source, parameter_values(**given), mock.Mock(load=dict))
    return result


@functools.cache
def deployed(**given: str) -> Resources:
    """The resources that a deployment with these parameters creates, with conditions and parameters resolved."""
    return decided_resources(translated({}, **given), parameter_values(**given))


def holds(expression: Any, values: Mapping[str, Any]) -> Any:
    """What a condition or an assertion of the template comes to: see `tools.watch.conditions.holds`."""
    return conditions.holds(expression, values, template()["Conditions"])


def of_type(resources: Resources, kind: str) -> Resources:
    """The resources of one type, by logical id."""
    return {name: each for name, each in resources.items() if each["Type"] == kind}


def accepts(parameter: str, value: str) -> bool:
    """Whether CloudFormation takes `value` for `parameter`: the pattern must match the whole value."""
    return re.fullmatch(template()["Parameters"][parameter]["AllowedPattern"], value) is not None
