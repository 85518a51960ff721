"""Settings of the app clients whose users may chat: what they tell strangers, and what their users may write."""

from collections.abc import Iterator
from typing import Any

from manage.checks.finding import Finding, Severity
from manage.deployment import Deployment

# Enrolment believes it, so only Cognito itself, an administrator or an identity provider may set it.
_TRUSTED = "email_verified"


def check(deployment: Deployment) -> Iterator[Finding]:
    """A problem for each client that is gone, and a warning for each setting that weakens one."""
    cognito = deployment.stack.cognito
    for client_id in deployment.stack.output("UserPoolClientId").split(","):
        try:
            answer = cognito.describe_user_pool_client(UserPoolId=deployment.pool_id, ClientId=client_id.strip())
        except cognito.exceptions.ResourceNotFoundException:
            yield Finding(
                Severity.PROBLEM,
                "app_client_missing",
                f"User pool {deployment.pool_id} has no app client {client_id}, so no user of it gets a token.",
                "Deploy with the right UserPoolClientIds.",
            )
            continue
        yield from _settings(answer["UserPoolClient"])


def _settings(client: Any) -> Iterator[Finding]:
    name = client["ClientName"]
    if client.get("PreventUserExistenceErrors") != "ENABLED":
        yield Finding(
            Severity.WARNING,
            "users_can_be_guessed",
            f"App client {name} tells a stranger whether a user exists, because PreventUserExistenceErrors is off.",
            "Set PreventUserExistenceErrors of the client to ENABLED.",
        )
    if _TRUSTED in client.get("WriteAttributes", ()):
        yield Finding(
            Severity.WARNING,
            "trusted_attribute_writable",
            f"App client {name} may write {_TRUSTED}. Whoever sets it can enrol under the address of somebody else.",
            f"Remove {_TRUSTED} from the WriteAttributes of the client, unless an identity provider is mapped to it.",
        )
