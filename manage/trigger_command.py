"""What ``attach`` and ``detach`` have in common: look at the pool, show the difference, ask, write, tell."""

import argparse
import re

from manage import pool_triggers
from manage.console import Console, Refused
from manage.pool_settings import PoolState, UserPool, differences
from manage.stack import Stack

# UserPoolIdType in the Cognito API reference.
_POOL_ID = re.compile(r"(?P<region>[a-z0-9-]+)_[0-9A-Za-z]+")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of both."""
    parser.add_argument("--dry-run", action="store_true", help="show what would change, and stop")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def read(stack: Stack, pool_id: str) -> tuple[UserPool, PoolState]:
    """The pool, if a command may touch it.

    Raises `Refused` for one that is elsewhere, and for the one that the stack made itself: that one's trigger is in the
    template, and the next deployment would undo the command.
    """
    found = _POOL_ID.fullmatch(pool_id)
    if found is None:
        raise Refused(f"{pool_id} is no user pool id (us-east-1_AbCdEfGhI).")
    if found["region"] != stack.region:
        raise Refused(f"User pool {pool_id} is in {found['region']}, and stack {stack.name} is in {stack.region}.")
    if pool_id == stack.output("UserPoolId") and not stack.parameters.get("UserPoolId"):
        raise Refused(
            f"Stack {stack.name} made user pool {pool_id} itself: deploy it with PoolTriggers=sign-up or "
            "PoolTriggers=none instead."
        )
    pool = UserPool(stack.cognito, pool_id)
    state = pool.read()
    account = state.arn.split(":")[4]
    if account != stack.account:
        raise Refused(f"User pool {pool_id} is of account {account}, and stack {stack.name} of {stack.account}.")
    return pool, state


def carry_out(
    arguments: argparse.Namespace,
    stack: Stack,
    console: Console,
    pool: UserPool,
    shown: PoolState,
    wanted: PoolState,
    *,
    done: str,
) -> int:
    """Show, ask, write and tell; the exit status. ``done`` is the outcome: ``attached`` or ``detached``."""
    changes = differences(shown, wanted)
    data = {"stack": stack.name, "user_pool_id": pool.id, "changes": pool_triggers.as_data(changes)}
    console.say(f"User pool {pool.id} ({shown.name}), stack {stack.name} in {stack.region} of account {stack.account}:")
    for change in changes:
        console.say(f"  {change}")
    console.say("Everything else is written back as it is.")
    if arguments.dry_run:
        console.answer("Nothing was written.", outcome="dry_run", **data)
        return 0
    if not arguments.yes and not console.confirm("Write this to the user pool?"):
        console.answer("Nothing was written.", outcome="declined", **data)
        return 1
    pool_triggers.write(pool, shown, wanted)
    console.answer(f"{done.capitalize()}. The pool was read again: nothing else has changed.", outcome=done, **data)
    return 0
