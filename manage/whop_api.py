"""Calls of Whop that no function makes: what an API key may do, and the company's app for OAuth."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from manage.errors import Refused
from whop_chat.oauth.authorization import OAuthClient, authorization_url, new_secret
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.errors import TransportError
from whop_chat.runtime.http import HttpClient, Response
from whop_chat.runtime.version import USER_AGENT

_SECONDS = 10.0
_MAX_BYTES = 1024 * 1024
# No account has this external id, so the answer is short.
_EXTERNAL_ID = "readiness-check"


@dataclass(frozen=True, slots=True)
class WhopApp:
    """An app at Whop: a client of its OAuth server. ``permissions`` are those that it requests from users."""

    id: str
    name: str
    redirect_uris: tuple[str, ...]
    is_confidential: bool
    permissions: frozenset[str]


class WhopApi:
    """Whop's API at ``base_url``, at one version, for any API key. Methods raise `Refused` if Whop does not answer."""

    def __init__(self, http: HttpClient, base_url: str, api_version: str) -> None:
        self._http = http
        self.base_url = base_url
        self._api_version = api_version

    def look_up(self, key: str) -> int:
        """The status of a look-up of accounts, which the functions make too: 401 for a key that Whop refuses."""
        return self._get(key, "/accounts", external_id=_EXTERNAL_ID).status_code

    def granted(self, key: str, company_id: str, actions: Collection[str]) -> set[str] | None:
        """Those of ``actions`` that the key is granted in the company. None if Whop does not say it.

        Of a company that the key cannot see it is granted nothing (Whop's SDK, ``permissions.list``).
        """
        response = self._get(key, "/permissions", resource_id=company_id, actions=",".join(actions))
        try:
            rows: Any = response.json()["data"]
            return {row["action"] for row in rows if row["granted"] is True and row["action"] in actions}
        except (ValueError, KeyError, TypeError):
            return None

    def authorization_error(self, client: OAuthClient, scopes: Collection[str]) -> str | None:
        """The error with which Whop ends an authorization request before anybody signs in, or None.

        ``redirect_uri`` stands for an answer without a redirect: the client or its redirect URI is unknown (RFC 6749,
        section 4.1.2.1). It is unproven that Whop looks at either of them, or at the scopes, so early.
        """
        url = authorization_url(
            self.base_url, client, scopes, state=new_secret(), nonce=new_secret(), verifier=new_secret()
        )
        response = self._request("GET", url, {"Accept": "text/html", "User-Agent": USER_AGENT})
        if response.status_code >= 400:
            return "redirect_uri"
        location = response.headers.get("location", "")
        if not location.startswith(client.redirect_uri):
            return None
        return next(iter(parse_qs(urlsplit(location).query).get("error", [])), None)

    def app(self, key: str, app_id: str) -> WhopApp:
        """The app (Whop's SDK, ``apps.retrieve``). Raises `Refused` if the key may not see it."""
        return self._app("GET", key, f"/apps/{app_id}")

    def app_named(self, key: str, company_id: str, name: str) -> str | None:
        """The id of the company's app of this name, or None (Whop's SDK, ``apps.list``). Raises `Refused` for two."""
        response = self._get(key, "/apps", account_id=company_id, query=name, first="50")
        try:
            found = [row["id"] for row in _read(response)["data"] if row["name"] == name]
        except (KeyError, TypeError):
            raise _unreadable(response) from None
        if len(found) > 1:
            raise Refused(f"{company_id} has {len(found)} apps named {name}. Choose one with --app.")
        return str(found[0]) if found else None

    def create_app(self, key: str, company_id: str, name: str, redirect_uris: Collection[str]) -> WhopApp:
        """A new app of the company (Whop's SDK, ``apps.create``). Raises `Refused` if Whop refuses it."""
        body = {"account_id": company_id, "name": name, "redirect_uris": [*redirect_uris]}
        return self._app("POST", key, "/apps", body)

    def set_redirect_uris(self, key: str, app_id: str, redirect_uris: Collection[str]) -> WhopApp:
        """Replace the redirect URIs of the app (Whop's SDK, ``apps.update``). Raises `Refused` if Whop refuses it."""
        return self._app("PATCH", key, f"/apps/{app_id}", {"redirect_uris": [*redirect_uris]})

    def _app(self, method: str, key: str, path: str, body: Mapping[str, Any] | None = None) -> WhopApp:
        response = self._send(method, key, path, body)
        try:
            app = _read(response)
            return WhopApp(
                str(app["id"]),
                str(app["name"]),
                tuple(map(str, app["redirect_uris"])),
                app["oauth_client_type"] == "confidential",
                frozenset(str(each["permission_action"]["action"]) for each in app["requested_permissions"]),
            )
        except (KeyError, TypeError):
            raise _unreadable(response) from None

    def _get(self, key: str, path: str, **query: str) -> Response:
        return self._send("GET", key, f"{path}?{urlencode(query)}")

    def _send(self, method: str, key: str, path: str, body: Mapping[str, Any] | None = None) -> Response:
        headers = {
            "Accept": "application/json",
            "Api-Version-Date": self._api_version,
            "Authorization": f"Bearer {key}",
            "User-Agent": USER_AGENT,
        }
        if body is not None:
            headers["Content-Type"] = "application/json"
        content = b"" if body is None else json.dumps(body).encode()
        return self._request(method, f"{self.base_url}/api/v1{path}", headers, content)

    def _request(self, method: str, url: str, headers: Mapping[str, str], content: bytes = b"") -> Response:
        deadline = Deadline(_SECONDS)
        try:
            response = self._http.request(
                method, url, headers=headers, content=content, deadline=deadline, max_bytes=_MAX_BYTES
            )
        except TransportError as error:
            raise Refused(f"Whop does not answer at {self.base_url}: {error.reason}.") from None
        if response.status_code == 429 or response.status_code >= 500:
            raise Refused(f"Whop answers {response.status_code} at {self.base_url}. Try again later.")
        return response


def _read(response: Response) -> Any:
    """The JSON of a successful answer. Raises `Refused` with Whop's own words for any other."""
    try:
        value: Any = response.json()
    except ValueError:
        raise _unreadable(response) from None
    if response.status_code not in (200, 201):
        error = value.get("error") if isinstance(value, dict) else None
        message = error.get("message") if isinstance(error, dict) else None
        raise Refused(f"Whop refuses with {response.status_code}: {message or 'no reason given'}")
    return value


def _unreadable(response: Response) -> Refused:
    return Refused(f"Whop's answer ({response.status_code}) cannot be read.")
