"""Questions to Whop that no function asks: about an API key, and what it may do."""

from collections.abc import Collection
from typing import Any
from urllib.parse import urlencode

from manage.errors import Refused
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.errors import TransportError
from whop_chat.runtime.http import HttpClient, Response
from whop_chat.runtime.version import USER_AGENT

_SECONDS = 10.0
_MAX_BYTES = 1024 * 1024
# No account has this external id, so the answer is short.
_EXTERNAL_ID = "readiness-check"


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

    def _get(self, key: str, path: str, **query: str) -> Response:
        headers = {
            "Accept": "application/json",
            "Api-Version-Date": self._api_version,
            "Authorization": f"Bearer {key}",
            "User-Agent": USER_AGENT,
        }
        url = f"{self.base_url}/api/v1{path}?{urlencode(query)}"
        try:
            response = self._http.request(
                "GET", url, headers=headers, deadline=Deadline(_SECONDS), max_bytes=_MAX_BYTES
            )
        except TransportError as error:
            raise Refused(f"Whop does not answer at {self.base_url}: {error.reason}.") from None
        if response.status_code == 429 or response.status_code >= 500:
            raise Refused(f"Whop answers {response.status_code} at {self.base_url}. Try again later.")
        return response
