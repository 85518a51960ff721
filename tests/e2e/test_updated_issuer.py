"""A pool whose IssuerConfiguration is UPDATED: gateway and function take tokens of its own issuer, and no others."""

import json
from base64 import urlsafe_b64decode

import pytest

from local.stack import LocalStack
from manage.pool_settings import UserPool
from tests.e2e.harness import TeamApp


def _issuer(token: str) -> str:
    payload = token.split(".")[1]
    claims: dict[str, str] = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims["iss"]


def _sign_in_as(cloud: LocalStack, app: TeamApp, kind: str) -> str:
    """An access token of the pool while its issuer is of this kind; the pool's settings are left as they were."""
    user, pool = app.sign_up(), UserPool(cloud.cognito, app.pool_id)
    before = pool.read().settings
    pool.write(before | {"IssuerConfiguration": {"Type": kind}})
    try:
        return app.sign_in(user).access
    finally:
        pool.write(before)


@pytest.mark.parametrize(
    ("stack_of", "kind", "host", "status"),
    [
        ("eager", "UPDATED", "issuer-cognito-idp", 200),
        ("eager", "ORIGINAL", "cognito-idp", 401),
        ("app", "UPDATED", "issuer-cognito-idp", 401),
    ],
)
def test_a_stack_takes_the_tokens_of_its_pools_issuer_alone(
    cloud: LocalStack, request: pytest.FixtureRequest, stack_of: str, kind: str, host: str, status: int
) -> None:
    app: TeamApp = request.getfixturevalue(stack_of)
    token = _sign_in_as(cloud, app, kind)

    assert _issuer(token) == f"https://{host}.us-east-1.amazonaws.com/{app.pool_id}"
    assert app.mint(token).status_code == status
