"""Whether the users table is safe, and is the one that has the records."""

from collections.abc import Iterator

from manage import users_table
from manage.checks.finding import Finding, Severity
from manage.deployment import Deployment


def check(deployment: Deployment) -> Iterator[Finding]:
    """Problems of the table in use, and other tables that this stack has used for this pool."""
    stack = deployment.stack
    name = stack.output("UsersTableName")
    table = users_table.describe(stack.client("dynamodb"), name)
    if table is None:
        yield Finding(
            Severity.PROBLEM,
            "users_table_missing",
            f"There is no users table {name}, so nobody gets a token.",
            'Restore it from a backup (docs/operations.md, "Restore the users table").',
        )
    elif table.missing:
        yield Finding(
            Severity.PROBLEM,
            "users_table_unsafe",
            f"The users table {name} has no {' and no '.join(table.missing)}.",
            f'Run: make manage ARGS="--stack {stack.name} adopt-table {name}"',
        )
    yield from _others(deployment, name)


def _others(deployment: Deployment, name: str) -> Iterator[Finding]:
    """A name that was cleared or changed leaves the former table behind, with its tags."""
    stack = deployment.stack
    tagging = stack.client("resourcegroupstaggingapi")
    others = [each for each in users_table.names(tagging, stack.name, deployment.pool_id) if each != name]
    if not others:
        return
    is_named = bool(stack.parameters.get("UsersTableName"))
    yield Finding(
        Severity.WARNING if is_named else Severity.PROBLEM,
        "other_users_table",
        f"Stack {stack.name} uses the users table {name}, and for the same pool it had {' and '.join(others)}. "
        + ("" if is_named else "UsersTableName is empty, so the stack created the table that it uses. ")
        + "Denials, tombstones and links that are only in a former table do not count.",
        f"If {name} is the wrong one, deploy with the right one as UsersTableName. If it is the right one, delete the "
        "former table, or remove its tag whop-chat:stack.",
    )
