"""The simulator's OAuth server, used by a client that nobody here wrote: Authlib."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from authlib.common.security import generate_token
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.httpx_client import OAuth2Client
from joserfc import jwt
from joserfc.jwk import KeySet

from local.whop_simulator import Simulator, as_httpx_transport
from whop_chat.oauth.id_token import IdTokenVerifier

BASE = "https://api.whop.com"
CLIENT_ID, REDIRECT_URI = "app_Team", "https://api.team.test/oauth/whop/callback"
SCOPE = "openid profile email chat:read"


@pytest.fixture
def simulator() -> Simulator:
    simulator = Simulator()
    simulator.add_company()
    simulator.add_oauth_app(CLIENT_ID, [REDIRECT_URI])
    # Authlib posts forms, as RFC 6749 says. Whop documents JSON.
    simulator.change_readings({"oauth_body": "either"})
    return simulator


@pytest.fixture
def browser(simulator: Simulator) -> Iterator[httpx.Client]:
    with httpx.Client(transport=as_httpx_transport(simulator), base_url=BASE) as browser:
        yield browser


@pytest.fixture
def client(simulator: Simulator) -> Iterator[OAuth2Client]:
    with OAuth2Client(
        CLIENT_ID,
        scope=SCOPE,
        redirect_uri=REDIRECT_URI,
        code_challenge_method="S256",
        token_endpoint_auth_method="none",
        transport=as_httpx_transport(simulator),
    ) as client:
        yield client


def test_authlib_links_refreshes_and_revokes(client: OAuth2Client, browser: httpx.Client) -> None:
    server = browser.get("/.well-known/openid-configuration").json()
    verifier, nonce = generate_token(48), generate_token(20)
    url, state = client.create_authorization_url(server["authorization_endpoint"], code_verifier=verifier, nonce=nonce)
    form = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    decided = browser.post(
        "/oauth/authorize", content=urlencode({**form, "email": "ada@mail.test", "decision": "allow"}).encode()
    )
    token = client.fetch_token(
        server["token_endpoint"],
        authorization_response=decided.headers["location"],
        state=state,
        code_verifier=verifier,
    )
    key_set = browser.get(urlsplit(server["jwks_uri"]).path).json()
    claims = jwt.decode(token["id_token"], KeySet.import_key_set(key_set), algorithms=["ES256"]).claims
    assert (claims["iss"], claims["aud"], claims["nonce"]) == (server["issuer"], CLIENT_ID, nonce)
    ours = IdTokenVerifier(issuer=server["issuer"], client_id=CLIENT_ID).verify(token["id_token"], key_set, nonce=nonce)
    assert ours.id == claims["sub"] == client.get(server["userinfo_endpoint"]).json()["sub"]

    first = token["refresh_token"]
    renewed = client.refresh_token(server["token_endpoint"], refresh_token=first)
    assert renewed["refresh_token"] != first
    client.revoke_token(server["revocation_endpoint"], token=renewed["refresh_token"])
    with pytest.raises(OAuthError, match="invalid_grant"):
        client.refresh_token(server["token_endpoint"], refresh_token=renewed["refresh_token"])


def test_authlib_sees_the_end_of_a_consent_after_reuse(client: OAuth2Client, browser: httpx.Client) -> None:
    verifier = generate_token(48)
    url, state = client.create_authorization_url(f"{BASE}/oauth/authorize", code_verifier=verifier, nonce="n")
    form = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    decided = browser.post(
        "/oauth/authorize", content=urlencode({**form, "email": "ada@mail.test", "decision": "allow"}).encode()
    )
    token = client.fetch_token(
        f"{BASE}/oauth/token", authorization_response=decided.headers["location"], state=state, code_verifier=verifier
    )
    newer = client.refresh_token(f"{BASE}/oauth/token", refresh_token=token["refresh_token"])
    for each in (token, newer):
        with pytest.raises(OAuthError, match="invalid_grant"):
            client.refresh_token(f"{BASE}/oauth/token", refresh_token=each["refresh_token"])
