"""Addresses: only one that is proved, or one of the team's own."""

import dataclasses

import pytest

from tests.fakes.settings import ALIASES, BAD_ALIASES
from whop_chat.cognito.pool import PoolUser
from whop_chat.enrolment.email_policy import AliasEmail, VerifiedEmail

ADA = PoolUser(sub="sub-1", email="ada@example.test", email_verified=True, name="Ada", providers=())


@pytest.mark.parametrize(
    ("providers", "trusted", "address"),
    [
        ((), (), ADA.email),
        (("Google",), ("Google", "Okta"), ADA.email),
        (("Google", "Okta"), ("Google", "Okta"), ADA.email),
        (("Google", "Okta"), ("Google",), None),
        (("Google",), (), None),
        (("",), ("Google",), None),
    ],
)
def test_a_verified_address_counts_if_every_provider_of_it_is_trusted(
    providers: tuple[str, ...], trusted: tuple[str, ...], address: str | None
) -> None:
    user = dataclasses.replace(ADA, providers=providers)

    assert VerifiedEmail(frozenset(trusted)).email(user) == address
    assert VerifiedEmail(frozenset(trusted)).refusal(user) == (None if address else "provider_not_trusted")


def test_a_user_of_an_untrusted_provider_is_not_told_to_verify_an_address() -> None:
    user = dataclasses.replace(ADA, email_verified=False, providers=("Google",))

    assert VerifiedEmail(frozenset()).refusal(user) == "provider_not_trusted"
    assert VerifiedEmail(frozenset({"Google"})).refusal(user) == "no_verified_email"
    assert AliasEmail("chat+{sub}@team.example.test").refusal(user) is None


@pytest.mark.parametrize("changes", [{"email": None}, {"email_verified": False}, {"email": None, "providers": ("G",)}])
def test_an_address_that_is_missing_or_not_verified_does_not_count(changes: dict[str, object]) -> None:
    user = dataclasses.replace(ADA, **changes)  # type: ignore[arg-type]

    assert VerifiedEmail(frozenset({"G"})).email(user) is None


@pytest.mark.parametrize("user", [ADA, dataclasses.replace(ADA, email=None, email_verified=False, providers=("X",))])
def test_an_alias_is_made_of_the_sub_alone(user: PoolUser) -> None:
    assert AliasEmail("chat+{sub}@team.example.test").email(user) == "chat+sub-1@team.example.test"


@pytest.mark.parametrize(
    "template",
    [
        "",
        "chat@team.example.test",
        "chat+{sub}",
        "chat+{sub}{sub}@team.example.test",
        "chat@{sub}.example.test",
        "chat+{sub}@team.example.test@example.test",
        "chat+{sub}@localhost",
        "chat+{sub}@{domain}.test",
        *BAD_ALIASES,
    ],
)
def test_a_template_that_two_users_could_share_or_that_is_no_address_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="alias template"):
        AliasEmail(template)


@pytest.mark.parametrize("template", ALIASES)
def test_an_alias_of_a_real_sub_is_an_address(template: str) -> None:
    user = dataclasses.replace(ADA, sub="0a1b2c3d-4e5f-6789-abcd-ef0123456789")
    local, _, _ = (AliasEmail(template).email(user) or "").partition("@")

    assert len(local) <= 64
    assert all(local.split("."))


def test_each_policy_says_which_it_is() -> None:
    assert VerifiedEmail(frozenset()).mode == "verified"
    assert AliasEmail("{sub}@team.example.test").mode == "alias"
