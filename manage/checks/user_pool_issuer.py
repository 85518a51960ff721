"""Whether the stack expects the issuer that the pool's tokens have."""

from collections.abc import Iterator

from manage.checks.finding import Finding, Severity
from manage.deployment import Deployment
from manage.pool_settings import UserPool


def check(deployment: Deployment) -> Iterator[Finding]:
    """Compare the parameter UserPoolIssuer with the pool. Raises `Refused` and botocore's errors."""
    stack = deployment.stack
    expected = stack.parameters.get("UserPoolIssuer", "original")
    actual = UserPool(stack.cognito, deployment.pool_id).read().issuer
    if actual != expected:
        yield Finding(
            Severity.PROBLEM,
            "other_issuer",
            f"User pool {deployment.pool_id} has the {actual} issuer, and the stack expects the {expected} one: every "
            "token of the pool is refused with 401.",
            f"Deploy the stack with UserPoolIssuer={actual}.",
        )
