"""/access_tokens: short-lived tokens for a company, or for a user in it."""

from local.whop_simulator import rules, versions
from local.whop_simulator.call import Call
from local.whop_simulator.rules import implements
from local.whop_simulator.state import ApiKey
from local.whop_simulator.wire import ApiError, Json, Response, json_response, optional_string, timestamp, unix_seconds

DEFAULT_SECONDS = 3600
MAX_SECONDS = 3 * 3600
_USER_ALONE = "User access tokens are not yet supported with API key authentication"


@implements(rules.TOKEN_SHAPE, rules.TOKEN_STATUS, rules.TOKEN_BOTH_IDS, rules.TOKEN_USER_ALONE)
def create(call: Call) -> Response:
    """POST /access_tokens: mint a token."""
    key = call.require_key()
    body = call.body
    account_id, user_id = _company(call, body), optional_string(body, "user_id")
    if account_id is None:
        raise ApiError(400, _USER_ALONE if user_id else "Missing required parameter: account_id.")
    _check_ids(call, key, account_id, user_id)
    minted = call.state.add_token(
        key_id=key.id,
        account_id=account_id,
        user_id=user_id,
        scopes=_scopes(key, body),
        now=call.now,
        expires_at=_expiry(call, body),
    )
    return json_response(200, {"token": minted.token, "expires_at": timestamp(minted.expires_at)})


@implements(rules.TOKEN_FIELD)
def _company(call: Call, body: Json) -> str | None:
    reading = call.readings.access_token_field
    if reading == "by_version":
        current = versions.at_least(call.version, versions.TOKENS_ACCOUNT)
        return optional_string(body, "account_id" if current else "company_id")
    if reading != "either":
        return optional_string(body, reading)
    account, company = optional_string(body, "account_id"), optional_string(body, "company_id")
    if account and company and account != company:
        raise ApiError(400, "account_id and company_id differ.", code="parameter_invalid")
    return account or company


@implements(rules.TOKEN_COMPANY, rules.TOKEN_REACH, rules.TOKEN_STRANGER)
def _check_ids(call: Call, key: ApiKey, account_id: str, user_id: str | None) -> None:
    call.reachable_account(account_id)
    if user_id is None:
        return
    person = call.state.people.get(user_id)
    if person is None:
        raise ApiError(404, f"User not found: {user_id}")
    call.admit_stranger(person, key.company_id, call.readings.mint_for_stranger)


@implements(rules.TOKEN_SCOPES, rules.TOKEN_SCOPES_STATUS)
def _scopes(key: ApiKey, body: Json) -> frozenset[str]:
    asked = body.get("scoped_actions")
    if asked is None or asked == []:
        return key.permissions
    if not isinstance(asked, list) or not all(isinstance(scope, str) for scope in asked):
        raise ApiError(400, "scoped_actions must be an array of strings.", code="parameter_invalid")
    for scope in asked:
        if not key.holds(scope):
            raise ApiError(403, f"Company API key is not authorized for the {scope} scope.")
    return frozenset(asked)


@implements(rules.TOKEN_EXPIRY, rules.TOKEN_LONG_EXPIRY)
def _expiry(call: Call, body: Json) -> float:
    text = optional_string(body, "expires_at")
    if text is None:
        return call.now + DEFAULT_SECONDS
    try:
        wanted = unix_seconds(text)
    except ValueError:
        raise ApiError(400, "expires_at must be an ISO 8601 timestamp.", code="parameter_invalid") from None
    if wanted <= call.now:
        raise ApiError(400, "expires_at must be in the future.", code="parameter_invalid")
    latest = call.now + MAX_SECONDS
    if wanted > latest and call.readings.long_expiry == "refused":
        raise ApiError(400, "expires_at must be at most 3 hours from now.", code="parameter_invalid")
    return min(wanted, latest)
