"""The state of the simulated Whop, in memory."""

import hashlib
import itertools
import re
import secrets
from dataclasses import asdict, dataclass, field, replace

from local.whop_simulator import rules
from local.whop_simulator.oauth_state import OAuthState
from local.whop_simulator.rules import implements
from local.whop_simulator.wire import Json

CHAT_SCOPES = frozenset(
    {
        "chat:read",
        "chat:message:create",
        "dms:read",
        "dms:message:manage",
        "dms:channel:manage",
        "support_chat:read",
        "support_chat:message:create",
    }
)
DEFAULT_PERMISSIONS = CHAT_SCOPES | {
    "company:create_child",
    "company:basic:read",
    "company:update",
    "company:delete_child",
    "user:profile:update",
}


@dataclass(slots=True)
class Person:
    """A Whop user, with the global profile."""

    id: str
    email: str
    username: str
    name: str | None
    created_at: float
    bio: str | None = None
    picture_url: str | None = None


@dataclass(slots=True)
class Account:
    """An account: a company, or a child account of one."""

    id: str
    owner_id: str
    email: str
    title: str
    route: str
    created_at: float
    parent_id: str | None = None
    external_id: str | None = None
    metadata: Json = field(default_factory=dict)
    undeletable: str | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key of one company. ``digest`` is the SHA-256 of the secret; the secret is not stored."""

    id: str
    digest: str
    company_id: str
    permissions: frozenset[str]
    owner_level: bool
    pinned_version: str

    def holds(self, permission: str) -> bool:
        """Whether the key has ``permission``. An owner-level key has every permission."""
        return self.owner_level or permission in self.permissions


@dataclass(frozen=True, slots=True)
class MintedToken:
    """A minted access token; ``user_id`` is None for an account token. Times are Unix seconds."""

    id: str
    token: str = field(repr=False)
    key_id: str
    account_id: str
    user_id: str | None
    scopes: frozenset[str]
    minted_at: float
    expires_at: float


@dataclass(slots=True)
class File:
    """A file. ``status`` is pending, processing, ready or failed; ``looks`` counts the reads while it is processed."""

    id: str
    key_id: str
    filename: str
    content_type: str
    visibility: str
    signature: str = field(repr=False)
    created_at: float
    status: str = "pending"
    uploaded_at: float | None = None
    size: int | None = None
    sha256: str | None = None
    looks: int = 0


@dataclass(frozen=True, slots=True)
class Message:
    """A chat message."""

    id: str
    company_id: str
    channel_id: str
    user_id: str
    content: str
    created_at: float


def digest(secret: str) -> str:
    """The SHA-256 of a secret, in hex."""
    return hashlib.sha256(secret.encode()).hexdigest()


class State:
    """People, accounts, keys, tokens, profile overrides, files and messages. Not thread-safe."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self.people: dict[str, Person] = {}
        self._by_email: dict[str, Person] = {}
        self.accounts: dict[str, Account] = {}
        self.deleted_accounts: list[Account] = []
        self.keys: dict[str, ApiKey] = {}
        self.tokens: dict[str, MintedToken] = {}
        self.profiles: dict[tuple[str, str], Json] = {}
        self.files: dict[str, File] = {}
        self.messages: list[Message] = []
        self.oauth = OAuthState()

    def new_id(self, prefix: str) -> str:
        """A new identifier in Whop's form. Identifiers count up."""
        return f"{prefix}_Sim{next(self._numbers):011d}"

    def add_person(self, email: str, name: str | None, now: float) -> Person:
        """The person with this e-mail address, created if there is none."""
        known = self.person_by_email(email)
        if known is not None:
            return known
        person = Person(self.new_id("user"), email, self._username(email), name, now)
        self.people[person.id] = self._by_email[_normal(email)] = person
        return person

    def person_by_email(self, email: str) -> Person | None:
        """The person with this e-mail address, in any case."""
        return self._by_email.get(_normal(email))

    def add_account(
        self,
        *,
        email: str,
        title: str,
        now: float,
        account_id: str | None = None,
        parent_id: str | None = None,
        external_id: str | None = None,
        metadata: Json | None = None,
    ) -> Account:
        """Create an account, owned by the person with this e-mail address."""
        owner = self.add_person(email, title, now)
        identifier = account_id or self.new_id("biz")
        account = Account(
            id=identifier,
            owner_id=owner.id,
            email=email,
            title=title,
            route=identifier.removeprefix("biz_").lower(),
            created_at=now,
            parent_id=parent_id,
            external_id=external_id,
            metadata=dict(metadata or {}),
        )
        self.accounts[account.id] = account
        return account

    def delete_account(self, account: Account) -> None:
        """Delete the account. Its owner stays."""
        del self.accounts[account.id]
        self.deleted_accounts.append(account)

    def children(self, company_id: str) -> list[Account]:
        """The direct child accounts, oldest first."""
        return [account for account in self.accounts.values() if account.parent_id == company_id]

    def by_external_id(self, company_id: str, external_id: str) -> Account | None:
        """The child account with this ``external_id``."""
        return next((a for a in self.children(company_id) if a.external_id == external_id), None)

    def belongs(self, user_id: str, company_id: str) -> bool:
        """Whether the person owns the company or a child account of it."""
        owned = (self.accounts.get(company_id), *self.children(company_id))
        return any(account is not None and account.owner_id == user_id for account in owned)

    def user(self, id_or_username: str) -> Person | None:
        """The person with this id or username."""
        known = self.people.get(id_or_username)
        return known or next((p for p in self.people.values() if p.username == id_or_username), None)

    @implements(rules.TOKEN_OPAQUE)
    def add_token(
        self,
        *,
        key_id: str,
        account_id: str,
        user_id: str | None,
        scopes: frozenset[str],
        now: float,
        expires_at: float,
    ) -> MintedToken:
        """Mint a token. It is a random string, so nobody can read anything from it."""
        minted = MintedToken(
            id=self.new_id("token"),
            token=secrets.token_urlsafe(48),
            key_id=key_id,
            account_id=account_id,
            user_id=user_id,
            scopes=scopes,
            minted_at=now,
            expires_at=expires_at,
        )
        self.tokens[minted.token] = minted
        return minted

    def expire_tokens(self, now: float) -> None:
        """End the life of every token that is valid now."""
        self.tokens = {
            token: replace(minted, expires_at=min(minted.expires_at, now)) for token, minted in self.tokens.items()
        }

    def as_json(self) -> Json:
        """The state as JSON, without the value of any key or token."""
        return {
            "accounts": [asdict(account) for account in self.accounts.values()],
            "deleted_accounts": [asdict(account) for account in self.deleted_accounts],
            "users": [asdict(person) for person in self.people.values()],
            "profiles": [
                {"account_id": account_id, "user_id": user_id, **profile}
                for (account_id, user_id), profile in self.profiles.items()
            ],
            "tokens": [_without(token, "token") for token in self.tokens.values()],
            "keys": [_without(key, "digest") for key in self.keys.values()],
            "files": [_without(file, "signature") for file in self.files.values()],
            "messages": [asdict(message) for message in self.messages],
            "oauth": [self.oauth.as_json()],
        }

    def _username(self, email: str) -> str:
        base = re.sub(r"[^a-z0-9]+", "-", email.partition("@")[0].lower()).strip("-")[:32] or "user"
        taken = {person.username for person in self.people.values()}
        if base not in taken:
            return base
        return next(name for n in itertools.count(2) if (name := f"{base}-{n}") not in taken)


def same_email(one: str, other: str) -> bool:
    """Whether Whop takes two e-mail addresses for the same."""
    return _normal(one) == _normal(other)


def _normal(email: str) -> str:
    return email.strip().lower()


def _without(value: MintedToken | ApiKey | File, name: str) -> Json:
    return {
        key: sorted(item) if isinstance(item, frozenset) else item for key, item in asdict(value).items() if key != name
    }
