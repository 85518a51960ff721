"""How the questions about Whop's OAuth server are asked, as far as nobody has to sign in."""

import secrets
from urllib.parse import urlsplit

import httpx

from local.whop_check.client import Sandbox
from local.whop_check.probes import Answer
from local.whop_check.responses import NotAnsweredError, json_object, member, successful, text

_DISCOVERY = "/.well-known/openid-configuration"


def issuer(sandbox: Sandbox) -> Answer:
    """Who issues ID tokens: OpenID Connect Discovery wants ``iss`` to be the ``issuer`` of the document."""
    found = text(successful(sandbox.oauth("GET", _DISCOVERY), "discovery"), "issuer")
    return Answer("the host itself" if found == _origin(sandbox) else "another", found)


def key_set(sandbox: Sandbox) -> Answer:
    """Where the keys of ID tokens are, and which kinds of keys they are."""
    found = text(successful(sandbox.oauth("GET", _DISCOVERY), "discovery"), "jwks_uri")
    url = urlsplit(found)
    place = url.path if f"{url.scheme}://{url.netloc}" == _origin(sandbox) else found
    keys = successful(sandbox.oauth("GET", url.path), "the key set").get("keys") if place == url.path else None
    kinds = {str(member(key, "alg") or member(key, "kty")) for key in keys} if isinstance(keys, list) else {"not read"}
    return Answer(f"{place}, {' and '.join(sorted(kinds))}")


def token_body(sandbox: Sandbox) -> Answer:
    """What the token endpoint reads. With a client that is unknown, a body that is read ends in `invalid_client`."""
    body = _made_up_code("app_whopcheck0000")
    read = {"JSON": sandbox.oauth("POST", "/oauth/token", json=body)}
    read["form"] = sandbox.oauth("POST", "/oauth/token", data=body)
    return Answer(", ".join(f"{name} {_error(answer)}" for name, answer in read.items()))


def client_secret(sandbox: Sandbox) -> Answer:
    """Whether the app needs a secret: without one, a code that was made up is what is wrong, or else the client."""
    if sandbox.oauth_client is None:
        raise NotAnsweredError("no app is given")
    return Answer(_error(sandbox.oauth("POST", "/oauth/token", json=_made_up_code(sandbox.oauth_client))))


def _made_up_code(client_id: str) -> dict[str, str]:
    return {
        "grant_type": "authorization_code",
        "client_id": client_id,
        "code": secrets.token_urlsafe(24),
        "code_verifier": secrets.token_urlsafe(32),
        "redirect_uri": "https://whop-check.invalid/callback",
    }


def _error(response: httpx.Response) -> str:
    """The status and the error code (RFC 6749, section 5.2)."""
    if response.status_code == 429 or response.is_server_error or response.is_success:
        raise NotAnsweredError(f"POST /oauth/token: {response.status_code}")
    code = json_object(response).get("error")
    return f"{response.status_code} {code}" if isinstance(code, str) else str(response.status_code)


def _origin(sandbox: Sandbox) -> str:
    return str(sandbox.http.base_url).rstrip("/")
