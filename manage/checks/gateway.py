"""Whether the API accepts the tokens of the pool, and the origins that the parameters name."""

from collections.abc import Iterator
from typing import Any, cast

from manage.checks.finding import Finding, Severity
from manage.deployment import Deployment
from whop_chat.cognito.issuer import PoolIssuer, issuer

_DEPLOY = "Deploy the stack again. If that changes nothing, set the value of the API by hand."


def check(deployment: Deployment) -> Iterator[Finding]:
    """Compare the API with the stack. Raises botocore's errors."""
    stack = deployment.stack
    client, api_id = stack.client("apigatewayv2"), stack.resources()["HttpApi"]
    for authorizer in client.get_authorizers(ApiId=api_id)["Items"]:
        yield from _authorizer(deployment, authorizer.get("JwtConfiguration", {}))
    origins = set(client.get_api(ApiId=api_id).get("CorsConfiguration", {}).get("AllowOrigins", ()))
    if origins != _entries(stack.parameters.get("AllowedOrigins", "")):
        yield Finding(
            Severity.PROBLEM,
            "other_origins",
            f"The API accepts browsers of {', '.join(sorted(origins)) or 'no origin'}, which is not AllowedOrigins.",
            _DEPLOY,
        )


def _authorizer(deployment: Deployment, jwt: Any) -> Iterator[Finding]:
    stack = deployment.stack
    pool_issuer = cast(PoolIssuer, stack.parameters.get("UserPoolIssuer", "original"))
    expected = issuer(deployment.pool_id, pool_issuer)
    if jwt.get("Issuer") != expected:
        yield Finding(
            Severity.PROBLEM,
            "other_authorizer_issuer",
            f"The API accepts tokens of {jwt.get('Issuer')}, and those of the user pool have {expected}: it answers "
            "401 to every user.",
            _DEPLOY,
        )
    if set(jwt.get("Audience", ())) != _entries(stack.output("UserPoolClientId")):
        yield Finding(
            Severity.PROBLEM,
            "other_authorizer_clients",
            f"The API accepts tokens of the app clients {', '.join(jwt.get('Audience', ()))}, which are not those of "
            "the stack.",
            _DEPLOY,
        )


def _entries(text: str) -> set[str]:
    return {each.strip() for each in text.split(",")}
