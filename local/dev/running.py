"""Deploys the stack for development, and again whenever a source of it changes."""

import math
import secrets
import time
from collections.abc import Sequence

from local.processes import wait_until
from local.sam import SamError
from local.stack import Deployment, LocalStack

STACK = "whop-chat-dev"
_POLL_SECONDS = 0.5


def deploy(cloud: LocalStack, origins: Sequence[str]) -> Deployment:
    """Build, start and deploy; the stack has a Whop API key, and its app client allows every way to sign in."""
    template = cloud.build()
    cloud.start()
    deployment = cloud.deploy(template, STACK, _parameters(origins))
    key = f"apik_{secrets.token_urlsafe(24)}"
    cloud.whop.add_key(key)
    cloud.put_api_key(deployment, key)
    _allow_every_sign_in(cloud, deployment, origins)
    return deployment


def _parameters(origins: Sequence[str]) -> dict[str, str]:
    return {"AllowedOrigins": ",".join(origins), "WatchCloudTrail": "true"}


def _allow_every_sign_in(cloud: LocalStack, deployment: Deployment, origins: Sequence[str]) -> None:
    """Let also OIDC clients sign in, and the AWS SDK, which has no SRP. The stack's own app client is for SRP only."""
    pool, client = deployment["UserPoolId"], deployment["UserPoolClientId"]
    cloud.cognito.create_user_pool_domain(Domain=f"dev-{secrets.token_hex(4)}", UserPoolId=pool)
    cloud.cognito.update_user_pool_client(
        UserPoolId=pool,
        ClientId=client,
        ExplicitAuthFlows=["ALLOW_USER_SRP_AUTH", "ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
        AllowedOAuthFlows=["code"],
        AllowedOAuthScopes=["openid", "email"],
        AllowedOAuthFlowsUserPoolClient=True,
        SupportedIdentityProviders=["COGNITO"],
        CallbackURLs=[f"{origin}/callback" for origin in origins],
        LogoutURLs=[f"{origin}/" for origin in origins],
    )


def follow_sources(cloud: LocalStack, origins: Sequence[str]) -> None:
    """Deploy again whenever a source changes, and print how it went. Ends only by an exception."""
    deployed = cloud.sources()
    while True:
        deployed = _changed(cloud, deployed)
        begun = time.monotonic()
        try:
            cloud.deploy(cloud.build(), STACK, _parameters(origins))
            print(f"Deployed the changed sources, in {time.monotonic() - begun:.0f} s.", flush=True)
        except SamError as error:
            print(f"{error}\nThe stack is as it was before this change.", flush=True)


def _changed(cloud: LocalStack, deployed: str) -> str:
    wait_until(lambda: cloud.sources() != deployed, math.inf, poll=_POLL_SECONDS)
    return cloud.sources()


def summary(cloud: LocalStack, deployment: Deployment, page: str) -> str:
    """What an app developer needs, and how to stop."""
    environment = " ".join(f"{name}={value}" for name, value in cloud.environment().items())
    return f"""
  page                 {page}/
  ApiUrl               {deployment.api_url}
  UserPoolId           {deployment["UserPoolId"]}
  UserPoolClientId     {deployment["UserPoolClientId"]}
  Cognito's endpoint   {cloud.emulator_url}
  Whop's API           {cloud.whop.api_url}
  confirmation codes   {page}/mail

  Operate it with:
  {environment} \\
    make manage ARGS="--stack {STACK} status ada@example.com"

  A saved source is deployed in some seconds. Press Ctrl-C to stop.
"""
