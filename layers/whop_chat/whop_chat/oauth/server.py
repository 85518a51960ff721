"""Whop's OAuth server: code exchange, refresh, revocation, the user's profile and the keys of ID tokens.

Whop documents JSON bodies (Whop, "OAuth"). A client secret is sent only if there is one.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from whop_chat.oauth.authorization import OAuthClient
from whop_chat.oauth.errors import InvalidGrant
from whop_chat.runtime.aws_session import AwsClients
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.encoding import Malformed, read_json
from whop_chat.runtime.errors import TransportError
from whop_chat.runtime.http import HttpClient, Response
from whop_chat.runtime.metrics import KEY_REFUSED
from whop_chat.runtime.secrets import CachedSecret
from whop_chat.runtime.telemetry import Telemetry
from whop_chat.whop.api_key import NotConfigured
from whop_chat.whop.errors import (
    OAuthOperation,
    WhopError,
    WhopForbidden,
    WhopInvalidResponse,
    WhopRateLimited,
    WhopRefused,
    WhopUnauthorized,
    WhopUnavailable,
)

_MAX_RESPONSE_BYTES = 64 * 1024
_MAX_LIFETIME_SECONDS = 24 * 3600
_DEFAULT_WAIT_SECONDS = 10
_MAX_WAIT_SECONDS = 900


@dataclass(frozen=True, slots=True)
class TokenResponse:
    """What Whop grants (RFC 6749, section 5.1). ``scopes`` is None if Whop does not name them: then as requested."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int
    scopes: frozenset[str] | None
    id_token: str | None = field(default=None, repr=False)


class OAuthServer:
    """Whop's OAuth server at ``base_url``, for one app.

    ``secret`` has no text for a public client. A refused client counts as `KEY_REFUSED`, like a refused API key.
    Methods raise the errors of `whop_chat.whop.errors`, `NotConfigured`, `whop_chat.runtime.aws.AwsError` and
    `whop_chat.runtime.deadline.DeadlineExceeded`.
    """

    def __init__(
        self,
        http: HttpClient,
        client: OAuthClient,
        telemetry: Telemetry,
        *,
        base_url: str,
        secret: CachedSecret[str],
    ) -> None:
        self._http = http
        self._telemetry = telemetry
        self.client = client
        self.base_url = base_url
        self._secret = secret

    def exchange(self, code: str, verifier: str, *, deadline: Deadline) -> TokenResponse:
        """Exchange an authorization code. Raises `InvalidGrant` for a code that is not good for this verifier."""
        redirect_uri = self.client.redirect_uri
        body = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        return self._token({**body, "code_verifier": verifier}, deadline)

    def refresh(self, refresh_token: str, *, deadline: Deadline) -> TokenResponse:
        """Exchange a refresh token, which Whop then replaces. Raises `InvalidGrant` if Whop no longer accepts it."""
        return self._token({"grant_type": "refresh_token", "refresh_token": refresh_token}, deadline)

    def revoke(self, refresh_token: str, *, deadline: Deadline) -> None:
        """Revoke a refresh token (RFC 7009). One that Whop does not know is as good as revoked."""
        try:
            self._as_client("oauth_revoke", "/oauth/revoke", {"token": refresh_token}, _ignored, deadline)
        except InvalidGrant:
            return

    def userinfo(self, access_token: str, *, deadline: Deadline) -> Mapping[str, Any]:
        """The profile of the token's user (OpenID Connect Core, section 5.3)."""
        headers = {"Authorization": f"Bearer {access_token}"}
        return self._get("oauth_userinfo", "/oauth/userinfo", headers, deadline)

    def key_set(self, *, deadline: Deadline) -> Mapping[str, Any]:
        """The document with the public keys of ID tokens."""
        return self._get("oauth_keys", "/.well-known/jwks.json", {}, deadline)

    def _token(self, body: Mapping[str, str], deadline: Deadline) -> TokenResponse:
        return self._as_client("oauth_token", "/oauth/token", body, _token_response, deadline)

    def _as_client[T](
        self,
        operation: OAuthOperation,
        path: str,
        body: Mapping[str, str],
        parse: Callable[[Any], T],
        deadline: Deadline,
    ) -> T:
        """POST ``body`` as this client. A secret that Whop refuses is read again, and the call repeated, once."""
        secret = self._secret.current(deadline=deadline)
        try:
            return self._post(operation, path, body, secret, parse, deadline)
        except WhopUnauthorized:
            newer = self._secret.after_refusal(secret, deadline=deadline)
            if newer is None:
                self._telemetry.count(KEY_REFUSED)
                raise
        try:
            return self._post(operation, path, body, newer, parse, deadline)
        except WhopUnauthorized:
            self._telemetry.count(KEY_REFUSED)
            raise

    def _post[T](
        self,
        operation: OAuthOperation,
        path: str,
        body: Mapping[str, str],
        secret: str,
        parse: Callable[[Any], T],
        deadline: Deadline,
    ) -> T:
        identified = {**body, "client_id": self.client.client_id, **({"client_secret": secret} if secret else {})}
        headers = {"Content-Type": "application/json"}
        return self._exchange(operation, "POST", path, headers, json.dumps(identified).encode(), parse, deadline)

    def _get(
        self, operation: OAuthOperation, path: str, headers: Mapping[str, str], deadline: Deadline
    ) -> Mapping[str, Any]:
        return self._exchange(operation, "GET", path, headers, b"", _object, deadline)

    def _exchange[T](
        self,
        operation: OAuthOperation,
        method: str,
        path: str,
        headers: Mapping[str, str],
        content: bytes,
        parse: Callable[[Any], T],
        deadline: Deadline,
    ) -> T:
        try:
            response = self._http.request(
                method,
                f"{self.base_url}{path}",
                headers={"Accept": "application/json", **headers},
                content=content,
                deadline=deadline,
                max_bytes=_MAX_RESPONSE_BYTES,
            )
        except TransportError as error:
            raise WhopUnavailable(operation, code=error.reason) from None
        if response.status_code not in (200, 201, 204):
            raise _error_of(operation, response)
        try:
            return parse(None if response.status_code == 204 else _json(response))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise WhopInvalidResponse(operation, status=response.status_code) from None


