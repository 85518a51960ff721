"""What the conditions of a template decide, for given values of its parameters."""

from collections.abc import Mapping
from typing import Any

NO_VALUE = {"Ref": "AWS::NoValue"}


def decided_resources(template: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The resources that a deployment with these ``values`` creates. No condition or parameter is left in them."""
    conditions = {name: holds(each, values, template["Conditions"]) for name, each in template["Conditions"].items()}
    wanted = {name: each for name, each in template["Resources"].items() if conditions.get(each.get("Condition"), True)}
    return {name: _decided(each, conditions, values) for name, each in wanted.items()}


def holds(expression: Any, values: Mapping[str, Any], conditions: Mapping[str, Any]) -> Any:
    """What a condition or an assertion of the Rules section comes to. Raises `ValueError` for other functions.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/rules-section-structure.html
    """
    if not isinstance(expression, dict):
        return expression
    ((function, argument),) = expression.items()
    if function == "Ref":
        return values[argument]
    if function == "Condition":
        return holds(conditions[argument], values, conditions)
    arguments = [holds(each, values, conditions) for each in argument]
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
