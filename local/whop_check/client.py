"""The calls to the sandbox, and what they leave behind there."""

import secrets
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote

import httpx

from local.whop_check.responses import (
    Json,
    NotAnsweredError,
    account_rows,
    json_object,
    message,
    refusal,
    successful,
    text,
)
from local.whop_simulator.versions import SDK_PIN

_SCOPES = ["chat:read"]
_LONGEST_CELL = 200


@dataclass(frozen=True, slots=True)
class SandboxUser:
    """A connected account that a probe created, and the Whop user who owns it."""

    account_id: str
    user_id: str
    email: str
    external_id: str


class Sandbox:
    """Whop's sandbox as one company sees it.

    Each run makes up e-mail addresses and ids that no other run uses. The object remembers every account it created
    (``created``) and every address it used (``emails``), for the clean-up. Methods raise `NotAnsweredError` for an
    answer that says nothing about a question, and httpx's errors.
    """

    def __init__(
        self,
        http: httpx.Client,
        key: str,
        company_id: str,
        email_template: str,
        *,
        stranger: str | None = None,
        oauth_client: str | None = None,
    ) -> None:
        self.http = http
        self.company_id = company_id
        self.stranger = stranger
        self.oauth_client = oauth_client
        self.company_field = "account_id"
        self.run = secrets.token_hex(4)
        self.created: dict[str, None] = {}
        self.emails: list[str] = []
        self._key = key
        self._email_template = email_template
        self._secrets = {key}

    # -- calls

    def send(
        self,
        method: str,
        path: str,
        *,
        body: Json | None = None,
        query: Mapping[str, str] | None = None,
        version: str | None = SDK_PIN,
        idempotency_key: str | None = None,
        bearer: str | None = None,
    ) -> httpx.Response:
        """Send one request. ``version`` None leaves out the Api-Version-Date header."""
        headers = {"Authorization": f"Bearer {bearer or self._key}", "Accept": "application/json"}
        if version is not None:
            headers["Api-Version-Date"] = version
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        return self.http.request(method, f"/api/v1{path}", json=body, params=query, headers=headers)

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """`send`, but a 401, a 429 or a 5xx is an error: it says nothing about the question."""
        response = self.send(method, path, **options)
        if response.status_code in (401, 429) or response.is_server_error:
            raise NotAnsweredError(f"{method} {path}: {refusal(response)} {message(response)}")
        return response

    def oauth(self, method: str, path: str, **body: Any) -> httpx.Response:
        """One request to the OAuth server, without the API key. ``body`` is httpx's ``json`` or ``data``."""
        return self.http.request(method, path, headers={"Accept": "application/json"}, **body)

    def create(
        self, email: str, external_id: str | None = None, *, idempotency_key: str | None = None, **fields: object
    ) -> httpx.Response:
        """POST /accounts."""
        body = {"email": email, "title": "whop-check"} | fields | ({"external_id": external_id} if external_id else {})
        response = self.call("POST", "/accounts", body=body, idempotency_key=idempotency_key)
        if response.is_success:
            self.created[text(json_object(response), "id")] = None
        return response

    def mint(self, user_id: str, *fields: str, version: str | None = SDK_PIN, key: str | None = None) -> httpx.Response:
        """POST /access_tokens. The company is sent in each of ``fields``, by default in ``company_field``."""
        company = dict.fromkeys(fields or (self.company_field,), self.company_id)
        body = company | {"user_id": user_id, "scoped_actions": _SCOPES}
        response = self.call("POST", "/access_tokens", body=body, version=version, idempotency_key=key)
        if response.is_success:
            self._secrets.add(text(json_object(response), "token"))
        return response

    def look_up(self, external_id: str) -> list[str]:
        """GET /accounts?external_id=: the account ids on the first page."""
        found = self.call("GET", "/accounts", query={"external_id": external_id})
        return [text(row, "id") for row in account_rows(found)]

    def delete(self, account_id: str) -> httpx.Response:
        """DELETE /accounts/{id}."""
        response = self.call("DELETE", f"/accounts/{quote(account_id, safe='')}")
        if response.is_success or response.status_code == 404:
            self.created.pop(account_id, None)
        return response

    # -- names and users of this run

    def new_email(self, suffix: str = "") -> str:
        """An e-mail address that was not used before."""
        email = self._email_template.replace("{n}", f"{self.run}-{len(self.emails) + 1}{suffix}")
        self.emails.append(email)
        return email

    def new_external_id(self) -> str:
        """An external_id that was not used before."""
        return f"whop-check:{self.run}:{secrets.token_hex(3)}"

    def new_user(self) -> SandboxUser:
        """Enrol a new user, as the service does."""
        email, external_id = self.new_email(), self.new_external_id()
        account = successful(self.create(email, external_id, metadata={"external_id": external_id}), "POST /accounts")
        return SandboxUser(text(account, "id"), text(account, "owner", "id"), email, external_id)

    @cached_property
    def shared_user(self) -> SandboxUser:
        """One user for all probes that change nothing about it."""
        return self.new_user()

    # -- output

    def redacted(self, line: str) -> str:
        """``line`` without the API key and without tokens, on one line of limited length."""
        for secret in self._secrets:
            line = line.replace(secret, "[secret]")
        return textwrap.shorten("".join(each if each.isprintable() else " " for each in line), _LONGEST_CELL)
