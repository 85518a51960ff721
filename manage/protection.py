"""Termination protection of the stack: on while a user pool names its function.

A pool whose trigger names a deleted function refuses every sign-up. With the protection a plain ``sam delete`` fails
and leaves all as it is (AWS, "Protect CloudFormation stacks from being deleted").
"""

from manage.errors import AWS_ERRORS, Refused, reason
from manage.stack import Stack


def protect(stack: Stack) -> None:
    """Turn the protection on. Raises `Refused` if that fails."""
    try:
        _update(stack, enabled=True)
    except AWS_ERRORS as error:
        raise Refused(
            "The termination protection of the stack could not be turned on, so nothing was written to the user pool. "
            f"{reason(error)}",
            outcome="not_protected",
        ) from None


def unprotect(stack: Stack) -> None:
    """Turn the protection off. Raises `Refused` if that fails."""
    try:
        _update(stack, enabled=False)
    except AWS_ERRORS as error:
        raise Refused(
            f"The user pool is detached, but the stack keeps its termination protection. {reason(error)}",
            outcome="still_protected",
        ) from None


def _update(stack: Stack, *, enabled: bool) -> None:
    stack.client("cloudformation").update_termination_protection(
        StackName=stack.arn, EnableTerminationProtection=enabled
    )
