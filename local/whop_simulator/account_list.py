"""GET /accounts: filters, order and pages."""

import base64
import binascii

from local.whop_simulator import rules
from local.whop_simulator.accounts import account_json
from local.whop_simulator.call import Call
from local.whop_simulator.rules import implements
from local.whop_simulator.state import Account
from local.whop_simulator.wire import ApiError, Json, Response, json_response, unix_seconds

_PAGE_DEFAULT, _PAGE_MAX = 10, 50


@implements(rules.ACCOUNT_LIST, rules.ACCOUNT_PAGING, rules.READ_PERMISSION)
def list_(call: Call) -> Response:
    """GET /accounts: the key's own account and its children."""
    key = call.require_permission("company:basic:read")
    own = call.state.accounts.get(key.company_id)
    visible = [*([own] if own else []), *call.state.children(key.company_id)]
    chosen = _ordered(call, [account for account in visible if _matches(call, account)])
    page, info = _page(call, chosen)
    return json_response(
        200, {"data": [account_json(call, account, status="active") for account in page], "page_info": info}
    )


@implements(rules.EXTERNAL_ID_LOOKUP, rules.ACCOUNT_PAGING)
def _matches(call: Call, account: Account) -> bool:
    parameter = call.request.parameter
    owner, parent, text = parameter("owner_id"), parameter("parent_account_id"), parameter("query")
    if owner is not None and parent is not None:
        raise ApiError(400, "owner_id cannot be combined with parent_account_id.", code="parameter_invalid")
    if parent is not None:
        call.require_permission("payout:account:read")
    return (
        _has_external_id(call, account)
        and (owner is None or account.owner_id == owner)
        and (parent is None or account.parent_id == parent)
        and (text is None or text.lower() in account.title.lower() or text == account.id)
        and parameter("status") in (None, "active")
        and _moment(call, "created_after", float("-inf")) < account.created_at
        and account.created_at < _moment(call, "created_before", float("inf"))
    )


def _has_external_id(call: Call, account: Account) -> bool:
    wanted = call.request.parameter("external_id")
    if wanted is None or call.readings.external_id_ignored:
        return True
    if "%" in wanted[:-1]:
        raise ApiError(400, "external_id may contain % only at its end.", code="parameter_invalid")
    if account.external_id is None:
        return False
    return account.external_id.startswith(wanted[:-1]) if wanted.endswith("%") else account.external_id == wanted


def _moment(call: Call, name: str, default: float) -> float:
    value = call.request.parameter(name)
    try:
        return default if value is None else unix_seconds(value)
    except ValueError:
        raise ApiError(400, f"{name} must be an ISO 8601 timestamp.", code="parameter_invalid") from None


@implements(rules.ACCOUNT_ORDER)
def _ordered(call: Call, accounts: list[Account]) -> list[Account]:
    if call.request.parameter("order") == "volume":
        call.require_permission("stats:read")
    newest_first = call.request.parameter("direction") != "asc"
    return accounts[::-1] if newest_first else accounts


@implements(rules.ACCOUNT_PAGING)
def _page(call: Call, accounts: list[Account]) -> tuple[list[Account], Json]:
    places = {account.id: place for place, account in enumerate(accounts)}
    after, before = _place(call, "after", places), _place(call, "before", places)
    start = 0 if after is None else after + 1
    end = len(accounts) if before is None else before
    last, first = _size(call, "last"), _size(call, "first")
    if last is not None:
        start = max(start, end - last)
    else:
        end = min(end, start + (first or _PAGE_DEFAULT))
    page = accounts[start:end]
    return page, {
        "start_cursor": _cursor(page[0]) if page else None,
        "end_cursor": _cursor(page[-1]) if page else None,
        "has_next_page": end < len(accounts),
        "has_previous_page": start > 0,
    }


def _size(call: Call, name: str) -> int | None:
    value = call.request.parameter(name)
    if value is None:
        return None
    if not value.isdecimal() or int(value) < 1:
        raise ApiError(400, f"{name} must be a positive integer.", code="parameter_invalid")
    return min(int(value), _PAGE_MAX)


def _cursor(account: Account) -> str:
    return base64.urlsafe_b64encode(account.id.encode()).decode()


def _place(call: Call, name: str, places: dict[str, int]) -> int | None:
    value = call.request.parameter(name)
    if value is None:
        return None
    try:
        return places[base64.urlsafe_b64decode(value).decode()]
    except (KeyError, ValueError, binascii.Error):
        raise ApiError(400, f"{name} is not a cursor of this list.", code="parameter_invalid") from None
