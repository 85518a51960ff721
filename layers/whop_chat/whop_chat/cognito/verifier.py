"""Verification of Cognito access and ID tokens.

A token must pass every check, in this order: size, form, header, key, signature, and only then the payload. The
`cryptography` package verifies the signature. The other checks follow RFC 8725 (JSON Web Token best current practices)
and the Cognito developer guide, "Verifying JSON web tokens".
"""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from whop_chat.cognito.issuer import PoolIssuer, issuer
from whop_chat.cognito.jwks import JwkSet, JwksUnavailable, UnknownKey
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.encoding import Malformed, read_base64url, read_json
from whop_chat.runtime.errors import Retryable

TokenUse = Literal["access", "id"]

# What an HTTP API passes: request line and headers have 10,240 bytes together (AWS, "Quotas for HTTP APIs"). With a
# smaller cap, a user in many groups would be sent to sign in again and again.
MAX_TOKEN_BYTES = 10 * 1024
# The clock that wrote `iat` and `nbf` may be so far ahead of ours. For `exp` no skew is allowed.
CLOCK_SKEW_SECONDS = 30

_ALGORITHM = "RS256"
_TYPES = ("JWT", "at+jwt")  # RFC 7519 section 5.1, RFC 9068 section 2.1
# The claims with the client and the user, by kind of token (Cognito developer guide, "Understanding user pool tokens").
_CLAIM_NAMES: Mapping[TokenUse, tuple[str, str]] = {
    "access": ("client_id", "username"),
    "id": ("aud", "cognito:username"),
}
# Each would change the meaning of the rest: an extension, an unencoded or compressed payload, a nested token.
_REFUSED_PARAMETERS = ("crit", "b64", "zip", "cty")


class Reason(StrEnum):
    """Why a token is not accepted. Logs and metrics contain these values, so they must not change."""

    # 401, before the signature is verified
    TOO_LARGE = "too_large"  # more than 10 KiB
    FORM = "form"  # not three parts of canonical base64url
    HEADER = "header"  # not a JSON object, a repeated member, a number that is not finite
    ALGORITHM = "algorithm"  # `alg` is not RS256
    PARAMETER = "parameter"  # `crit`, `b64`, `zip` or `cty` is present
    TYPE = "type"  # `typ` is present and is neither JWT nor at+jwt
    KEY_ID = "key_id"  # `kid` is missing or not a string
    UNKNOWN_KEY = "unknown_key"  # the pool has no key with this `kid`, or may have one, but `iss` is not the pool
    SIGNATURE = "signature"  # not made with that key
    # 401, signed by the pool
    PAYLOAD = "payload"  # not a JSON object, a repeated member, a number that is not finite
    ISSUER = "issuer"  # `iss` is not exactly the pool
    EXPIRY = "expiry"  # `exp` is missing or not a number
    EXPIRED = "expired"
    NOT_BEFORE = "not_before"  # `nbf` is present and not a number
    NOT_YET_VALID = "not_yet_valid"
    ISSUED_AT = "issued_at"  # `iat` is missing or not a number
    ISSUED_IN_FUTURE = "issued_in_future"
    TOKEN_USE = "token_use"  # noqa: S105  # nosec B105  # an ID token for an access token, or the reverse
    CLIENT = "client"  # `client_id` or `aud` is not one of the clients
    SUBJECT = "subject"  # `sub` is missing or not a non-empty string
    MACHINE = "machine"  # a client's own token: `sub` is the client, or there is no user name
    USERNAME = "username"  # the user name is not a non-empty string
    SCOPE = "scope"  # `scope` is present and not a string
    GROUPS = "groups"  # `cognito:groups` is present and not a list of strings
    # 403
    SCOPE_MISSING = "scope_missing"  # a valid token without the required scope
    # 503
    KEYS_UNAVAILABLE = "keys_unavailable"  # the pool's keys cannot be fetched now


