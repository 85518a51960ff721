"""Why a user does not get a token of their own Whop account, or cannot link it."""

from whop_chat.runtime.errors import Refused, Retryable
from whop_chat.whop.errors import WhopRefused


class InvalidGrant(WhopRefused):
    """Whop answered ``invalid_grant``: the code or the refresh token is used up, revoked, or never was (RFC 6749)."""


class LinkRequired(Refused):
    """The user has not linked a Whop account, or Whop has since granted less than was linked."""


class LinkExpired(Refused):
    """Whop does not accept the user's refresh token any more. They have to link their account again, or unlink it."""


class LinkFailed(Refused):
    """The link was not completed, and has to begin again. ``reason`` is for the log only."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)


class ScopesNotAllowed(Refused):
    """The token of the linked account allows more than this request or this user's groups do."""


class RefreshInProgress(Retryable):
    """Another instance is refreshing the user's token, and the old one is no longer good."""

    retry_after = 1


class InvalidReturnUrl(ValueError):
    """The app's ``return_to`` is none of the configured URLs."""


class UnknownState(Exception):
    """The ``state`` of a callback is unknown, expired or used, or ``iss`` names another server."""


class StaleLink(Retryable):
    """Another worker wrote the link after it was read."""

    retry_after = 1
