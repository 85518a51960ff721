"""The deployed stacks that the end-to-end tests share."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from local.chat_app import ChatApp, User
from local.processes import wait_until
from local.stack import Deployment, LocalStack

ORIGINS = ("https://one.example.test", "https://two.example.test")
SYNC_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class OwnPool:
    """A stack on a user pool that was there before: two app clients, two web origins, names that can be used again.

    Its users sign in with a user name; ``username`` is therefore to be given to `ChatApp`'s methods.
    """

    deployment: Deployment
    pool_id: str
    apps: Sequence[ChatApp]
    origins: Sequence[str]


def make_key(cloud: LocalStack) -> str:
    """An API key that Whop knows, made for this run."""
    key = f"apik_{secrets.token_urlsafe(24)}"
    cloud.whop.add_key(key)
    return key


def deploy_on_own_pool(cloud: LocalStack, template: Path, key: str) -> OwnPool:
    """Make a pool as a team might have one, deploy a stack that names it, and attach the trigger to the pool."""
    pool_id = cloud.cognito.create_user_pool(PoolName="own", AutoVerifiedAttributes=["email"])["UserPool"]["Id"]
    clients = [
        cloud.cognito.create_user_pool_client(
            UserPoolId=pool_id, ClientName=name, ExplicitAuthFlows=["ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
        )["UserPoolClient"]["ClientId"]
        for name in ("web", "mobile")
    ]
    parameters = {
        "UserPoolId": pool_id,
        "UserPoolClientIds": ",".join(clients),
        "AllowedOrigins": ",".join(ORIGINS),
    }
    deployment = cloud.deploy(template, "own-pool", parameters)
    cloud.put_api_key(deployment, key)
    cloud.cognito.update_user_pool(
        UserPoolId=pool_id,
        AutoVerifiedAttributes=["email"],
        LambdaConfig={"PostConfirmation": deployment["OnSignupFunctionArn"]},
    )
    apps = [ChatApp(cloud, deployment, pool_id=pool_id, client_id=client) for client in clients]
    return OwnPool(deployment, pool_id, apps, ORIGINS)


def record_with_status(
    cloud: LocalStack, deployment: Deployment, user: User, status: str, *, seconds: float = SYNC_SECONDS
) -> dict[str, str]:
    """The user's record in the table once it has ``status``; an AssertionError when it has not after ``seconds``."""
    record: dict[str, str] = {}

    def reached() -> bool:
        record.clear()
        record.update(cloud.user_record(deployment, user.sub))
        return record.get("status") == status

    assert wait_until(reached, seconds), f"the record is {record or 'not there'}, not {status}"
    return record