class VerificationError(Exception):
    """The token is not accepted. ``reason`` is a value of `Reason`. The error contains no part of the token."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason: str = reason.value


class TokenRefused(VerificationError):
    """HTTP 401: the token is not valid now, or not for a user of this pool and these clients."""


class TokenNotAllowed(VerificationError):
    """HTTP 403: the token is valid, but lacks the required scope."""


class KeysUnavailable(VerificationError, Retryable):
    """HTTP 503: the token cannot be verified now. ``retry_after`` is in seconds, and ``detail`` is for the log."""

    def __init__(self, *, retry_after: int, detail: str) -> None:
        super().__init__(Reason.KEYS_UNAVAILABLE)
        self.retry_after = retry_after
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Caller:
    """The user of a verified token. ``expires_at`` is in epoch seconds. The user name can be an e-mail address."""

    sub: str
    username: str = field(repr=False)
    client_id: str
    groups: tuple[str, ...]
    scopes: frozenset[str]
    expires_at: int


class TokenVerifier:
    """Verifies the tokens of one pool, of one use, for some clients.

    ``client_ids`` are the app clients whose tokens are accepted. ``required_scope`` is for access tokens only: ID
    tokens have no scopes. ``jwks`` has the keys of this pool. ``pool_issuer`` is the pool's setting; tokens of the
    other form are refused. ``clock`` returns epoch seconds. Raises `ValueError` or `TypeError` for a configuration that
    would accept no token or too many.
    """

    def __init__(
        self,
        *,
        pool_id: str,
        client_ids: Collection[str],
        token_use: TokenUse,
        jwks: JwkSet,
        required_scope: str | None = None,
        pool_issuer: PoolIssuer = "original",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._issuer = issuer(pool_id, pool_issuer)
        self._client_ids = _allow_list(client_ids)
        if token_use not in _CLAIM_NAMES:
            raise ValueError("token_use is access or id")
        self._token_use = token_use
        self._client_claim, self._username_claim = _CLAIM_NAMES[token_use]
        of_id_tokens = token_use == "id"  # noqa: S105  # nosec B105  # the kind
        if required_scope is not None and (not required_scope or " " in required_scope or of_id_tokens):
            raise ValueError("required_scope is one scope, and of access tokens only")
        self._required_scope = required_scope
        self._jwks = jwks
        self._clock = clock

    def verify(self, token: str, *, deadline: Deadline) -> Caller:
        """The user of ``token``, which is in the compact form, without "Bearer".

        Raises `TokenRefused`, `TokenNotAllowed` or `KeysUnavailable`. May fetch the keys, within ``deadline``.
        """
        jws = _read_jws(token)
        self._verify_signature(jws, deadline)
        claims = _read_object(jws.payload, Reason.PAYLOAD)
        _check(claims.get("iss") == self._issuer, Reason.ISSUER)
        expires_at = _check_times(claims, self._clock())
        caller = self._caller(claims, expires_at)
        if self._required_scope is not None and self._required_scope not in caller.scopes:
            raise TokenNotAllowed(Reason.SCOPE_MISSING)
        return caller

    def _verify_signature(self, jws: "_Jws", deadline: Deadline) -> None:
        try:
            key = self._jwks.key(jws.kid, deadline=deadline)
        except UnknownKey:
            raise TokenRefused(Reason.UNKNOWN_KEY) from None
        except JwksUnavailable as error:
            # Not verified, so it decides only this: a token of another issuer is refused, whatever keys there are.
            unverified = _read_object(jws.payload, Reason.UNKNOWN_KEY)
            _check(unverified.get("iss") == self._issuer, Reason.UNKNOWN_KEY)
            raise KeysUnavailable(retry_after=error.retry_after, detail=error.detail) from None
        try:
            key.verify(jws.signature, jws.signed, PKCS1v15(), SHA256())
        except InvalidSignature:
            raise TokenRefused(Reason.SIGNATURE) from None

    def _caller(self, claims: Mapping[str, object], expires_at: int) -> Caller:
        _check(claims.get("token_use") == self._token_use, Reason.TOKEN_USE)
        client_id = _text(claims.get(self._client_claim), Reason.CLIENT)
        _check(client_id in self._client_ids, Reason.CLIENT)
        sub = _text(claims.get("sub"), Reason.SUBJECT)
        # In a token of a client credentials grant, `sub` is the client id, and there is no user name.
        _check(sub != client_id and self._username_claim in claims, Reason.MACHINE)
        return Caller(
            sub=sub,
            username=_text(claims[self._username_claim], Reason.USERNAME),
            client_id=client_id,
            groups=_groups(claims),
            scopes=_scopes(claims),
            expires_at=expires_at,
        )


def _allow_list(client_ids: Collection[str]) -> frozenset[str]:
    # A string is also a collection of strings: its characters.
    if isinstance(client_ids, str | bytes):
        raise TypeError("client_ids is a collection of client ids, not one")
    allowed = frozenset(client_ids)
    if not allowed or not all(allowed):
        raise ValueError("client_ids names at least one client, and none of them is empty")
    return allowed


@dataclass(frozen=True, slots=True, repr=False)
class _Jws:
    """The parts of a token with an acceptable header. They are not verified yet."""

    kid: str
    payload: bytes
    signed: bytes
    signature: bytes


def _read_jws(token: str) -> _Jws:
    _check(len(token) <= MAX_TOKEN_BYTES, Reason.TOO_LARGE)
    parts = token.split(".")
    _check(len(parts) == 3 and all(parts), Reason.FORM)
    try:
        header, payload, signature = map(read_base64url, parts)
    except Malformed:
        raise TokenRefused(Reason.FORM) from None
    kid = _check_header(_read_object(header, Reason.HEADER))
    return _Jws(kid, payload, token.rpartition(".")[0].encode(), signature)


def _check_header(header: Mapping[str, object]) -> str:
    """The key id. A key that the token contains or refers to (`jwk`, `jku`, `x5c`, `x5u`) is never used."""
    _check(header.get("alg") == _ALGORITHM, Reason.ALGORITHM)
    _check(not any(name in header for name in _REFUSED_PARAMETERS), Reason.PARAMETER)
    _check("typ" not in header or header["typ"] in _TYPES, Reason.TYPE)
    return _text(header.get("kid"), Reason.KEY_ID)


def _check_times(claims: Mapping[str, object], now: float) -> int:
    """The expiry in whole epoch seconds, of a token that is valid now (RFC 7519 section 4.1.4 to 4.1.6).

    Raises `TokenRefused`.
    """
    expires_at = _number(claims.get("exp"), Reason.EXPIRY)
    _check(now < expires_at, Reason.EXPIRED)
    if "nbf" in claims:
        _check(_number(claims["nbf"], Reason.NOT_BEFORE) <= now + CLOCK_SKEW_SECONDS, Reason.NOT_YET_VALID)
    _check(_number(claims.get("iat"), Reason.ISSUED_AT) <= now + CLOCK_SKEW_SECONDS, Reason.ISSUED_IN_FUTURE)
    return int(expires_at)


def _groups(claims: Mapping[str, object]) -> tuple[str, ...]:
    groups = claims.get("cognito:groups", [])
    if not isinstance(groups, list):
        raise TokenRefused(Reason.GROUPS)
    return tuple(_text(group, Reason.GROUPS) for group in groups)


def _scopes(claims: Mapping[str, object]) -> frozenset[str]:
    """The space-separated scopes (RFC 6749 section 3.3)."""
    scope = claims.get("scope", "")
    if not isinstance(scope, str):
        raise TokenRefused(Reason.SCOPE)
    return frozenset(filter(None, scope.split(" ")))


def _read_object(data: bytes, reason: Reason) -> dict[str, object]:
    try:
        value = read_json(data)
    except Malformed:
        raise TokenRefused(reason) from None
    if not isinstance(value, dict):
        raise TokenRefused(reason)
    return value


def _number(value: object, reason: Reason) -> int | float:
    # `bool` is an `int` in Python, but not a number in JSON.
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TokenRefused(reason)
    return value


def _text(value: object, reason: Reason) -> str:
    if not isinstance(value, str) or not value:
        raise TokenRefused(reason)
    return value


def _check(passed: bool, reason: Reason) -> None:
    if not passed:
        raise TokenRefused(reason)
