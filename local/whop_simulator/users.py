"""/users/{id}: the global profile of a user, and the override of it in one account."""

from local.whop_simulator import files, rules, versions
from local.whop_simulator.call import Call
from local.whop_simulator.rules import implements
from local.whop_simulator.state import Person, State
from local.whop_simulator.wire import ApiError, Json, Response, json_response, timestamp

_TEXT_FIELDS = ("name", "username", "bio")
_LONGEST = {"name": 100, "username": 42}


@implements(rules.USER_OVERRIDE)
def profile(state: State, whop_user: Person, account_id: str | None) -> Json:
    """The user's profile in ``account_id``, or the global profile if it is None."""
    seen: Json = {
        "name": whop_user.name,
        "username": whop_user.username,
        "bio": whop_user.bio,
        "picture_url": whop_user.picture_url,
    }
    return seen | state.profiles.get((account_id or "", whop_user.id), {})


@implements(rules.USER_SHAPE)
def user_summary(state: State, whop_user: Person, account_id: str | None = None) -> Json:
    """The short form of a user."""
    seen = profile(state, whop_user, account_id)
    return {
        "id": whop_user.id,
        "username": seen["username"],
        "name": seen["name"],
        "profile_picture": {"url": seen["picture_url"] or _placeholder(whop_user)},
    }


@implements(rules.USER_SHAPE)
def user_json(state: State, whop_user: Person, account_id: str | None, *, is_me: bool = False) -> Json:
    """The long form of a user."""
    return user_summary(state, whop_user, account_id) | {
        "bio": profile(state, whop_user, account_id)["bio"],
        "banner": None,
        "email": whop_user.email if is_me else None,
        "created_at": timestamp(whop_user.created_at),
        "balances": [],
        "social_links": [],
        "verification": {},
    }


@implements(rules.USER_PUBLIC, rules.USER_OVERRIDE)
def retrieve(call: Call) -> Response:
    """GET /users/{id}."""
    is_me = call.resource == "me"
    if is_me and (call.token is None or call.token.user_id is None):
        raise ApiError(400, "'me' is available to user tokens only.")
    person = call.existing_user(call.token.user_id if is_me and call.token and call.token.user_id else call.resource)
    return json_response(
        200, user_json(call.state, person, call.request.parameter(_selector_name(call.version)), is_me=is_me)
    )


@implements(rules.USER_SELECTOR, rules.USER_PERMISSION, rules.USER_STRANGER, rules.USER_OVERRIDE)
def update(call: Call) -> Response:
    """PATCH /users/{id}: change the profile in the account of the selector.

    Before version 2026-06-08 the selector is optional; without it, the global profile is changed.
    """
    key = call.require_permission("user:profile:update")
    account_id = _selector(call)
    person = call.existing_user(call.resource)
    if account_id is not None:
        call.reachable_account(account_id)
    call.admit_stranger(person, key.company_id, call.readings.profile_of_stranger)
    changes = _changes(call, account_id)
    if account_id is None:
        _change_person(person, changes)
    else:
        _change_override(call.state, account_id, person.id, changes)
    return json_response(200, user_json(call.state, person, account_id))


def _selector_name(version: str) -> str:
    return "account_id" if versions.at_least(version, versions.USERS_QUERY_ACCOUNT) else "company_id"


def _selector(call: Call) -> str | None:
    if not versions.at_least(call.version, versions.USERS_QUERY_ACCOUNT):
        value = call.body.get("company_id")
        return value if isinstance(value, str) else None
    value = call.request.parameter("account_id")
    if value is None:
        raise ApiError(400, "Missing required parameter: account_id.", code="parameter_missing")
    return value


@implements(rules.USER_NAME_LENGTH, rules.USER_NULL, rules.USER_PICTURE)
def _changes(call: Call, account_id: str | None) -> Json:
    body = call.body
    changes: Json = {}
    for name in _TEXT_FIELDS:
        if name in body:
            changes[name] = _text(name, body[name])
    if "profile_picture" in body:
        changes["picture_url"] = _picture(call, body["profile_picture"])
    if None in changes.values() and account_id is not None and not call.readings.null_clears_override:
        raise ApiError(400, "null is not allowed here.", code="parameter_invalid")
    return changes


def _text(name: str, value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise ApiError(400, f"{name} must be a string.", code="parameter_invalid")
    if len(value) > _LONGEST.get(name, len(value)):
        raise ApiError(400, f"{name} is too long (maximum is {_LONGEST[name]} characters).", code="parameter_invalid")
    return value


def _picture(call: Call, value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, dict) and isinstance(value.get("id"), str):
        return files.url(files.attachable(call, value["id"]))
    raise ApiError(400, "profile_picture must be an object with an id.", code="parameter_invalid")


def _change_person(whop_user: Person, changes: Json) -> None:
    for name, value in changes.items():
        if name != "username" or value is not None:
            setattr(whop_user, name, value)


def _change_override(state: State, account_id: str, user_id: str, changes: Json) -> None:
    override = state.profiles.get((account_id, user_id), {}) | changes
    kept = {name: value for name, value in override.items() if value is not None}
    if kept:
        state.profiles[account_id, user_id] = kept
    else:
        state.profiles.pop((account_id, user_id), None)


def _placeholder(whop_user: Person) -> str:
    return f"https://files.whop.test/placeholder/{whop_user.id}"
