"""Chat features and the Whop scopes that each of them needs."""

from collections.abc import Collection, Mapping
from types import MappingProxyType

# Whop, "Chat: authentication": the permissions each embedded element asks for.
FEATURE_SCOPES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "channels": ("chat:read", "chat:message:create"),
        "dms": ("dms:read", "dms:message:manage", "dms:channel:manage"),
        "support": ("support_chat:read", "support_chat:message:create"),
    }
)


class UnknownFeature(ValueError):
    """A feature name that is none of `FEATURE_SCOPES`."""


class FeatureNotAllowed(Exception):
    """A known feature that this deployment does not grant."""


class ScopePolicy:
    """What a caller may be granted: the server's features, which a request can narrow and never widen."""

    def __init__(self, features: Collection[str]) -> None:
        # An empty list of scopes makes Whop grant everything the API key holds, so it must not be expressible.
        if not features:
            raise ValueError("at least one chat feature is needed")
        self._features = frozenset(_known(features))

    def scopes(self, requested: Collection[str] | None = None) -> tuple[str, ...]:
        """The scopes for ``requested`` features, or for all allowed ones if None; sorted, never empty.

        Raises `UnknownFeature`, and `FeatureNotAllowed` for a feature outside the policy.
        """
        if requested is None:
            granted = self._features
        elif not requested:
            raise UnknownFeature("the list of features is empty")
        else:
            granted = frozenset(_known(requested))
        if not granted <= self._features:
            raise FeatureNotAllowed
        return tuple(sorted(scope for feature in granted for scope in FEATURE_SCOPES[feature]))


def _known(features: Collection[str]) -> Collection[str]:
    if unknown := [feature for feature in features if feature not in FEATURE_SCOPES]:
        raise UnknownFeature(f"{len(unknown)} unknown chat feature(s); known are {', '.join(FEATURE_SCOPES)}")
    return features