def client_secret(aws: AwsClients, secret_arn: str) -> CachedSecret[str]:
    """The client secret of the app, as plain text. It is empty for a public client, whose secret has no value.

    Its `current` raises `NotConfigured` for a text that cannot be a secret.
    """
    return CachedSecret(aws, secret_arn, _secret_text)


def _secret_text(answer: Mapping[str, Any]) -> str:
    text = answer.get("SecretString")
    secret = text.strip() if isinstance(text, str) else ""
    if not all("!" <= character <= "~" for character in secret):
        raise NotConfigured("the OAuth client secret is not one word of visible ASCII")
    return secret


def _error_of(operation: OAuthOperation, response: Response) -> WhopError:
    """The error for a response without success (RFC 6749, section 5.2).

    Only the parsed code ``invalid_grant`` says that a grant is over. A 401 without it is about this server's client.
    """
    status, code = response.status_code, _error_code(response)
    if status == 429 or code == "rate_limit_exceeded":
        return WhopRateLimited(operation, _wait(response), code=code)
    if status >= 500 or status in (408, 425):
        return WhopUnavailable(operation, status=status, code=code)
    if code == "invalid_grant":
        return InvalidGrant(operation, status=status, code=code)
    if status == 401 or code in ("invalid_client", "unauthorized_client"):
        return WhopUnauthorized(operation, status=status, code=code)
    if status == 403:
        return WhopForbidden(operation, status=status, code=code)
    if status >= 400:
        return WhopRefused(operation, status=status, code=code)
    return WhopInvalidResponse(operation, status=status)


def _error_code(response: Response) -> str | None:
    try:
        code = _object(_json(response)).get("error")
    except (ValueError, TypeError):
        return None
    return code if isinstance(code, str) and code.isascii() and code.replace("_", "").isalnum() else None


def _wait(response: Response) -> int:
    text = response.headers.get("retry-after", "")
    seconds = int(text) if text.isascii() and text.isdigit() and len(text) < 7 else _DEFAULT_WAIT_SECONDS
    return min(max(seconds, 1), _MAX_WAIT_SECONDS)


def _json(response: Response) -> object:
    try:
        return read_json(response.content)
    except Malformed:
        raise ValueError("not JSON") from None


def _object(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("not an object")
    return value


def _ignored(_value: object) -> None:
    return None


def _token_response(value: object) -> TokenResponse:
    answer = _object(value)
    if str(answer["token_type"]).lower() != "bearer":
        raise ValueError("not a bearer token")
    lifetime = answer["expires_in"]
    if type(lifetime) not in (int, float) or not 0 < lifetime <= _MAX_LIFETIME_SECONDS:
        raise ValueError("no usable lifetime")
    scope, id_token = answer.get("scope"), answer.get("id_token")
    return TokenResponse(
        _text(answer["access_token"]),
        _text(answer["refresh_token"]),
        int(lifetime),
        None if scope is None else frozenset(_text(scope).split()),
        None if id_token is None else _text(id_token),
    )


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("not a text")
    return value
