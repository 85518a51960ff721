"""The argument of a handler: the request, its caller, its API version, and the state."""

from dataclasses import dataclass, field

from local.whop_simulator import rules
from local.whop_simulator.readings import Readings
from local.whop_simulator.rules import implements
from local.whop_simulator.state import Account, ApiKey, MintedToken, Person, State
from local.whop_simulator.wire import ApiError, Json, Request, json_object


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated call. ``resource`` is the id in the path, empty if the path has none."""

    request: Request
    state: State
    readings: Readings
    now: float
    version: str
    resource: str = ""
    key: ApiKey | None = field(default=None)
    token: MintedToken | None = field(default=None)

    @property
    def body(self) -> Json:
        """The JSON body; empty if there is none."""
        return json_object(self.request.body)

    @implements(rules.MESSAGE_TOKEN_ONLY)
    def require_key(self) -> ApiKey:
        """The API key. Raises `ApiError` (403) for a minted token."""
        if self.key is None:
            raise ApiError(403, "This endpoint requires an API key.")
        return self.key

    @implements(rules.PERMISSION)
    def require_permission(self, *any_of: str) -> ApiKey:
        """The API key, if it has one of the permissions. Raises `ApiError` (403) if not."""
        key = self.require_key()
        if not any(key.holds(permission) for permission in any_of):
            raise ApiError(403, f"Company API key is not authorized for the {any_of[0]} scope.")
        return key

    @implements(rules.ACCOUNT_REACH)
    def reachable_account(self, account_id: str) -> Account:
        """The account, if it is the key's own or a direct child of it. Raises `ApiError` (404, 403) if not."""
        key = self.require_key()
        account = self.state.accounts.get(account_id)
        if account is None:
            raise ApiError(404, f"Account not found: {account_id}")
        if key.company_id not in (account.id, account.parent_id):
            raise ApiError(403, "Company API key is not authorized for this account.")
        return account

    def existing_user(self, id_or_username: str) -> Person:
        """The user. Raises `ApiError` (404) if there is none."""
        person = self.state.user(id_or_username)
        if person is None:
            raise ApiError(404, f"User not found: {id_or_username}")
        return person

    def admit_stranger(self, whop_user: Person, company_id: str, reading: str) -> None:
        """Raise the `ApiError` of ``reading`` for a user who owns neither the company nor a child account of it."""
        if reading == "allowed" or self.state.belongs(whop_user.id, company_id):
            return
        if reading == "forbidden":
            raise ApiError(403, "Company API key is not authorized for this user.")
        raise ApiError(404, f"User not found: {whop_user.id}")
