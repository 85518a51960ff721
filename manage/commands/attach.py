"""``attach USER_POOL_ID``: let a pool that is older than the stack announce its sign-ups to the stack."""

import argparse

from manage import pool_triggers
from manage.commands import _trigger
from manage.console import Console
from manage.errors import Refused
from manage.snippet import iam_statement, python_code
from manage.stack import Stack

NAME = "attach"
HELP = "let an existing user pool announce its sign-ups to the stack"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument("user_pool_id", metavar="USER_POOL_ID", help="the pool that the stack was deployed for")
    _trigger.add_arguments(parser)


def run(arguments: argparse.Namespace, stack: Stack, console: Console) -> int:
    """Attach the trigger and return the exit status. Raises `Refused` and `NotDone`."""
    pool_id: str = arguments.user_pool_id
    deployed_for = stack.output("UserPoolId")
    if pool_id != deployed_for:
        raise Refused(
            f"Stack {stack.name} was deployed for user pool {deployed_for}. To use {pool_id}, deploy the stack with "
            f"UserPoolId={pool_id} and the UserPoolClientIds of its apps first."
        )
    pool, shown = _trigger.read(stack, pool_id)
    deployed_issuer = stack.parameters.get("UserPoolIssuer", "original")
    if shown.issuer != deployed_issuer:
        raise Refused(
            f"User pool {pool_id} has the {shown.issuer} issuer, and stack {stack.name} expects the {deployed_issuer} "
            f"one, so it would refuse every token. Deploy the stack with UserPoolIssuer={shown.issuer} first.",
            outcome="other_issuer",
        )
    try:
        wanted = pool_triggers.with_ours(shown, pool_triggers.triggers_of(stack))
    except pool_triggers.OtherFunction as other:
        raise _other_function(stack, pool_id, other) from None
    if wanted == shown:
        text = f"User pool {pool_id} has the trigger already; nothing was written."
        console.answer(text, outcome="already_attached", stack=stack.name, user_pool_id=pool_id, changes=[])
        return 0
    return _trigger.change(arguments, stack, console, pool, shown, wanted, done="attached")


def _other_function(stack: Stack, pool_id: str, other: pool_triggers.OtherFunction) -> Refused:
    """A pool has one function for each trigger, so the other function has to do our part."""
    code, statement = python_code(stack), iam_statement(stack)
    return Refused(
        f"User pool {pool_id} has another {other.trigger} function, which stays:\n"
        f"  {other.arn}\n"
        f"Let that function announce the sign-ups, by this code:\n\n{code}\n"
        f"Its role needs this permission:\n\n{statement}",
        outcome="other_function",
        trigger=other.trigger,
        function=other.arn,
        python=code,
        iam_statement=statement,
    )
