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
    result, values = translated({}, **given), parameter_values(**given)
    conditions = {name: holds(each, values) for name, each in result["Conditions"].items()}
    wanted = {name: each for name, each in result["Resources"].items() if conditions.get(each.get("Condition"), True)}
    return {name: _decided(each, conditions, values) for name, each in wanted.items()}


def holds(expression: Any, values: Mapping[str, Any]) -> Any:
    """What a condition or an assertion of the Rules section comes to.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/rules-section-structure.html
    """
    if not isinstance(expression, dict):
        return expression
    ((function, argument),) = expression.items()
    if function == "Ref":
        return values[argument]
    if function == "Condition":
        return holds(template()["Conditions"][argument], values)
    arguments = [holds(each, values) for each in argument]
    match function:
        case "Fn::Equals":
            return arguments[0] == arguments[1]
        case "Fn::Or":
            return any(arguments)
        case "Fn::And":
            return all(arguments)
        case "Fn::Not":
            return not arguments[0]
        case "Fn::Contains":
            return arguments[1] in arguments[0]
        case "Fn::EachMemberEquals":
            return all(each == arguments[1] for each in arguments[0])
    raise ValueError(f"{function} is not known here")


NO_VALUE = {"Ref": "AWS::NoValue"}


def _decided(node: Any, conditions: Mapping[str, bool], values: Mapping[str, Any]) -> Any:
    if isinstance(node, list):
        members = [_decided(each, conditions, values) for each in node]
        return [each for each in members if each != NO_VALUE]
    if not isinstance(node, dict):
        return node
    if "Fn::If" in node:
        condition, yes, no = node["Fn::If"]
        return _decided(yes if conditions[condition] else no, conditions, values)
    if node.keys() == {"Ref"} and node["Ref"] in values:
        return values[node["Ref"]]
    inner = {key: _decided(each, conditions, values) for key, each in node.items()}
    return {key: each for key, each in inner.items() if each != NO_VALUE}


def of_type(resources: Resources, kind: str) -> Resources:
    """The resources of one type, by logical id."""
    return {name: each for name, each in resources.items() if each["Type"] == kind}


def accepts(parameter: str, value: str) -> bool:
    """Whether CloudFormation takes `value` for `parameter`: the pattern must match the whole value."""
    return re.fullmatch(template()["Parameters"][parameter]["AllowedPattern"], value) is not None
