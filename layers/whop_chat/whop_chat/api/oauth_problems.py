"""The problems of users who link a Whop account of their own."""

from collections.abc import Mapping
from types import MappingProxyType

from whop_chat.api.problems import Problem
from whop_chat.oauth.errors import (
    InvalidReturnUrl,
    LinkExpired,
    LinkFailed,
    LinkRequired,
    RefreshInProgress,
    ScopesNotAllowed,
    StaleLink,
)
from whop_chat.oauth.revocations import Contended
from whop_chat.runtime.sealed import UnknownDataKey, UnusableDataKey

_CODES: Mapping[type[Exception], str] = MappingProxyType(
    {
        LinkRequired: "link_required",
        LinkExpired: "link_expired",
        LinkFailed: "link_failed",
        ScopesNotAllowed: "feature_not_allowed",
        RefreshInProgress: "refresh_in_progress",
        StaleLink: "temporarily_unavailable",
        Contended: "temporarily_unavailable",
        UnknownDataKey: "temporarily_unavailable",
        UnusableDataKey: "temporarily_unavailable",
    }
)


def oauth_problem_of(error: Exception) -> Problem | None:
    """The problem to answer for ``error``. None if the error is not an expected one."""
    if isinstance(error, InvalidReturnUrl):
        return Problem("invalid_request", detail="return_to is none of this deployment's return URLs")
    code = _CODES.get(type(error))
    return Problem(code) if code else None
