"""What a client gets: a token for Whop's chat, new or again."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ChatToken:
    """A token for ``scopes``, to be asked for anew from ``refresh_after`` on; all times are UTC."""

    token: str = field(repr=False)
    expires_at: datetime
    refresh_after: datetime
    scopes: tuple[str, ...]
    reused: str | None = None
    """Why it is the last token again: it is ``fresh``, or Whop is ``rate_limited`` or ``unavailable``."""


def usual_refresh(minted_at: datetime, expires_at: datetime) -> datetime:
    """When a token is refreshed if nothing is the matter: at four fifths of the life that Whop granted."""
    return minted_at + (expires_at - minted_at) * 4 / 5
