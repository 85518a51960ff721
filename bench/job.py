"""The job of every candidate: exchange a Cognito access token for a Whop token of the same user.

All candidates serve one user of one pool. Each invocation gets a new token, so no cache can answer it.
"""

import json
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

ROOT = Path(__file__).resolve().parent.parent

REGION = "eu-west-1"
ACCOUNT = "123456789012"
POOL = f"{REGION}_Ab3dEf6Gh"
CLIENT = "1example23456789"
SUB = "0a1b2c3d-4e5f-6789-abcd-ef0123456789"
USERNAME = "ada"
TABLE = "users"
QUEUE_URL = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/sync"
DEAD_LETTER_QUEUE_URL = f"{QUEUE_URL}-dead"
SECRET_ARN = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:whop-AbCdEf"
COMPANY = "biz_Benchmark"
WHOP_USER = "user_Benchmark"
# Not secret: only the stubs know the two.
API_KEY = "key-of-the-stub"
WHOP_TOKEN = "token-of-the-stub"  # noqa: S105

COGNITO_HOST = f"cognito-idp.{REGION}.amazonaws.com"
SECRETS_HOST = f"secretsmanager.{REGION}.amazonaws.com"
TABLE_HOST = f"dynamodb.{REGION}.amazonaws.com"
QUEUE_HOST = f"sqs.{REGION}.amazonaws.com"
WHOP_HOST = "api.whop.com"
HOSTS = (COGNITO_HOST, SECRETS_HOST, TABLE_HOST, QUEUE_HOST, WHOP_HOST)

ISSUER = f"https://{COGNITO_HOST}/{POOL}"


class Pool:
    """The user pool. It signs tokens and publishes its key."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._kid = uuid.uuid4().hex

    @property
    def public_key(self) -> rsa.RSAPublicKey:
        """The key that verifies its tokens."""
        return self._key.public_key()

    def key_set(self) -> bytes:
        """The content of the pool's ``jwks.json``."""
        key = RSAAlgorithm.to_jwk(self.public_key, as_dict=True)
        return json.dumps({"keys": [{**key, "use": "sig", "alg": "RS256", "kid": self._kid}]}).encode()

    def access_token(self) -> str:
        """A new access token of the user, as Cognito writes it."""
        now = int(time.time())
        claims = {
            "sub": SUB, "iss": ISSUER, "client_id": CLIENT, "token_use": "access", "username": USERNAME,
            "scope": "aws.cognito.signin.user.admin", "auth_time": now, "iat": now, "exp": now + 3600,
            "origin_jti": str(uuid.uuid4()), "event_id": str(uuid.uuid4()), "jti": str(uuid.uuid4()),
        }  # fmt: skip
        return self.signed(claims)

    def signed(self, claims: Mapping[str, object], **header: object) -> str:
        """A token with these claims, and with more members in its header."""
        return jwt.encode(dict(claims), self._key, "RS256", headers={"kid": self._kid, "typ": None, **header})


def mint_event(pool: Pool) -> bytes:
    """The event of a request to ``POST /chat/token``, as the HTTP API sends it."""
    event = _event("mint_token")
    event["headers"]["authorization"] = f"Bearer {pool.access_token()}"
    return json.dumps(event).encode()


def sign_up_event() -> bytes:
    """The event of Cognito's PostConfirmation trigger."""
    return json.dumps(_event("post_confirmation_sign_up")).encode()


def _event(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text())
    return event
