"""``attach USER_POOL_ID``: have a pool that was there before the stack announce its sign-ups to it."""

import argparse

from manage import pool_triggers
from manage.commands import _trigger
from manage.console import Console, Refused
from manage.snippet import iam_statement, python_code
from manage.stack import Stack

NAME = "attach"
HELP = "have an existing user pool announce its sign-ups to the stack"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("user_pool_id", metavar="USER_POOL_ID", help="the pool that the stack was deployed for")
    _trigger.add_arguments(parser)


def run(arguments: argparse.Namespace, stack: Stack, console: Console) -> int:
    """Attach; the exit status. Raises `Refused`."""
    pool_id: str = arguments.user_pool_id
    deployed_for = stack.output("UserPoolId")
    if pool_id != deployed_for:
        raise Refused(
            f"Stack {stack.name} was deployed for user pool {deployed_for}: to use {pool_id}, deploy it with "
            f"UserPoolId={pool_id} and the UserPoolClientIds of its apps first."
        )
    pool, shown = _trigger.read(stack, pool_id)
    ours = pool_triggers.triggers_of(stack)
    try:
        wanted = pool_triggers.with_ours(shown, ours)
    except pool_triggers.OtherFunction as other:
        raise _in_the_way(stack, pool_id, other) from None
    if wanted == shown:
        text = f"User pool {pool_id} has the trigger already; nothing was written."
        console.answer(text, outcome="already_attached", stack=stack.name, user_pool_id=pool_id, changes=[])
        return 0
    return _trigger.carry_out(arguments, stack, console, pool, shown, wanted, done="attached")


def _in_the_way(stack: Stack, pool_id: str, other: pool_triggers.OtherFunction) -> Refused:
    """A pool has one function a trigger; the other one can do our part."""
    lines, statement = python_code(stack), iam_statement(stack)
    return Refused(
        f"User pool {pool_id} has another {other.trigger} function, which stays:\n"
        f"  {other.arn}\n"
        f"Let that function announce sign-ups itself, by\n\n{lines}\n"
        f"which its role must allow:\n\n{statement}",
        outcome="other_function",
        trigger=other.trigger,
        function=other.arn,
        python=lines,
        iam_statement=statement,
    )
