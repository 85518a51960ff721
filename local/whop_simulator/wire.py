"""Requests, responses and Whop's error envelope, independent of any server or client library."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from local.whop_simulator import rules
from local.whop_simulator.rules import implements

type Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request. The case of header names does not matter; ``query`` is decoded."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)

    def header(self, name: str) -> str | None:
        """The first header of that name."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def parameter(self, name: str) -> str | None:
        """The first query parameter of that name."""
        return next((value for key, value in self.query if key == name), None)


class Fate(StrEnum):
    """What happens to an answer on its way to the client."""

    WHOLE = "whole"
    UNREACHABLE = "unreachable"
    DROPPED = "dropped"
    TRUNCATED = "truncated"
    DRIPPED = "dripped"


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response, and what happens to it on its way.

    ``status`` is 0 if nothing arrives. A truncated response has half of its body, and the content-length of the whole.
    A dripped body arrives one byte every ``drip_seconds``.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)
    fate: Fate = Fate.WHOLE
    drip_seconds: float = 0.0

    def json(self) -> Json:
        """The body as a JSON object."""
        value = json.loads(self.body)
        if not isinstance(value, dict):
            raise ValueError("not a JSON object")
        return value

    def header(self, name: str) -> str | None:
        """The first header of that name."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


class ApiError(Exception):
    """Raised to answer a call with an error."""

    def __init__(self, status: int, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code


_TYPES = {
    400: "invalid_request_error",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "invalid_request_error",
    409: "conflict",
    422: "unprocessable_entity",
    429: "rate_limit_exceeded",
}


def json_response(status: int, value: object, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """A response with a JSON body."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(status, (("content-type", "application/json"), *headers), body)


@implements(rules.ENVELOPE, rules.ERROR_TYPES)
def error_response(
    status: int, message: str, *, code: str | None = None, headers: tuple[tuple[str, str], ...] = ()
) -> Response:
    """Whop's error envelope."""
    error: Json = {"type": _TYPES.get(status, "internal_server_error"), "message": message}
    if code is not None:
        error["code"] = code
    return json_response(status, {"error": error}, headers)


def json_object(body: bytes) -> Json:
    """The body as a JSON object; an empty body is an empty object. Raises `ApiError` (400) for anything else."""
    if not body.strip():
        return {}
    try:
        value = json.loads(body)
    except ValueError:
        raise ApiError(400, "The request body is not valid JSON.") from None
    if not isinstance(value, dict):
        raise ApiError(400, "The request body must be a JSON object.")
    return value


def optional_string(body: Json, name: str) -> str | None:
    """The string, or None if it is null or absent. Raises `ApiError` (400) for another type."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise ApiError(400, f"{name} must be a string.", code="parameter_invalid")
    return value


def timestamp(seconds: float) -> str:
    """Unix seconds as ISO 8601 in UTC, with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def unix_seconds(text: str) -> float:
    """ISO 8601 as Unix seconds; without a time zone it is UTC. Raises `ValueError`."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
