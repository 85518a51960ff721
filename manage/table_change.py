"""Whether a deployment would give a stack another users table.

With an empty table, every user counts as never enrolled: each next token enrols them again, and Whop mails all of them.
This module knows boto3 only, so that tools without `whop_chat` can import it.
"""

from collections.abc import Mapping
from typing import Any

import boto3
from botocore.exceptions import ClientError

from manage import users_table


class OtherTable(Exception):
    """The deployment would use another table. The message says which, what that means, and what to do."""


def require_same_table(session: boto3.Session, stack: str, parameters: Mapping[str, str]) -> None:
    """Return if a deployment of ``stack`` with ``parameters`` keeps the users table. Raises `OtherTable` if not.

    A parameter that is missing keeps its value, as with ``sam deploy``. A new stack for a pool whose users have a table
    already has to name that table: it is found by its tags. Raises botocore's errors.
    """
    deployed = _deployed(session, stack)
    before, in_use = deployed.get("Parameters", {}), deployed.get("Outputs", {}).get("UsersTableName")
    wanted = parameters.get("UsersTableName", before.get("UsersTableName", ""))
    pool_id = parameters.get("UserPoolId", before.get("UserPoolId", ""))
    if in_use:
        if wanted not in (in_use, before.get("UsersTableName", "")):
            raise OtherTable(_message(stack, f"uses the users table {in_use}", wanted, in_use))
    elif pool_id and not wanted:
        kept = users_table.names(session.client("resourcegroupstaggingapi"), stack, pool_id)
        if kept:
            raise OtherTable(_message(stack, f"had the users table {' and '.join(kept)}", wanted, kept[-1]))


def _message(stack: str, fact: str, wanted: str, right: str) -> str:
    other = f"the table {wanted}" if wanted else "a new, empty table"
    return (
        f"Stack {stack} {fact}, and this deployment would give it {other}. Users without a record there are enrolled "
        "again, and Whop mails them. Denials, tombstones and the audit stay behind. "
        f"Deploy with UsersTableName={right}."
    )


def _deployed(session: boto3.Session, stack: str) -> Mapping[str, Mapping[str, str]]:
    """The parameters and outputs of the stack by name. Empty if there is no stack."""
    try:
        found: Any = session.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        # CloudFormation's code for a stack that does not exist (AWS, DescribeStacks).
        if error.response.get("Error", {}).get("Code") != "ValidationError":
            raise
        return {}
    return {
        "Parameters": {each["ParameterKey"]: each["ParameterValue"] for each in found.get("Parameters", [])},
        "Outputs": {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])},
    }
