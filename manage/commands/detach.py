"""``detach [USER_POOL_ID]``: remove the stack's triggers from a user pool, and nothing else."""

import argparse

from manage import pool_triggers, protection
from manage.commands import _trigger
from manage.console import Console
from manage.errors import Refused
from manage.stack import DELETED, Stack

NAME = "detach"
HELP = "undo attach: before you delete the stack, and after you deployed it for another pool"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument(
        "user_pool_id", metavar="USER_POOL_ID", nargs="?", help="by default the pool that the stack was deployed for"
    )
    parser.add_argument(
        "--function-arn",
        metavar="ARN",
        dest="outputs",
        type=lambda arn: {"OnSignupFunctionArn": arn},
        help="the function that the pool names, if the stack is deleted already; needs USER_POOL_ID",
    )
    _trigger.add_arguments(parser)


def run(arguments: argparse.Namespace, stack: Stack, console: Console) -> int:
    """Detach the triggers and return the exit status. Raises `Refused` and `NotDone`."""
    function = stack.output("OnSignupFunctionArn")
    if stack.status == DELETED:
        _require_function(function)
        if not arguments.user_pool_id:
            raise Refused("Name the user pool: without the stack nothing says which one it was.")
    pool_id: str = arguments.user_pool_id or stack.output("UserPoolId")
    pool, shown = _trigger.read(stack, pool_id)
    wanted = pool_triggers.without(shown, function)
    if wanted == shown:
        if not arguments.dry_run:
            _unprotect(stack, pool_id)
        return _not_attached(stack, console, pool_id, shown.triggers.get("PostConfirmation"))
    status = _trigger.change(arguments, stack, console, pool, shown, wanted, done="detached")
    _unprotect(stack, pool_id)
    return status


def _require_function(arn: str) -> None:
    parts = arn.split(":")
    if len(parts) not in (7, 8) or parts[2] != "lambda" or parts[5] != "function":
        raise Refused(f"{arn} is not the ARN of a Lambda function.")


def _not_attached(stack: Stack, console: Console, pool_id: str, other: str | None) -> int:
    text = f"User pool {pool_id} has no trigger of stack {stack.name}; nothing was written to it."
    if other:
        text += f" Its PostConfirmation function is another one, and stays: {other}"
    console.answer(text, outcome="not_attached", stack=stack.name, user_pool_id=pool_id, changes=[], function=other)
    return 0


def _unprotect(stack: Stack, pool_id: str) -> None:
    """Turn the stack's termination protection off, if this is its pool, which names its function no more.

    The protection is for the pool that the stack was deployed for. Other pools are not looked at.
    """
    if stack.status != DELETED and pool_id == stack.output("UserPoolId"):
        protection.unprotect(stack)
