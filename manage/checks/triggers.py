"""Whether the pool's triggers are the stack's function, and whether Cognito may call it."""

import fnmatch
import json
from collections.abc import Iterator
from typing import Any

from manage import pool_triggers
from manage.checks.finding import Finding, Severity
from manage.deployment import Deployment
from manage.pool_settings import PoolState, UserPool
from manage.stack import Stack


def check(deployment: Deployment) -> Iterator[Finding]:
    """Compare the triggers of the pool with PoolTriggers. Raises `Refused` and botocore's errors."""
    stack = deployment.stack
    made_here = not stack.parameters.get("UserPoolId")
    if not stack.enrols_users or (made_here and stack.parameters.get("PoolTriggers") == "none"):
        return
    pool = UserPool(stack.cognito, deployment.pool_id).read()
    for trigger, function in pool_triggers.triggers_of(stack).items():
        current = pool.triggers.get(trigger)
        if current is None:
            yield _missing(stack, pool, trigger, made_here=made_here)
        elif not pool_triggers.is_function(current, function):
            yield Finding(
                Severity.INFO,
                "trigger_of_another",
                f"{trigger} of user pool {pool.name} is another function, {current}.",
                "That function has to enqueue the user: `attach` prints the code for it.",
            )
        elif not _is_permitted(stack, current, pool.arn):
            yield Finding(
                Severity.PROBLEM,
                "trigger_not_permitted",
                f"Cognito may not call {current}, which is {trigger} of user pool {pool.name}. Every user whom the "
                "trigger is about gets an error.",
                f"Name {function} as the trigger, and deploy the stack again if its permission is gone.",
            )


def _missing(stack: Stack, pool: PoolState, trigger: str, *, made_here: bool) -> Finding:
    attach = f'Run: make manage ARGS="--stack {stack.name} attach {stack.output("UserPoolId")}"'
    return Finding(
        Severity.WARNING,
        "trigger_missing",
        f"User pool {pool.name} has no {trigger} function, so its users are enrolled at their first token only.",
        "Deploy with PoolTriggers=none, and then with the value of before." if made_here else attach,
    )


def _is_permitted(stack: Stack, function: str, pool_arn: str) -> bool:
    client = stack.client("lambda")
    try:
        policy: Any = json.loads(client.get_policy(FunctionName=function)["Policy"])
    except client.exceptions.ResourceNotFoundException:
        return False
    return any(_permits(statement, function, pool_arn) for statement in policy["Statement"])


def _permits(statement: Any, function: str, pool_arn: str) -> bool:
    """Whether a statement lets Cognito call ``function`` for the pool, as the template's permission does."""
    sources = [
        value
        for operator in statement.get("Condition", {}).values()
        for key, value in operator.items()
        if key.lower() == "aws:sourcearn"
    ]
    return (
        statement["Effect"] == "Allow"
        and statement["Principal"] == {"Service": "cognito-idp.amazonaws.com"}
        and statement["Resource"] == function
        and all(fnmatch.fnmatchcase(pool_arn, source) for source in sources)
    )
