"""What ``attach`` and ``detach`` share: read the pool, show the difference, ask, write and report."""

import argparse
import re
from collections.abc import Callable

from manage import pool_triggers
from manage.console import Console
from manage.errors import Refused
from manage.pool_settings import PoolState, UserPool, differences
from manage.stack import Stack

# UserPoolIdType in the Cognito API reference.
_POOL_ID = re.compile(r"(?P<region>[a-z0-9-]+)_[0-9A-Za-z]+")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of both commands."""
    parser.add_argument("--dry-run", action="store_true", help="show what would change, and stop")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def read(stack: Stack, pool_id: str) -> tuple[UserPool, PoolState]:
    """The pool and its settings, if a command may change it.

    Raises `Refused` for a pool in another region or account, and for the pool that the stack created: its trigger is in
    the template, so the next deployment would undo the command.
    """
    match = _POOL_ID.fullmatch(pool_id)
    if match is None:
        raise Refused(f"{pool_id} is not a user pool id (us-east-1_AbCdEfGhI).")
    if match["region"] != stack.region:
        raise Refused(f"User pool {pool_id} is in {match['region']}, and stack {stack.name} is in {stack.region}.")
    if pool_id == stack.outputs.get("UserPoolId") and not stack.parameters.get("UserPoolId"):
        raise Refused(
            f"Stack {stack.name} created user pool {pool_id} itself: deploy it with PoolTriggers=sign-up or "
            "PoolTriggers=none instead."
        )
    pool = UserPool(stack.cognito, pool_id)
    state = pool.read()
    account = state.arn.split(":")[4]
    if account != stack.account:
        raise Refused(f"User pool {pool_id} is of account {account}, and stack {stack.name} of {stack.account}.")
    return pool, state


def change(
    arguments: argparse.Namespace,
    stack: Stack,
    console: Console,
    pool: UserPool,
    shown: PoolState,
    wanted: PoolState,
    *,
    done: str,
    before: Callable[[], None] = lambda: None,
) -> int:
    """Show the change, ask, write and report. Returns the exit status.

    ``done`` is the outcome: ``attached`` or ``detached``. ``before`` is called once the operator has agreed. Raises
    `NotDone` and `Refused`.
    """
    changes = differences(shown, wanted)
    data = {"stack": stack.name, "user_pool_id": pool.id, "changes": pool_triggers.as_data(changes)}
    console.say(f"User pool {pool.id} ({shown.name}), stack {stack.name} in {stack.region} of account {stack.account}:")
    for each in changes:
        console.say(f"  {each}")
    console.say("All other settings are written back unchanged.")
    console.approve("Write this to the user pool?", data, yes=arguments.yes, dry_run=arguments.dry_run)
    before()
    pool_triggers.write(pool, shown, wanted)
    console.answer(f"{done.capitalize()}. The pool was read again: nothing else has changed.", outcome=done, **data)
    return 0
