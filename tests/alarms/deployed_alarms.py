"""The alarms of the template as a stack has them: translated, and with every reference resolved."""

from collections.abc import Callable, Mapping
from typing import Any

from tests.template.translation import deployed, of_type
from tools.watch.alarms import Alarm

STACK = "whop-chat-dev"
NAMESPACE = f"WhopChat/{STACK}"
EMAIL = "ops@example.test"


def alarms(stack: str = STACK, physical: Callable[[str], str] = str) -> dict[str, Alarm]:
    """The alarms by logical id. ``physical`` gives what CloudFormation calls a resource of the stack."""
    found = of_type(deployed(AlarmEmail=EMAIL, AvatarSource="picture"), "AWS::CloudWatch::Alarm")
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
