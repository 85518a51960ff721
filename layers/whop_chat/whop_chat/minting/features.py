"""Chat features and the Whop scopes that each of them needs."""

from collections.abc import Collection, Mapping
from types import MappingProxyType

from whop_chat.runtime.errors import Refused

# Whop, "Chat: authentication": the permissions each embedded element asks for.
FEATURE_SCOPES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "channels": ("chat:read", "chat:message:create"),
        "dms": ("dms:read", "dms:message:manage", "dms:channel:manage"),
        "support": ("support_chat:read", "support_chat:message:create"),
    }
)


class UnknownFeature(ValueError):
    """A feature name that `FEATURE_SCOPES` does not have."""


class FeatureNotAllowed(Refused):
    """A known feature that this deployment or a group of the user does not grant."""


class GroupDenied(Refused):
    """The user is in a group that may not chat, or in several groups that have no feature in common."""


class FeaturePolicy:
    """The features that a caller may get: the server's features, which groups and requests can only narrow.

    Members of ``denied_groups`` get none. ``group_features`` has the most that the members of a group get. A user in
    several groups gets the features that all of them allow. Group names are compared exactly, as Cognito does.
    """

    def __init__(
        self,
        features: Collection[str],
        *,
        denied_groups: Collection[str] = (),
        group_features: Mapping[str, Collection[str]] = MappingProxyType({}),
    ) -> None:
        # For an empty list of scopes, Whop grants all that the API key has. So an empty list must be impossible.
        if not features:
            raise ValueError("at least one chat feature is needed")
        self._features = _known(features)
        self._denied_groups = frozenset(denied_groups)
        self._group_features = {group: _known(allowed) for group, allowed in group_features.items()}

    def scopes(self, requested: Collection[str] | None = None, *, groups: Collection[str] = ()) -> tuple[str, ...]:
        """The scopes for ``requested`` features, or for all allowed ones if None; sorted, never empty.

        Raises `GroupDenied`, `UnknownFeature`, and `FeatureNotAllowed` for a feature outside the policy.
        """
        allowed = self._allowed(groups)
        if requested is None:
            granted = allowed
        elif not requested:
            raise UnknownFeature("the list of features is empty")
        else:
            granted = _known(requested)
        if not granted <= allowed:
            raise FeatureNotAllowed
        return tuple(sorted(scope for feature in granted for scope in FEATURE_SCOPES[feature]))

    def _allowed(self, groups: Collection[str]) -> frozenset[str]:
        if not self._denied_groups.isdisjoint(groups):
            raise GroupDenied
        narrowing = (self._group_features[group] for group in groups if group in self._group_features)
        allowed = self._features.intersection(*narrowing)
        if not allowed:
            raise GroupDenied
        return allowed


def _known(features: Collection[str]) -> frozenset[str]:
    if unknown := [feature for feature in features if feature not in FEATURE_SCOPES]:
        raise UnknownFeature(f"{len(unknown)} unknown chat feature(s); known are {', '.join(FEATURE_SCOPES)}")
    return frozenset(features)
