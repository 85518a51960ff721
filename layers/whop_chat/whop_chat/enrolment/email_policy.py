"""The e-mail address that a user is enrolled under.

Whop identifies accounts by e-mail. So an address that the user has not proved to own could link them to a stranger.
"""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Literal

from whop_chat.cognito.pool import PoolUser
from whop_chat.cognito.user import UserRef
from whop_chat.whop.client import Account

_SUB_LENGTH = 36  # of a Cognito sub, a UUID
_LOCAL_PART_OCTETS = 64

EmailMode = Literal["verified", "alias"]


@dataclass(frozen=True, slots=True)
class VerifiedEmail:
    """The user's own address, if Cognito says that it is verified.

    The provider's attribute mapping writes ``email_verified`` of a federated user. So it counts only if the team trusts
    every provider of the user.
    """

    trusted_providers: frozenset[str]
    mode: EmailMode = "verified"

    def email(self, user: PoolUser) -> str | None:
        """The verified address, or None."""
        return None if self.refusal(user) else user.email

    def refusal(self, user: PoolUser) -> str | None:
        """The block reason of a user without an address to enrol under. None if there is one.

        Nothing that a user of an untrusted provider does helps, so that reason comes first.
        """
        if not self.trusted_providers.issuperset(user.providers):
            return "provider_not_trusted"
        return None if user.email is not None and user.email_verified else "no_verified_email"


@dataclass(frozen=True, slots=True)
class AliasEmail:
    """An address under the team's own domain: Whop gets nothing personal, and no two users can share one.

    ``template`` has ``{sub}`` once, before the @: ``chat+{sub}@team.com``. Raises `ValueError` if it would make
    addresses that no mail server takes (RFC 5321, sections 4.1.2 and 4.5.3.1).
    """

    template: str
    mode: EmailMode = "alias"

    def __post_init__(self) -> None:
        local, at, domain = self.template.partition("@")
        if local.count("{sub}") != 1 or not at or "{" in domain or "@" in domain or "." not in domain:
            raise ValueError("the alias template is not like chat+{sub}@team.com")
        if len(local.replace("{sub}", "x" * _SUB_LENGTH)) > _LOCAL_PART_OCTETS or "" in local.split("."):
            raise ValueError("the alias template makes addresses that are not valid before the @")

    def email(self, user: PoolUser) -> str | None:
        """The user's alias."""
        return self.template.replace("{sub}", user.sub)

    def refusal(self, _user: PoolUser) -> str | None:
        """None: every user has an alias."""
        return None


EmailPolicy = VerifiedEmail | AliasEmail


def external_id(user: UserRef, generation: int) -> str:
    """The external id of the user's account. Whop accepts any text without ``%`` (Whop, "Enroll subaccounts")."""
    return f"cognito:{user.pool_id}:{user.sub}:{generation}"


def address_digest(key: str, address: str) -> str:
    """The digest that a record stores of an address, to notice another one. ``key`` differs for each user."""
    return hmac.new(key.encode(), address.encode(), hashlib.sha256).hexdigest()


def is_another_address(blocked_digest: str | None, sub: str, address: str | None) -> bool:
    """Whether the user ``sub`` was blocked under another address than ``address``. Both may be unknown: then no."""
    return blocked_digest is not None and address is not None and blocked_digest != address_digest(sub, address)


def has_email(account: Account, address: str) -> bool:
    """Whether ``address`` is the e-mail of ``account``. Only the case of ASCII letters is ignored.

    Unicode's case folding makes one address of ``straße@`` and ``strasse@``, which can be two people's. A Whop that
    folds like this would return the account of the other one.
    """
    return _ascii_lower(account.email or "") == _ascii_lower(address)


def _ascii_lower(text: str) -> bytes:
    return text.encode(errors="surrogatepass").lower()
