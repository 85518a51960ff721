"""Tokens and keys for tests, made when they are needed.

The signing here is PyJWT's, not the package's: what the verifier accepts was made by somebody else.
"""

import base64
import functools
import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

POOL_ID = "eu-west-1_Ab3dEf6Gh"
ISSUER = f"https://cognito-idp.eu-west-1.amazonaws.com/{POOL_ID}"
CLIENT_ID = "1example23456789"
OTHER_CLIENT_ID = "9another87654321"
SUB = "0a1b2c3d-4e5f-6789-abcd-ef0123456789"
USERNAME = "ada"
# The moment at which the tests take place, unless they say otherwise.
NOW = 1_800_000_000


@dataclass(frozen=True)
class SigningKey:
    """A private key and the id under which a pool publishes its public half."""

    kid: str
    private: rsa.RSAPrivateKey

    def sign(self, data: bytes) -> bytes:
        return self.private.sign(data, padding.PKCS1v15(), SHA256())

    def jwk(self, **changes: object) -> dict[str, object]:
        """The public half as Cognito publishes it; a change to None leaves the member out."""
        numbers = self.private.public_key().public_numbers()
        return jwk(self.kid, numbers.n, numbers.e, **changes)


def signing_key(name: str = "current") -> SigningKey:
    """The key of this name, generated once for all tests."""
    return _generated_key(name)


@functools.cache
def _generated_key(name: str) -> SigningKey:
    kid = base64.b64encode(hashlib.sha256(name.encode()).digest()).decode()
    return SigningKey(kid, rsa.generate_private_key(public_exponent=65537, key_size=2048))


def jwk(kid: str, modulus: int, exponent: int = 65537, /, **changes: object) -> dict[str, object]:
    """A public RSA key as an entry of a key set."""
    entry: dict[str, object] = {
        "kty": "RSA",
        "use": "sig",
        "alg": "RS256",
        "kid": kid,
        "n": _uint(modulus),
        "e": _uint(exponent),
    }
    return _changed(entry, changes)


def key_set_document(*entries: SigningKey | Mapping[str, object]) -> bytes:
    """What `/.well-known/jwks.json` answers."""
    keys = [entry.jwk() if isinstance(entry, SigningKey) else entry for entry in entries]
    return json.dumps({"keys": keys}).encode()


def access_claims(changes: Mapping[str, object] | None = None, *, now: int = NOW) -> dict[str, object]:
    """The claims of an access token that Cognito issued a minute ago; a change to None leaves the claim out."""
    claims: dict[str, object] = {
        "sub": SUB,
        "iss": ISSUER,
        "client_id": CLIENT_ID,
        "origin_jti": str(uuid.UUID(int=1)),
        "event_id": str(uuid.UUID(int=2)),
        "token_use": "access",
        "scope": "aws.cognito.signin.user.admin",
        "auth_time": now - 60,
        "exp": now + 3540,
        "iat": now - 60,
        "jti": str(uuid.UUID(int=3)),
        "username": USERNAME,
    }
    return _changed(claims, changes or {})


def id_claims(changes: Mapping[str, object] | None = None, *, now: int = NOW) -> dict[str, object]:
    """The claims of an ID token that Cognito issued a minute ago; a change to None leaves the claim out."""
    claims: dict[str, object] = {
        "sub": SUB,
        "email_verified": True,
        "iss": ISSUER,
        "cognito:username": USERNAME,
        "origin_jti": str(uuid.UUID(int=1)),
        "aud": CLIENT_ID,
        "token_use": "id",
        "auth_time": now - 60,
        "exp": now + 3540,
        "iat": now - 60,
        "jti": str(uuid.UUID(int=4)),
        "email": "ada@example.test",
    }
    return _changed(claims, changes or {})


def sign(claims: Mapping[str, Any], key: SigningKey | None = None, **header: object) -> str:
    """A token as Cognito makes it: `alg` and `kid`, no `typ`; ``header`` changes that."""
    key = key or signing_key()
    return jwt.encode(dict(claims), key.private, algorithm="RS256", headers={"kid": key.kid, "typ": None, **header})


def sign_raw(header: bytes | Mapping[str, object], payload: bytes | Mapping[str, object], key: SigningKey) -> str:
    """A token with a good signature over anything at all."""
    signed = f"{base64url(_serialised(header))}.{base64url(_serialised(payload))}"
    return f"{signed}.{base64url(key.sign(signed.encode()))}"


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _serialised(part: bytes | Mapping[str, object]) -> bytes:
    return part if isinstance(part, bytes) else json.dumps(part).encode()


def _uint(value: int) -> str:
    return base64url(value.to_bytes((value.bit_length() + 7) // 8 or 1))


def _changed(members: dict[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in {**members, **changes}.items() if value is not None}
