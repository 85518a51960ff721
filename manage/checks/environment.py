"""Whether the functions have the environment that the stack's parameters say."""

from collections.abc import Iterator, Mapping
from typing import Any

from manage.checks.finding import Finding, Severity
from manage.deployment import Deployment
from manage.errors import Refused


def check(deployment: Deployment) -> Iterator[Finding]:
    """A problem for each function with another value, of those that follow from a parameter or are written out.

    The deployed template says which they are. Values are not shown, because anybody can have put anything there. Raises
    `Refused` and botocore's errors.
    """
    stack = deployment.stack
    answer: Any = stack.client("cloudformation").get_template(StackName=stack.arn, TemplateStage="Processed")
    template = answer["TemplateBody"]
    if isinstance(template, str):  # The SDK parses JSON only.
        raise Refused("CloudFormation does not tell the deployed template as JSON.")
    physical_ids = stack.resources()
    for name, resource in template["Resources"].items():
        if resource["Type"] != "AWS::Lambda::Function" or name not in physical_ids:
            continue
        wanted = resource["Properties"].get("Environment", {}).get("Variables", {})
        actual = stack.environment_of(physical_ids[name])
        different = [each for each, value in wanted.items() if _differs(value, actual.get(each), stack.parameters)]
        if different:
            yield Finding(
                Severity.PROBLEM,
                "other_environment",
                f"The environment of {name} is not that of the stack: {', '.join(sorted(different))}. Somebody has "
                "changed the function, or a deployment did not finish.",
                "Put the value into the parameter and deploy with it, or set the variable back by hand.",
            )


def _differs(wanted: Any, actual: str | None, parameters: Mapping[str, str]) -> bool:
    """Whether ``actual`` is not what ``wanted`` says. A value that needs more than a parameter is not compared."""
    match wanted:
        case str(text):
            return actual != text
        case {"Ref": str(name)} if name in parameters:
            return actual != parameters[name]
        case {"Fn::Join": [",", {"Ref": str(name)}]} if name in parameters:
            return _entries(actual or "") != _entries(parameters[name])
    return False


def _entries(text: str) -> list[str]:
    """The entries of a list. CloudFormation removes the spaces around them."""
    return [each.strip() for each in text.split(",")]
