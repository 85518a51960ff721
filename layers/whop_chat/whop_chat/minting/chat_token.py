"""The token for Whop's chat that a client gets, new or reused."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ChatToken:
    """A token for ``scopes``. The client should refresh it from ``refresh_after`` on. All times are UTC."""

    token: str = field(repr=False)
    expires_at: datetime
    refresh_after: datetime
    scopes: tuple[str, ...]
    reused: str | None = None
    """Why this is the cached token: it is ``fresh``, or Whop is ``rate_limited`` or ``unavailable``. None: new."""


def usual_refresh(minted_at: datetime, expires_at: datetime) -> datetime:
    """When a token is usually refreshed: after four fifths of the lifetime that Whop granted."""
    return minted_at + (expires_at - minted_at) * 4 / 5
