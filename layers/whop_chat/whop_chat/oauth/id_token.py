"""Verification of Whop's ID tokens (OpenID Connect Core, section 3.1.3.7). Their signature is ES256, and nothing else.

`joserfc` verifies the signature. Everything else is as strict as for Cognito's tokens: strict JSON, the exact issuer,
one audience, the nonce of this very link, and no skew for the expiry.
"""

import hmac
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from whop_chat.oauth.errors import LinkFailed
from whop_chat.runtime.encoding import Malformed, read_base64url, read_json

MAX_TOKEN_BYTES = 16 * 1024
CLOCK_SKEW_SECONDS = 30
_ALGORITHM = "ES256"
# Each would change the meaning of the rest, or bring a key of its own.
_REFUSED_PARAMETERS = ("crit", "b64", "zip", "cty", "jwk", "jku", "x5c", "x5u")
_WHOP_USER = r"user_[A-Za-z0-9]{1,64}"


@dataclass(frozen=True, slots=True)
class WhopProfile:
    """The Whop account that a user signed in to, for the app to show. Only the id is sure to be there."""

    id: str
    name: str | None = field(default=None, repr=False)
    username: str | None = field(default=None, repr=False)
    picture: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, claims: Mapping[str, Any]) -> "WhopProfile":
        """The account of ``claims``, of an ID token or of userinfo."""
        names = ("name", "preferred_username", "picture")
        return cls(str(claims.get("sub")), *(_short_text(claims.get(name)) for name in names))


class IdTokenVerifier:
    """Verifies ID tokens of one issuer for one client. ``clock`` returns epoch seconds."""

    def __init__(self, *, issuer: str, client_id: str, clock: Callable[[], float] = time.time) -> None:
        self._issuer = issuer
        self._client_id = client_id
        self._clock = clock

    def verify(self, id_token: str | None, key_set: Mapping[str, Any], *, nonce: str) -> WhopProfile:
        """The Whop account of ``id_token``. Raises `LinkFailed`, whose reason contains no part of the token."""
        claims = self._signed_claims(id_token, key_set)
        _check(claims.get("iss") == self._issuer, "issuer")
        _check(claims.get("aud") in (self._client_id, [self._client_id]), "audience")
        _check(claims.get("azp", self._client_id) == self._client_id, "authorized_party")
        sent = claims.get("nonce")
        _check(isinstance(sent, str) and hmac.compare_digest(sent.encode(), nonce.encode()), "nonce")
        self._check_times(claims)
        sub = claims.get("sub")
        _check(isinstance(sub, str) and re.fullmatch(_WHOP_USER, sub) is not None, "subject")
        return WhopProfile.of(claims)

    def _signed_claims(self, id_token: str | None, key_set: Mapping[str, Any]) -> Mapping[str, Any]:
        if id_token is None or len(id_token) > MAX_TOKEN_BYTES:
            raise LinkFailed("id_token: missing or too large")
        header = _read_object(id_token.partition(".")[0])
        _check(header.get("alg") == _ALGORITHM, "algorithm")
        _check(not any(name in header for name in _REFUSED_PARAMETERS), "parameter")
        _check(header.get("typ", "JWT") == "JWT", "type")
        try:
            key = _key(key_set, header.get("kid"))
            jws.deserialize_compact(id_token, key, algorithms=[_ALGORITHM])
        except (JoseError, ValueError, TypeError, KeyError):
            raise LinkFailed("id_token: signature") from None
        return _read_object(id_token.split(".")[1])

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now = self._clock()
        expires_at, issued_at = _number(claims.get("exp")), _number(claims.get("iat"))
        not_before = _number(claims.get("nbf", issued_at))
        _check(now < expires_at, "expired")
        _check(max(issued_at, not_before) <= now + CLOCK_SKEW_SECONDS, "not_yet_valid")


def _key(key_set: Mapping[str, Any], kid: object) -> ECKey:
    """The one P-256 key with this id. Raises `ValueError`, `TypeError`, `KeyError` or `JoseError`."""
    found = [
        entry
        for entry in key_set["keys"]
        if isinstance(entry, dict)
        and isinstance(kid, str)
        and entry.get("kid") == kid
        and (entry.get("kty"), entry.get("crv")) == ("EC", "P-256")
        and entry.get("use", "sig") == "sig"
        and entry.get("alg", _ALGORITHM) == _ALGORITHM
    ]
    (entry,) = found
    return ECKey.import_key({name: entry[name] for name in ("kty", "crv", "x", "y")})


def _read_object(part: str) -> Mapping[str, Any]:
    try:
        value = read_json(read_base64url(part))
    except Malformed:
        value = None
    if not isinstance(value, dict):
        raise LinkFailed("id_token: form")
    return value


def _number(value: object) -> int | float:
    # `bool` is an `int` in Python, but not a number in JSON.
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise LinkFailed("id_token: times")
    return value


def _short_text(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= 500 else None


def _check(passed: bool, reason: str) -> None:
    if not passed:
        raise LinkFailed(f"id_token: {reason}")
