"""``detach [USER_POOL_ID]``: remove the stack's trigger from a user pool, and nothing else."""

import argparse

from manage import pool_triggers
from manage.commands import _trigger
from manage.console import Console
from manage.errors import Refused
from manage.stack import Stack

NAME = "detach"
HELP = "undo attach: before you delete the stack, and after you deployed it for another pool"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument(
        "user_pool_id", metavar="USER_POOL_ID", nargs="?", help="by default the pool that the stack was deployed for"
    )
    _trigger.add_arguments(parser)


def run(arguments: argparse.Namespace, stack: Stack, console: Console) -> int:
    """Detach the trigger and return the exit status. Raises `Refused` and `NotDone`."""
    pool_id: str = arguments.user_pool_id or stack.output("UserPoolId")
    pool, shown = _trigger.read(stack, pool_id)
    try:
        wanted = pool_triggers.without_ours(shown, pool_triggers.triggers_of(stack))
    except pool_triggers.OtherFunction as other:
        raise Refused(
            f"The {other.trigger} function of user pool {pool_id} does not belong to stack {stack.name}, and stays: "
            f"{other.arn}",
            outcome="other_function",
            trigger=other.trigger,
            function=other.arn,
        ) from None
    if wanted == shown:
        text = f"User pool {pool_id} has no trigger of stack {stack.name}; nothing was written."
        console.answer(text, outcome="not_attached", stack=stack.name, user_pool_id=pool_id, changes=[])
        return 0
    return _trigger.change(arguments, stack, console, pool, shown, wanted, done="detached")
