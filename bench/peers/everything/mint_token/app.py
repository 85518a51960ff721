"""The same job with everything included: resolver, validation, parameters, boto3, PyJWKClient and Whop's SDK.

What its libraries' guides show first, done right: one client of each kind, kept; the token verified in full; the table
read strongly consistent.
"""

import functools
import os
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import boto3
import jwt
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.event_handler.exceptions import ForbiddenError, UnauthorizedError
from aws_lambda_powertools.event_handler.openapi.params import Body
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities import parameters
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, ConfigDict
from whop_sdk import Whop

SCOPES = {
    "channels": ["chat:read", "chat:message:create"],
    "dms": ["dms:read", "dms:message:manage", "dms:channel:manage"],
    "support": ["support_chat:read", "support_chat:message:create"],
}
POOL = os.environ["USER_POOL_ID"]
CLIENTS = os.environ["USER_POOL_CLIENT_IDS"].split(",")
ISSUER = f"https://cognito-idp.{os.environ['AWS_REGION']}.amazonaws.com/{POOL}"

logger = Logger()
metrics = Metrics()
app = APIGatewayHttpResolver(enable_validation=True)
dynamodb = boto3.client("dynamodb")
keys = jwt.PyJWKClient(f"{ISSUER}/.well-known/jwks.json", lifespan=3600)

Feature = Literal["channels", "dms", "support"]


class ChatTokenRequest(BaseModel):
    """What a request may ask for."""

    model_config = ConfigDict(extra="forbid")

    features: list[Feature] = ["channels", "dms", "support"]


class ChatToken(BaseModel):
    """What it gets."""

    token: str
    expires_at: datetime
    refresh_after: datetime
    scopes: list[str]


@functools.cache
def whop() -> Whop:
    """Whop's client; it asks for the key at each call, and `parameters` keeps it for five minutes."""
    return Whop(token=lambda: str(parameters.get_secret(os.environ["WHOP_SECRET_ARN"], max_age=300)))


def caller(authorization: str) -> dict[str, Any]:
    """The claims of the access token."""
    token = authorization.removeprefix("Bearer ")
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            keys.get_signing_key_from_jwt(token),
            algorithms=["RS256"],
            issuer=ISSUER,
            options={"require": ["exp", "iat", "iss", "sub"], "verify_aud": False},
        )
    except jwt.PyJWTError as error:
        raise UnauthorizedError("invalid token") from error
    if claims.get("token_use") != "access" or claims.get("client_id") not in CLIENTS or not claims.get("username"):
        raise UnauthorizedError("invalid token")
    return claims


@app.post("/chat/token")
def chat_token(request: Annotated[ChatTokenRequest | None, Body()] = None) -> ChatToken:
    """A token for the caller."""
    claims = caller(app.current_event.headers["authorization"])
    item = dynamodb.get_item(
        TableName=os.environ["USERS_TABLE"],
        Key={"pk": {"S": f"USER#{POOL}#{claims['sub']}"}},
        ConsistentRead=True,
    ).get("Item")
    if item is None or item["status"]["S"] != "linked":
        raise ForbiddenError("not enrolled")
    now = datetime.now(UTC)
    scopes = sorted(scope for feature in (request or ChatTokenRequest()).features for scope in SCOPES[feature])
    granted = whop().access_tokens.create(
        account_id=os.environ["WHOP_COMPANY_ID"],
        user_id=item["whop_user_id"]["S"],
        scoped_actions=scopes,
        expires_at=now + timedelta(minutes=int(os.environ["TOKEN_TTL_MINUTES"])),
    )
    metrics.add_metric("TokenMinted", MetricUnit.Count, 1)
    logger.info("token minted", sub=claims["sub"])
    return ChatToken(
        token=granted.token,
        expires_at=granted.expires_at,
        refresh_after=now + (granted.expires_at - now) * 0.8,
        scopes=scopes,
    )


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request of the HTTP API."""
    return app.resolve(event, context)
