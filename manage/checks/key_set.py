"""Whether the key set of the pool can be read, from this machine."""

from collections.abc import Iterator

from manage.checks.finding import Finding, Severity
from manage.deployment import Deployment
from whop_chat.cognito.jwks import JwksError


def check(deployment: Deployment) -> Iterator[Finding]:
    """A problem if there are no keys: then no token of the pool can be verified."""
    try:
        deployment.key_set()
    except JwksError as error:
        yield Finding(
            Severity.PROBLEM,
            "key_set_unreadable",
            f"The key set of user pool {deployment.pool_id} cannot be read from here: {error}. Without it, no token "
            "can be verified.",
            "If `GET /health/ready` says the same, look whether pool and UserPoolIssuer are those of the stack.",
        )
