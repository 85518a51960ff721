"""A user links a Whop account of their own: what the app asks, and what the user's browser does at Whop."""

from collections.abc import Mapping
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx

from local.demo.chat_app import ChatApp
from local.stack import LocalStack

CLIENT_ID = "app_Demo"
# Nothing listens there: `Browser` follows no redirect, and hands the query to the API itself.
REDIRECT_URI = "http://127.0.0.1:3000/oauth/whop/callback"
RETURN_TO = "http://127.0.0.1:3000/linked"


def register_app(cloud: LocalStack) -> dict[str, str]:
    """Register the team's app at Whop. Returns the parameters of a stack whose users may link accounts through it."""
    cloud.whop.add_oauth_app(CLIENT_ID, [REDIRECT_URI])
    return {
        "AuthModes": "both",
        "OAuthClientId": CLIENT_ID,
        "OAuthRedirectUri": REDIRECT_URI,
        "OAuthReturnUrls": RETURN_TO,
        "OAuthIssuer": cloud.whop_url,
    }


class Browser:
    """The browser of one user, who has a Whop account under ``email``."""

    def __init__(self, http: httpx.Client, app: ChatApp, email: str) -> None:
        self._http = http
        self._app = app
        self._email = email

    def page(self, authorize_url: str) -> httpx.Response:
        """The page at Whop that asks for consent."""
        return self._http.get(authorize_url)

    def agree(self, authorize_url: str) -> httpx.Response:
        """Agree on the page. Whop sends the browser to the callback, and that to the app."""
        form = {**_parameters(urlsplit(authorize_url).query), "email": self._email, "decision": "allow"}
        back = self._http.post(urljoin(authorize_url, "/oauth/authorize"), data=form)
        query = urlsplit(back.headers.get("location", "")).query
        return self._app.call("GET", f"/oauth/whop/callback?{query}", None)


def result_of(callback: httpx.Response) -> str | None:
    """The result in the URL that the callback leads to, or None."""
    location = callback.headers.get("location", "")
    return _parameters(urlsplit(location).fragment).get("result") if location.startswith(f"{RETURN_TO}#") else None


def _parameters(text: str) -> Mapping[str, str]:
    return {name: values[0] for name, values in parse_qs(text).items()}
