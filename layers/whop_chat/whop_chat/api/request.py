"""Read a request from an HTTP API event (payload format 2.0)."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from whop_chat.runtime.encoding import Malformed, read_json

MAX_BODY_BYTES = 4096
_ONLY_MEMBER = "features"
_WHITE_SPACE = " \t"  # what may surround a field value (RFC 9110, section 5.5)


class BadRequest(Exception):
    """The body is not valid. The message says what the endpoint accepts, and repeats nothing of the body."""


class BodyTooLarge(Exception):
    """The body is longer than `MAX_BODY_BYTES`."""


class UnsupportedMediaType(Exception):
    """The Content-Type is not JSON's."""


class MissingToken(Exception):
    """The request has no bearer token (RFC 6750, section 2.1)."""


class AmbiguousToken(Exception):
    """The request has more than one Authorization header, or more than one token in it."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A request for a chat token: the Cognito token, and the features to narrow it to (None: all allowed ones)."""

    token: str = field(repr=False)
    features: list[str] | None

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> "ChatRequest":
        """The request in an event. Raises what `bearer_token` and `requested_features` raise."""
        return cls(bearer_token(event), requested_features(event))


def bearer_token(event: Mapping[str, Any]) -> str:
    """The token of the one Authorization header. Raises `MissingToken` or `AmbiguousToken`.

    API Gateway joins repeated headers with a comma, which no token contains (AWS, "HTTP API payload format").
    """
    values = [value for name, value in _headers(event) if name == "authorization"]
    if not values:
        raise MissingToken
    scheme, _, token = values[0].strip(_WHITE_SPACE).partition(" ")
    token = token.strip(_WHITE_SPACE)
    if scheme.lower() != "bearer" or not token:
        raise MissingToken
    if len(values) > 1 or "," in token or " " in token:
        raise AmbiguousToken
    return token


def requested_features(event: Mapping[str, Any]) -> list[str] | None:
    """The features that the body requests. None for an empty body or object, and for ``null``.

    Raises what `json_member` raises, and `BadRequest` unless they are a list of names.
    """
    features = json_member(event, _ONLY_MEMBER)
    if features is None:
        return None
    if not isinstance(features, list) or not features or not all(isinstance(item, str) for item in features):
        raise BadRequest('"features" is a list of at least one feature name')
    return features


def required_text(event: Mapping[str, Any], name: str) -> str:
    """The text of the body's only member. Raises what `json_member` raises, and `BadRequest` if there is no text."""
    value = json_member(event, name)
    if not isinstance(value, str) or not value:
        raise BadRequest(f'the body is {{"{name}": "\u2026"}}')
    return value


def json_member(event: Mapping[str, Any], name: str) -> object:
    """The only member ``name`` of the JSON body. None for an empty body or object, and for ``null``.

    Raises `BodyTooLarge`, `UnsupportedMediaType`, and `BadRequest` for any other body.
    """
    body = _body(event)
    if not body.strip():
        return None
    _require_json(event)
    try:
        document = read_json(body)
    except Malformed:
        raise BadRequest("the body is not JSON") from None
    if document is None:  # Some clients serialise the body that they do not have.
        return None
    if not isinstance(document, dict) or document.keys() - {name}:
        raise BadRequest(f'the body may hold "{name}" and nothing else')
    if name in document and document[name] is None:
        raise BadRequest(f'"{name}" is null')
    return document.get(name)


def _body(event: Mapping[str, Any]) -> bytes:
    body = event.get("body") or ""
    if not isinstance(body, str):
        raise BadRequest("the body is not text")
    if len(body) > 2 * MAX_BODY_BYTES:
        raise BodyTooLarge
    try:
        # API Gateway base64-encodes a body that it considers binary, whatever the client meant.
        data = base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
    except (binascii.Error, ValueError):
        raise BadRequest("the body is not text") from None
    if len(data) > MAX_BODY_BYTES:
        raise BodyTooLarge
    return data


def _require_json(event: Mapping[str, Any]) -> None:
    """Raise `UnsupportedMediaType` for a Content-Type that is not JSON's. A missing one counts as JSON's."""
    for name, value in _headers(event):
        if name == "content-type" and value.partition(";")[0].strip().lower() != "application/json":
            raise UnsupportedMediaType


def _headers(event: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The headers, with names in lower case. Values that API Gateway would never send are ignored."""
    headers = event.get("headers")
    if not isinstance(headers, dict):
        return []
    return [(name.lower(), value) for name, value in headers.items() if isinstance(value, str)]
