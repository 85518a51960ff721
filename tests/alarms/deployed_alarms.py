"""The alarms of the template as a stack has them: translated, and with every reference resolved."""

from collections.abc import Callable

from tests.template.translation import deployed
from tools.watch.alarms import Alarm, alarms_of

STACK = "whop-chat-dev"
NAMESPACE = f"WhopChat/{STACK}"
EMAIL = "ops@example.test"


def alarms(stack: str = STACK, physical: Callable[[str], str] = str, *, pictures: str = "picture") -> dict[str, Alarm]:
    """The alarms by logical id. ``physical`` gives what CloudFormation calls a resource of the stack.

    ``pictures`` is the stack's `AvatarSource`.
    """
    return alarms_of(deployed(AlarmEmail=EMAIL, AvatarSource=pictures), stack, physical)
