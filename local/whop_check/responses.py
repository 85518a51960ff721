"""Reads what Whop answers. Raises `NotAnsweredError` for an answer that says nothing about the question."""

from typing import Any

import httpx

type Json = dict[str, Any]


class NotAnsweredError(Exception):
    """A question has no answer; the message says why."""


def json_object(response: httpx.Response) -> Json:
    """The body as a JSON object."""
    try:
        value = response.json()
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise NotAnsweredError(f"{response.status_code} without a JSON object")
    return value


def successful(response: httpx.Response, call: str) -> Json:
    """The body of a successful answer. ``call`` names the request in the error message."""
    if not response.is_success:
        raise NotAnsweredError(f"{call}: {refusal(response)} {message(response)}")
    return json_object(response)


def account_rows(response: httpx.Response) -> list[Json]:
    """The accounts on a page of GET /accounts."""
    rows = successful(response, "GET /accounts").get("data")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise NotAnsweredError("GET /accounts: no list of accounts")
    return rows


def member(value: object, *path: str) -> object:
    """The member at ``path``, or None."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def text(value: Json, *path: str) -> str:
    """The non-empty string at ``path``."""
    found = member(value, *path)
    if not isinstance(found, str) or not found:
        raise NotAnsweredError(f"an answer without {'.'.join(path)}")
    return found


def refusal(response: httpx.Response) -> str:
    """The status with Whop's error code, or else its error type."""
    error = _error(response)
    name = member(error, "code") or member(error, "type")
    return f"{response.status_code} {name}" if isinstance(name, str) else str(response.status_code)


def message(response: httpx.Response) -> str:
    """Whop's error message; empty if there is none."""
    found = member(_error(response), "message")
    return found if isinstance(found, str) else ""


def reason(error: Exception) -> str:
    """Why a question was not answered. httpx's own messages can quote request headers, so only their type is shown."""
    return str(error) if isinstance(error, NotAnsweredError) else type(error).__name__


def _error(response: httpx.Response) -> object:
    try:
        return member(response.json(), "error")
    except ValueError:
        return None
