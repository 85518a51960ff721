"""``detach [USER_POOL_ID]``: take the stack's trigger out of a user pool, and nothing else."""

import argparse

from manage import pool_triggers
from manage.commands import _trigger
from manage.console import Console, Refused
from manage.stack import Stack

NAME = "detach"
HELP = "undo attach; before a stack is deleted, and after it was deployed for another pool"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument(
        "user_pool_id", metavar="USER_POOL_ID", nargs="?", help="the pool that the stack was deployed for, if not given"
    )
    _trigger.add_arguments(parser)


def run(arguments: argparse.Namespace, stack: Stack, console: Console) -> int:
    """Detach; the exit status. Raises `Refused`."""
    pool_id: str = arguments.user_pool_id or stack.output("UserPoolId")
    pool, shown = _trigger.read(stack, pool_id)
    try:
        wanted = pool_triggers.without_ours(shown, pool_triggers.triggers_of(stack))
    except pool_triggers.OtherFunction as other:
        raise Refused(
            f"The {other.trigger} function of user pool {pool_id} is not stack {stack.name}'s, and stays: {other.arn}",
            outcome="other_function",
            trigger=other.trigger,
            function=other.arn,
        ) from None
    if wanted == shown:
        text = f"User pool {pool_id} has no trigger of stack {stack.name}; nothing was written."
        console.answer(text, outcome="not_attached", stack=stack.name, user_pool_id=pool_id, changes=[])
        return 0
    return _trigger.carry_out(arguments, stack, console, pool, shown, wanted, done="detached")
