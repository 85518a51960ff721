"""Scopes: a request narrows what the server grants and never widens it, and nothing grants nothing."""

from collections.abc import Collection, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whop_chat.minting.features import FEATURE_SCOPES, FeatureNotAllowed, FeaturePolicy, GroupDenied, UnknownFeature

FEATURES = sorted(FEATURE_SCOPES)
CHANNELS = ("chat:message:create", "chat:read")
SUPPORT = ("support_chat:message:create", "support_chat:read")


@pytest.mark.parametrize(
    ("allowed", "requested", "scopes"),
    [
        (("channels",), None, CHANNELS),
        (("support", "channels"), None, (*CHANNELS, *SUPPORT)),
        (("support", "channels"), ["channels"], CHANNELS),
        (("support", "channels"), ["channels", "channels"], CHANNELS),
        (("dms",), ["dms"], ("dms:channel:manage", "dms:message:manage", "dms:read")),
    ],
)
def test_the_scopes_are_those_of_the_features_in_order(
    allowed: Collection[str], requested: Collection[str] | None, scopes: tuple[str, ...]
) -> None:
    assert FeaturePolicy(allowed).scopes(requested) == scopes


def test_a_feature_that_is_not_enabled_is_refused_even_beside_one_that_is() -> None:
    with pytest.raises(FeatureNotAllowed):
        FeaturePolicy(["channels"]).scopes(["channels", "dms"])


@pytest.mark.parametrize("requested", [[], ["payments"], ["channels", "Channels"], "channels", [""]])
def test_a_request_for_nothing_or_for_something_unknown_is_refused(requested: Collection[str]) -> None:
    with pytest.raises(UnknownFeature) as caught:
        FeaturePolicy(FEATURES).scopes(requested)

    assert "payments" not in str(caught.value)


@pytest.mark.parametrize("features", [(), ("payments",), "channels"])
def test_a_policy_that_grants_nothing_or_something_unknown_cannot_be_made(features: Collection[str]) -> None:
    with pytest.raises(ValueError, match="feature"):
        FeaturePolicy(features)


@pytest.mark.parametrize(
    ("groups", "scopes"),
    [
        ((), (*CHANNELS, *SUPPORT)),
        (("members",), (*CHANNELS, *SUPPORT)),
        (("Guests",), (*CHANNELS, *SUPPORT)),
        (("guests",), CHANNELS),
        (("members", "guests"), CHANNELS),
        (("guests", "talkers"), CHANNELS),
        (("talkers",), CHANNELS),
    ],
)
def test_groups_narrow_to_what_all_of_them_allow(groups: Collection[str], scopes: tuple[str, ...]) -> None:
    narrowing = {"guests": ["channels"], "talkers": ["channels", "dms"]}
    policy = FeaturePolicy(["channels", "support"], group_features=narrowing)

    assert policy.scopes(groups=groups) == scopes


@pytest.mark.parametrize("requested", [None, ["channels"], []])
def test_a_member_of_a_denied_group_gets_nothing_whatever_else_they_are(requested: Collection[str] | None) -> None:
    policy = FeaturePolicy(["channels"], denied_groups=["banned"], group_features={"vips": ["channels"]})

    with pytest.raises(GroupDenied):
        policy.scopes(requested, groups=["vips", "banned"])


@pytest.mark.parametrize("group_features", [{"guests": ["dms"]}, {"guests": ["support"], "talkers": ["channels"]}])
def test_groups_that_leave_nothing_are_refused_and_not_granted_everything(
    group_features: Mapping[str, Collection[str]],
) -> None:
    policy = FeaturePolicy(["channels", "support"], group_features=group_features)

    with pytest.raises(GroupDenied):
        policy.scopes(groups=["guests", "talkers"])


def test_a_group_cannot_be_given_a_feature_that_is_unknown() -> None:
    with pytest.raises(UnknownFeature):
        FeaturePolicy(["channels"], group_features={"guests": ["payments"]})


SETS = st.sets(st.sampled_from(FEATURES), min_size=1)


@settings(max_examples=50)
@given(allowed=SETS, requested=st.none() | SETS, group=SETS)
def test_no_request_gets_more_than_it_asks_for_or_than_policy_and_group_allow(
    allowed: set[str], requested: set[str] | None, group: set[str]
) -> None:
    policy = FeaturePolicy(allowed, group_features={"guests": group})
    try:
        granted = policy.scopes(requested, groups=["guests"])
    except GroupDenied:
        assert not allowed & group
    except FeatureNotAllowed:
        assert requested is not None
        assert not requested <= allowed & group
    else:
        expected = allowed & group if requested is None else requested
        assert expected <= allowed & group
        assert set(granted) == {scope for feature in expected for scope in FEATURE_SCOPES[feature]}
