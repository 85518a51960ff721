"""Whether the stack can be deleted while a user pool names its function."""

from collections.abc import Iterator

from manage import pool_triggers
from manage.checks.finding import Finding, Severity
from manage.deployment import Deployment
from manage.pool_settings import UserPool


def check(deployment: Deployment) -> Iterator[Finding]:
    """A pool that names a deleted function refuses every sign-up."""
    stack = deployment.stack
    if not stack.enrols_users:
        return
    pool = UserPool(stack.cognito, deployment.pool_id).read()
    if pool_triggers.names_function(pool, stack.output("OnSignupFunctionArn")) and not stack.is_protected:
        yield Finding(
            Severity.WARNING,
            "not_protected",
            f"User pool {deployment.pool_id} names the function of stack {stack.name}. A plain `sam delete` would "
            "delete it, and every sign-up would fail.",
            "Run: aws cloudformation update-termination-protection --enable-termination-protection "
            f"--stack-name {stack.name}",
        )
