"""``attach USER_POOL_ID``: let a pool that is older than the stack enqueue its sign-ups, and its sign-ins if asked."""

import argparse
import functools

from manage import pool_triggers, protection
from manage.commands import _trigger
from manage.console import Console
from manage.errors import Refused
from manage.snippet import iam_statement, node_code, python_code
from manage.stack import Stack

NAME = "attach"
HELP = "let an existing user pool enqueue its sign-ups (and sign-ins, by PoolTriggers) in the stack"


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
        if not arguments.dry_run:
            protection.protect(stack)
        text = f"User pool {pool_id} names the function already; nothing was written to it."
        console.answer(text, outcome="already_attached", stack=stack.name, user_pool_id=pool_id, changes=[])
        return 0
    before = functools.partial(protection.protect, stack)
    return _trigger.change(arguments, stack, console, pool, shown, wanted, done="attached", before=before)


def _other_function(stack: Stack, pool_id: str, other: pool_triggers.OtherFunction) -> Refused:
    """A pool has one function for each trigger, so the other function has to do our part."""
    python, node, statement = python_code(stack), node_code(stack), iam_statement(stack)
    return Refused(
        f"User pool {pool_id} has another {other.trigger} function, which stays:\n"
        f"  {other.arn}\n"
        f"Let that function enqueue the user, by this code in Python:\n\n{python}\n"
        f"or in Node.js:\n\n{node}\n"
        f"Its role needs this permission:\n\n{statement}",
        outcome="other_function",
        trigger=other.trigger,
        function=other.arn,
        python=python,
        node=node,
        iam_statement=statement,
    )
