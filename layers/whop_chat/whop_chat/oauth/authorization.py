"""The authorization request: its secrets, and the URL at Whop that the user's browser opens."""

import base64
import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlencode

IDENTITY_SCOPES = ("openid", "profile", "email")


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """The app at Whop: its id, and the one redirect URI that is registered for this deployment."""

    client_id: str
    redirect_uri: str


def new_secret() -> str:
    """256 random bits as 43 characters: a state, a nonce, a code verifier (RFC 7636, section 4.1), or a result."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """The hash under which a secret is stored. A random secret of 256 bits needs no salt."""
    return hashlib.sha256(secret.encode()).hexdigest()


def authorization_url(
    base_url: str, client: OAuthClient, scopes: Collection[str], *, state: str, nonce: str, verifier: str
) -> str:
    """The URL that asks the user for ``scopes`` (Whop, "OAuth"; RFC 7636, section 4.3)."""
    query = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": client.redirect_uri,
        "scope": " ".join((*IDENTITY_SCOPES, *sorted(scopes))),
        "state": state,
        "nonce": nonce,
        "code_challenge": _challenge(verifier),
        "code_challenge_method": "S256",
    }
    return f"{base_url}/oauth/authorize?{urlencode(query)}"


def _challenge(verifier: str) -> str:
    """The S256 challenge (RFC 7636, section 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
