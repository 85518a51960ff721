"""Deploys the stack for development, and again whenever a source of it changes.

The functions import our package from the tree itself. So a change in it needs no deployment, only functions that start
anew.
"""

import math
import secrets
import time
from collections.abc import Sequence
from typing import NamedTuple

from local.processes import HOST, wait_until
from local.sam import REGION, ROOT, SamError
from local.stack import Deployment, LocalStack

STACK = "whop-chat-dev"
CHANNEL = "chat_feed_dev"
PACKAGE_SOURCE = ROOT / "layers" / "whop_chat"
_PACKAGE = PACKAGE_SOURCE / "whop_chat"
_WHOP_APP = "app_Dev"
_POLL_SECONDS = 0.5


def deploy(cloud: LocalStack, origins: Sequence[str]) -> Deployment:
    """Build, start and deploy; the stack has a Whop API key, and its app client allows every way to sign in."""
    template = cloud.build()
    cloud.start()
    parameters = _parameters(cloud, origins)
    cloud.whop.add_oauth_app(_WHOP_APP, [parameters["OAuthRedirectUri"]])
    deployment = cloud.deploy(template, STACK, parameters)
    key = f"apik_{secrets.token_urlsafe(24)}"
    cloud.whop.add_key(key)
    cloud.put_api_key(deployment, key)
    _allow_every_sign_in(cloud, deployment, origins)
    return deployment


def _parameters(cloud: LocalStack, origins: Sequence[str]) -> dict[str, str]:
    """The stack serves both ways to sign in. The page is the first origin, and passes Whop's callback on to the API."""
    page, *apps = origins
    # The template takes no http URL but those of 127.0.0.1.
    allowed = [app for app in apps if app.startswith(("https:", f"http://{HOST}:"))]
    return {
        "AllowedOrigins": ",".join(origins),
        "WatchCloudTrail": "true",
        "AuthModes": "both",
        "OAuthClientId": _WHOP_APP,
        "OAuthRedirectUri": f"{page}/oauth/whop/callback",
        "OAuthReturnUrls": ",".join([f"{page}/linked.html", *(f"{app}/linked" for app in allowed)]),
        "OAuthIssuer": cloud.whop_url,
    }


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
    """Put every changed source into force, and print how that went. Ends only by an exception."""
    now = _digests(cloud)
    while True:
        before, now = now, _changed(cloud, now)
        if now.deployed != before.deployed:
            _deploy_again(cloud, origins)
        else:
            cloud.restart_functions()
            print("The package has changed, and the functions start anew.", flush=True)


class _Digests(NamedTuple):
    """Of what has to be deployed, and of everything."""

    deployed: str
    all: str


def _digests(cloud: LocalStack) -> _Digests:
    return _Digests(cloud.sources(without=_PACKAGE), cloud.sources())


def _changed(cloud: LocalStack, before: _Digests) -> _Digests:
    wait_until(lambda: _digests(cloud) != before, math.inf, poll=_POLL_SECONDS)
    return _digests(cloud)


def _deploy_again(cloud: LocalStack, origins: Sequence[str]) -> None:
    begun = time.monotonic()
    try:
        cloud.deploy(cloud.build(), STACK, _parameters(cloud, origins))
        print(f"Deployed the changed sources, in {time.monotonic() - begun:.0f} s.", flush=True)
    except SamError as error:
        print(f"{error}\nThe stack is as it was before this change.", flush=True)


def summary(cloud: LocalStack, deployment: Deployment, page: str) -> str:
    """What an app developer needs, and how to stop."""
    environment = " ".join(f"{name}={value}" for name, value in cloud.environment().items())
    return f"""
  page                 {page}/
  ApiUrl               {deployment.api_url}
  UserPoolId           {deployment["UserPoolId"]}
  UserPoolClientId     {deployment["UserPoolClientId"]}
  region               {REGION}
  Cognito's endpoint   {cloud.emulator_url}
  confirmation codes   {page}/mail
  Whop's API           {cloud.whop.api_url}
  Whop's chat script   {cloud.whop_url}/elements/embedded-components.js
  a channel id         {CHANNEL}

  Operate it with:
  {environment} \\
    make manage ARGS="--stack {STACK} status ada@example.com"

  A saved source is in force in some seconds. Press Ctrl-C to stop.
"""
