"""The operations of the simulated API, named as the SDK names them."""

from collections.abc import Callable
from dataclasses import dataclass

from local.whop_simulator import account_list, accounts, apps, files, messages, oauth, permissions, rules, tokens, users
from local.whop_simulator.call import Call
from local.whop_simulator.readings import Readings
from local.whop_simulator.rules import implements
from local.whop_simulator.wire import Response

BASE_PATH = "/api/v1"
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path. A ``current`` POST honours the Idempotency-Key."""

    name: str
    method: str
    collection: str
    handler: Callable[[Call], Response]
    with_id: bool = False
    current: bool = True
    public: bool = False
    limited: bool = True

    @implements(rules.IDEMPOTENT_TOKENS)
    def honours_idempotency(self, readings: Readings) -> bool:
        """Whether the operation honours an Idempotency-Key."""
        return self.method == "POST" and (
            self.current or (self.name == "access_tokens.create" and readings.access_tokens_idempotent)
        )

    @implements(rules.VERSION_ON_TOKENS)
    def checks_version(self, readings: Readings) -> bool:
        """Whether the operation refuses an unknown Api-Version-Date."""
        return self.name != "access_tokens.create" or readings.access_tokens_check_version


OPERATIONS: tuple[Operation, ...] = (
    Operation("access_tokens.create", "POST", "access_tokens", tokens.create, current=False),
    Operation("accounts.create", "POST", "accounts", accounts.create),
    Operation("accounts.list", "GET", "accounts", account_list.list_),
    Operation("accounts.retrieve", "GET", "accounts", accounts.retrieve, with_id=True),
    Operation("accounts.update", "PATCH", "accounts", accounts.update, with_id=True),
    Operation("accounts.delete", "DELETE", "accounts", accounts.delete, with_id=True),
    Operation("permissions.list", "GET", "permissions", permissions.list_),
    Operation("users.retrieve", "GET", "users", users.retrieve, with_id=True, public=True),
    Operation("users.update", "PATCH", "users", users.update, with_id=True),
    Operation("files.create", "POST", "files", files.create),
    Operation("files.retrieve", "GET", "files", files.retrieve, with_id=True),
    Operation("apps.create", "POST", "apps", apps.create),
    Operation("apps.list", "GET", "apps", apps.list_),
    Operation("apps.retrieve", "GET", "apps", apps.retrieve, with_id=True),
    Operation("apps.update", "PATCH", "apps", apps.update, with_id=True),
    Operation("messages.create", "POST", "messages", messages.create, current=False),
    Operation("messages.list", "GET", "messages", messages.list_, current=False),
)

# Not of the API: the storage that a new file names. It has no rate limit of Whop's.
UPLOAD = Operation("files.upload", "PUT", files.STORAGE, files.upload, with_id=True, public=True, limited=False)


def _oauth(name: str, method: str, path: str, handler: Callable[[Call], Response], *, public: bool = True) -> Operation:
    return Operation(f"oauth.{name}", method, path, handler, current=False, public=public)


OAUTH_OPERATIONS: tuple[Operation, ...] = (
    _oauth("authorize", "GET", "/oauth/authorize", oauth.authorize),
    _oauth("decide", "POST", "/oauth/authorize", oauth.decide),
    _oauth("token", "POST", "/oauth/token", oauth.token),
    _oauth("revoke", "POST", "/oauth/revoke", oauth.revoke),
    _oauth("userinfo", "GET", "/oauth/userinfo", oauth.userinfo, public=False),
    _oauth("discovery", "GET", "/.well-known/openid-configuration", oauth.discovery),
    _oauth("keys", "GET", "/.well-known/jwks.json", oauth.keys),
    _oauth("keys", "GET", "/oauth/jwks", oauth.keys),
)

NAMES: tuple[str, ...] = tuple(dict.fromkeys(each.name for each in (*OPERATIONS, UPLOAD, *OAUTH_OPERATIONS)))


@implements(rules.PATHS)
def route(method: str, path: str) -> tuple[Operation | None, str]:
    """The operation and the id in the path. The operation is None if Whop has no such endpoint."""
    if method == UPLOAD.method and path.startswith(f"{files.STORAGE}/"):
        return UPLOAD, path.removeprefix(f"{files.STORAGE}/")
    if not path.startswith(f"{BASE_PATH}/"):
        return next((o for o in OAUTH_OPERATIONS if (o.method, o.collection) == (method, path)), None), ""
    collection, slash, resource = path.removeprefix(f"{BASE_PATH}/").partition("/")
    if bool(slash) != bool(resource) or "/" in resource:
        return None, ""
    found = (o for o in OPERATIONS if (o.method, o.collection, o.with_id) == (method, collection, bool(resource)))
    return next(found, None), resource
