"""The job of every candidate: a Cognito access token in, a Whop token for that user out.

One user of one pool, the same for all; each invocation gets a token of its own, so that no cache can answer for it.
"""

import base64
import json
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

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
# Opens nothing: both are known to the stubs alone.
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
    """The user pool: it signs tokens and publishes its key."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._kid = uuid.uuid4().hex

    def key_set(self) -> bytes:
        """What the pool serves as ``jwks.json``."""
        numbers = self._key.public_key().public_numbers()
        key = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self._kid}
        return json.dumps({"keys": [key | {"n": _number(numbers.n), "e": _number(numbers.e)}]}).encode()

    def access_token(self) -> str:
        """A new access token of the user, as Cognito writes it."""
        now = int(time.time())
        claims = {
            "sub": SUB, "iss": ISSUER, "client_id": CLIENT, "token_use": "access", "username": USERNAME,
            "scope": "aws.cognito.signin.user.admin", "auth_time": now, "iat": now, "exp": now + 3600,
            "origin_jti": str(uuid.uuid4()), "event_id": str(uuid.uuid4()), "jti": str(uuid.uuid4()),
        }  # fmt: skip
        signed = f"{_part({'kid': self._kid, 'alg': 'RS256'})}.{_part(claims)}"
        return f"{signed}.{_base64url(self._key.sign(signed.encode(), PKCS1v15(), SHA256()))}"


def mint_event(pool: Pool) -> bytes:
    """A request of the HTTP API to ``POST /chat/token``, as the Lambda service hands it over."""
    event = _event("mint_token")
    event["headers"]["authorization"] = f"Bearer {pool.access_token()}"
    return json.dumps(event).encode()


def sign_up_event() -> bytes:
    """Cognito's call of the PostConfirmation trigger."""
    return json.dumps(_event("post_confirmation_sign_up")).encode()


def _event(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text())
    return event


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int) -> str:
    return _base64url(value.to_bytes((value.bit_length() + 7) // 8))


def _part(content: Mapping[str, object]) -> str:
    return _base64url(json.dumps(content, separators=(",", ":")).encode())
