"""Parsers of Whop's answers. They refuse an answer only for what they read of it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from whop_chat.runtime.http import Response
from whop_chat.whop.errors import (
    Operation,
    WhopConflict,
    WhopError,
    WhopForbidden,
    WhopInvalidResponse,
    WhopNotFound,
    WhopRateLimited,
    WhopRefused,
    WhopUnauthorized,
    WhopUnavailable,
)

_DEFAULT_WAIT_SECONDS = 10
_MAX_WAIT_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Account:
    """A connected account. ``user_id`` is the Whop user who owns it."""

    id: str
    user_id: str
    email: str | None = field(repr=False)
    external_id: str | None
    parent_id: str | None


@dataclass(frozen=True, slots=True)
class UserToken:
    """A company-scoped user token: opaque, valid until ``expires_at`` (aware, UTC)."""

    token: str
    expires_at: datetime

    def __repr__(self) -> str:
        return f"UserToken(expires_at={self.expires_at.isoformat()})"


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file that is not uploaded yet. A PUT of its content to ``upload_url`` needs all of ``upload_headers``."""

    id: str
    upload_url: str = field(repr=False)
    upload_headers: Mapping[str, str] = field(repr=False)


# RFC 9110, section 15.5.9, and RFC 8470, section 5.2: the request may be sent again as it is.
_NOT_PROCESSED = (408, 425)
_REFUSALS: Mapping[int, type[WhopRefused]] = {
    401: WhopUnauthorized,
    403: WhopForbidden,
    404: WhopNotFound,
    409: WhopConflict,
}


def replayed(response: Response) -> bool:
    return bool(response.headers.get("idempotent-replayed", "").lower() == "true")


def nothing(_answer: Any) -> None:
    """The parser for calls whose answer has no data."""


def user_token(answer: Any) -> UserToken:
    expires_at = datetime.fromisoformat(_nonempty(answer["expires_at"]))
    if expires_at.tzinfo is None:
        raise ValueError("a time without a zone")
    return UserToken(token=_nonempty(answer["token"]), expires_at=expires_at.astimezone(UTC))


def account(answer: Any) -> Account:
    # /accounts names the owner `owner`, the older /companies `owner_user` (Whop, "Chat quickstart").
    owner = answer.get("owner") or answer["owner_user"]
    parent = answer.get("parent_account") or {}
    return Account(
        id=_nonempty(answer["id"]),
        user_id=_nonempty(owner["id"]),
        email=_optional(answer.get("email")),
        external_id=_external_id(answer),
        parent_id=_optional(parent.get("id")),
    )


def new_file(answer: Any) -> NewFile:
    headers = {_nonempty(name): _nonempty(value) for name, value in (answer.get("upload_headers") or {}).items()}
    return NewFile(_nonempty(answer["id"]), _nonempty(answer["upload_url"]), headers)


def upload_status(answer: Any) -> str:
    return _nonempty(answer["upload_status"])


def _external_id(answer: Mapping[str, Any]) -> str | None:
    """The ``external_id`` of the account, or else of its metadata."""
    return _optional(answer.get("external_id") or (answer.get("metadata") or {}).get("external_id"))


def bears(row: Any, external_id: str) -> bool:
    """Whether ``row`` is an account with this id. A malformed row of another account is not an error."""
    try:
        return _external_id(row) == external_id
    except (AttributeError, TypeError, ValueError):
        return False


def rows(answer: Any) -> list[Any]:
    rows = answer["data"]
    if not isinstance(rows, list):
        raise TypeError("not a list")
    return rows


def _nonempty(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("not a text")
    value.encode()  # Raises for half of a surrogate pair, which JSON can escape but no request can contain.
    return value


def _optional(value: Any) -> str | None:
    return None if value in (None, "") else _nonempty(value)


def envelope(body: bytes) -> tuple[str | None, str | None, str]:
    """Whop's error code (or type), parameter and message. Each may be missing: Whop documents several shapes."""
    try:
        error = json.loads(body)["error"]
        code, param = error.get("code") or error.get("type"), error.get("param")
        message = error.get("message")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None, None, ""
    return _word(code), _word(param), message if isinstance(message, str) else ""


def _word(value: Any) -> str | None:
    """``value`` if it looks like a code, or None. Codes go into logs and errors, so no other text is allowed."""
    return value if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", value) else None


def wait(response: Response) -> int:
    """The seconds to wait, from the header, or from "Try again in 12 seconds." (Whop, "Rate limits")."""
    _, _, message = envelope(response.content)
    header = re.fullmatch(r"(\d{1,6})", response.headers.get("retry-after", ""))
    match = header or re.search(r"\bin (\d{1,6}) second", message)
    seconds = int(match[1]) if match else _DEFAULT_WAIT_SECONDS
    return min(max(seconds, 1), _MAX_WAIT_SECONDS)


def error_of(operation: Operation, response: Response) -> WhopError:
    """The error for an answer that is no success."""
    status = response.status_code
    code, param, _ = envelope(response.content)
    old = replayed(response)
    if status == 429:
        return WhopRateLimited(operation, wait(response), replayed=old)
    if status >= 500 or status in _NOT_PROCESSED:
        return WhopUnavailable(operation, status=status, code=code, replayed=old)
    if status >= 400:
        kind = _REFUSALS.get(status, WhopRefused)
        return kind(operation, status=status, code=code, param=param, replayed=old)
    return WhopInvalidResponse(operation, status=status, replayed=old)
