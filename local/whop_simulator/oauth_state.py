"""What the OAuth server knows: apps, authorization codes and refresh tokens."""

import secrets
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec

from local.whop_simulator.wire import Json


@dataclass(frozen=True, slots=True)
class App:
    """An app that is registered for OAuth. ``secret`` is None for a public client.

    ``permissions`` is what it may ask users for, besides their identity. None is everything.
    """

    client_id: str
    company_id: str
    redirect_uris: tuple[str, ...]
    secret: str | None = field(default=None, repr=False)
    name: str = "Team chat"
    permissions: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """What a user consented to. All tokens that come from one consent have its ``family``."""

    family: str
    client_id: str
    user_id: str
    scopes: tuple[str, ...]
    nonce: str | None


@dataclass(frozen=True, slots=True)
class Code:
    """An authorization code, good once and for `CODE_SECONDS`."""

    grant: Grant
    redirect_uri: str
    challenge: str
    expires_at: float


class OAuthState:
    """The apps, codes and refresh tokens. A used refresh token is kept, so that its reuse is noticed."""

    def __init__(self) -> None:
        self.apps: dict[str, App] = {}
        self.codes: dict[str, Code] = {}
        self.refresh: dict[str, Grant] = {}
        self.used: dict[str, Grant] = {}
        self.reuses = 0
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.kid = secrets.token_hex(8)

    def end(self, family: str) -> None:
        """End every refresh token of one consent."""
        self.refresh = {token: grant for token, grant in self.refresh.items() if grant.family != family}

    def end_user(self, user_id: str) -> None:
        """End all consents of a user, as if they had removed the app at Whop."""
        for family in {grant.family for grant in self.refresh.values() if grant.user_id == user_id}:
            self.end(family)

    def as_json(self) -> Json:
        """The state without any secret."""
        return {
            "grants": [
                {"family": each.family, "user_id": each.user_id, "client_id": each.client_id, "scopes": [*each.scopes]}
                for each in self.refresh.values()
            ],
            "reuses": self.reuses,
        }
