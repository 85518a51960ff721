"""Which e-mail address a user is enrolled under.

Whop keys accounts by e-mail, so an address that the user has not proved to own could bind them to a stranger.
"""

from dataclasses import dataclass
from typing import Literal

from whop_chat.cognito.pool import PoolUser
from whop_chat.cognito.user import UserRef
from whop_chat.whop.client import Account

EmailMode = Literal["verified", "alias"]


@dataclass(frozen=True, slots=True)
class VerifiedAddress:
    """The user's own address, if Cognito vouches for it.

    A federated user's ``email_verified`` is whatever the provider's mapping wrote, so it counts only if every provider
    of the user is one the team trusts.
    """

    trusted_providers: frozenset[str]
    mode: EmailMode = "verified"

    def address(self, user: PoolUser) -> str | None:
        """The address, or None if none is proved."""
        if user.email is None or not user.email_verified or not self.trusted_providers.issuperset(user.providers):
            return None
        return user.email


@dataclass(frozen=True, slots=True)
class AliasAddress:
    """An address under the team's own domain: nothing personal leaves, and no two users can share one.

    ``template`` holds ``{sub}`` once, before the @: ``chat+{sub}@team.com``.
    """

    template: str
    mode: EmailMode = "alias"

    def __post_init__(self) -> None:
        local, at, domain = self.template.partition("@")
        if local.count("{sub}") != 1 or not at or "{" in domain or "@" in domain or "." not in domain:
            raise ValueError("the alias template is not like chat+{sub}@team.com")

    def address(self, user: PoolUser) -> str | None:
        """The user's alias."""
        return self.template.replace("{sub}", user.sub)


Addresses = VerifiedAddress | AliasAddress


def external_id(user: UserRef, generation: int) -> str:
    """The id of the user's account at Whop, who takes any text but ``%`` (Whop, "Enroll subaccounts")."""
    return f"cognito:{user.pool_id}:{user.sub}:{generation}"


def is_address_of(account: Account, address: str) -> bool:
    """Whether Whop has ``account`` under ``address``."""
    return (account.email or "").casefold() == address.casefold()
