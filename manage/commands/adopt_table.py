"""``adopt-table TABLE``: make a kept or restored users table ready for a stack."""

import argparse
import dataclasses

from manage import adoption, users_table
from manage.console import Console
from manage.deployment import Deployment
from manage.stack import Stack

NAME = "adopt-table"
HELP = "make a kept or restored users table ready, before a stack is deployed with UsersTableName"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument("table", metavar="TABLE", help="the name of the table")
    parser.add_argument(
        "--pool",
        metavar="USER_POOL_ID",
        dest="outputs",
        type=lambda pool_id: {"UserPoolId": pool_id},
        help="the pool of its users, if there is no stack; by default the pool of the stack",
    )
    parser.add_argument(
        "--other-pools",
        action="store_true",
        help="also if it has records of other pools, which the stack was for before",
    )
    parser.add_argument("--dry-run", action="store_true", help="check the table, and write nothing")


def run(arguments: argparse.Namespace, stack: Stack, console: Console) -> int:
    """Adopt the table and return the exit status. Raises `Refused` and `NotDone`."""
    # The audit belongs to this table, whichever the stack uses now.
    deployment = Deployment(dataclasses.replace(stack, outputs={**stack.outputs, "UsersTableName": arguments.table}))
    dynamodb, pool_id = stack.client("dynamodb"), deployment.pool_id
    table = adoption.usable_table(dynamodb, arguments.table)
    counts = adoption.count_records(dynamodb, table)
    adoption.require_records(table, counts, pool_id, others=arguments.other_pools)
    tags = users_table.tags(stack.name, pool_id)
    changes = [*table.missing, *([] if tags.items() <= table.tags.items() else ["tags"])]
    data = {**deployment.as_data(), "table": table.name, "records": dict(counts), "changes": changes}
    found = f"Table {table.name} has {counts[pool_id]} records of users of pool {pool_id}."
    would = f"{found} To set: {', '.join(changes) or 'nothing'}."
    console.approve("", data, yes=True, dry_run=arguments.dry_run, otherwise=would)
    if changes:
        with deployment.audit.entry(NAME) as entry:
            users_table.secure(dynamodb, table, tags)
            entry.outcome = "adopted"
    console.answer(
        f"{found} Set: {', '.join(changes) or 'nothing, it was ready'}.\n"
        f"Deploy {stack.name} with UsersTableName={table.name} and UserPoolId={pool_id}, and with the app clients of "
        "the pool as UserPoolClientIds.",
        outcome="adopted" if changes else "already_adopted",
        **data,
    )
    return 0
