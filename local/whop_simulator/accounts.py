"""/accounts: child accounts, and the rules of their e-mail address and external_id."""

import re

from local.whop_simulator import rules, versions
from local.whop_simulator.call import Call
from local.whop_simulator.readings import Readings
from local.whop_simulator.rules import implements
from local.whop_simulator.state import Account, State, same_email
from local.whop_simulator.users import user_summary
from local.whop_simulator.wire import ApiError, Json, Response, json_response, optional_string, timestamp

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


@implements(rules.ACCOUNT_CREATE, rules.EXISTING_STATUS)
def create(call: Call) -> Response:
    """POST /accounts: create a child account of the key's company, or return the existing one."""
    key = call.require_permission("company:create_child", "company:create")
    body = call.body
    email = _email(body, call.readings)
    metadata = _metadata(body)
    external_id = _external_id(body, metadata, call.readings)
    existing = _existing(call, key.company_id, email, external_id)
    if existing is not None:
        _update_existing(existing, body, metadata, call.readings)
        return json_response(call.readings.existing_account_status, account_json(call, existing))
    account = _make(call, key.company_id, email, external_id, metadata, optional_string(body, "title"))
    return json_response(201, account_json(call, account))


@implements(rules.READ_PERMISSION)
def retrieve(call: Call) -> Response:
    """GET /accounts/{id}: by id or by route; ``me`` is the key's own account."""
    key = call.require_permission("company:basic:read")
    by_route = {account.route: account.id for account in call.state.accounts.values()} | {"me": key.company_id}
    account = call.reachable_account(by_route.get(call.resource, call.resource))
    return json_response(200, account_json(call, account, status="active"))


@implements(rules.EXTERNAL_ID_PATCH, rules.METADATA_PATCH, rules.READ_PERMISSION)
def update(call: Call) -> Response:
    """PATCH /accounts/{id}: change title, metadata and external_id."""
    call.require_permission("company:update")
    account = call.reachable_account(call.resource)
    body = call.body
    metadata = _metadata(body)
    title = optional_string(body, "title")
    _rebind(call, account, body, metadata)
    if title is not None:
        account.title = title
    if "metadata" in body:
        account.metadata = account.metadata | metadata if call.readings.metadata_patch == "merge" else metadata
    return json_response(200, account_json(call, account))


@implements(rules.ACCOUNT_DELETE)
def delete(call: Call) -> Response:
    """DELETE /accounts/{id}: a direct child is gone at once."""
    key = call.require_permission("company:delete_child")
    account = call.reachable_account(call.resource)
    if account.parent_id != key.company_id:
        raise ApiError(403, "Only a connected account of this account can be deleted.")
    if account.undeletable is not None:
        raise ApiError(400, account.undeletable)
    call.state.delete_account(account)
    return json_response(200, {"id": account.id, "deleted": True})


@implements(rules.ACCOUNT_SHAPE, rules.PARENT_FIELD, rules.EXTERNAL_ID_TOP_LEVEL)
def account_json(call: Call, account: Account, *, status: str | None = None) -> Json:
    """An account as the API returns it. Only list and retrieve return a ``status``."""
    shown: Json = {
        "id": account.id,
        "title": account.title,
        "email": account.email,
        "route": account.route,
        "status": status,
        "metadata": account.metadata,
        "owner": user_summary(call.state, call.state.people[account.owner_id]),
        "created_at": timestamp(account.created_at),
    }
    if not call.readings.external_id_ignored:
        shown["external_id"] = account.external_id
    return shown | _parent(call, account) | _REQUIRED_BY_THE_SDK


_REQUIRED_BY_THE_SDK: Json = {
    "balances": [],
    "can_transfer_pending_balance_to_children": False,
    "collect_vat_id": False,
    "company_formation": {"status": "draft"},
    "dispute_fighter_enabled": False,
    "economic_intelligence": False,
    "home_preferences": [],
    "orchestration_enabled": False,
    "platform_credits": [],
    "require_2fa": False,
    "send_customer_emails": False,
    "show_joined_whops": False,
    "show_reviews_dtc": False,
    "show_user_directory": False,
    "social_links": [],
    "store_page_config": {"whop_affiliate_link": False},
    "tax_collection_enabled_states": [],
    "tax_identifiers": [],
    "use_logo_as_opengraph_image_fallback": False,
    "verification": {"individual": None, "business": None},
}


def _parent(call: Call, account: Account) -> Json:
    parent = call.state.accounts.get(account.parent_id or "")
    if not versions.at_least(call.version, versions.PARENT_OBJECT):
        return {"parent_account_id": parent.id if parent else None}
    if parent is None:
        return {"parent_account": None}
    return {"parent_account": {"id": parent.id, "title": parent.title, "route": parent.route, "logo_url": None}}


@implements(rules.ACCOUNT_EMAIL)
def _email(body: Json, readings: Readings) -> str:
    email = optional_string(body, "email")
    if email is None:
        raise ApiError(400, "Missing required parameter: email.", code="parameter_missing")
    if not _EMAIL.fullmatch(email.strip()):
        raise ApiError(400, "email is invalid.", code="parameter_invalid")
    return email.strip().lower() if readings.email_returned == "lowercase" else email.strip()


def _metadata(body: Json) -> Json:
    metadata = body.get("metadata")
    if metadata is None:
        return {}
    if not isinstance(metadata, dict):
        raise ApiError(400, "metadata must be an object.", code="parameter_invalid")
    return metadata


@implements(rules.EXTERNAL_ID_TOP_LEVEL, rules.EXTERNAL_ID_METADATA)
def _external_id(body: Json, metadata: Json, readings: Readings) -> str | None:
    chosen = None if readings.external_id_ignored else optional_string(body, "external_id")
    if chosen is None and readings.metadata_external_id_counts:
        chosen = optional_string(metadata, "external_id")
    return _valid_external_id(chosen)


def _valid_external_id(value: str | None) -> str | None:
    if value is not None and ("%" in value or not value):
        raise ApiError(400, "external_id must not be empty or contain %.", code="parameter_invalid")
    return value


@implements(
    rules.EXTERNAL_ID_NEW,
    rules.EXTERNAL_ID_SAME,
    rules.EXTERNAL_ID_CONFLICT,
    rules.EXTERNAL_ID_NONE,
    rules.ACCOUNT_DELETED_ID,
)
def _existing(call: Call, company_id: str, email: str, external_id: str | None) -> Account | None:
    if external_id is None:
        children = call.state.children(company_id)
        return next((a for a in children if a.external_id is None and same_email(a.email, email)), None)
    bound = call.state.by_external_id(company_id, external_id)
    if bound is not None and not same_email(bound.email, email):
        raise ApiError(409, "external_id is already in use by another account.")
    if bound is None and _held_by_deleted(call.state, call.readings, company_id, external_id):
        raise ApiError(409, "external_id is already in use by another account.")
    return bound


def _held_by_deleted(state: State, readings: Readings, company_id: str, external_id: str) -> bool:
    return not readings.deletion_frees_external_id and any(
        account.parent_id == company_id and account.external_id == external_id for account in state.deleted_accounts
    )


@implements(rules.ACCOUNT_PERSON, rules.ACCOUNT_NEW_PERSON)
def _make(
    call: Call, company_id: str, email: str, external_id: str | None, metadata: Json, title: str | None
) -> Account:
    default = optional_string(metadata, "external_id") or email
    return call.state.add_account(
        email=email,
        title=title or default,
        now=call.now,
        parent_id=company_id,
        external_id=external_id,
        metadata=metadata,
    )


@implements(rules.EXISTING_UPDATED)
def _update_existing(account: Account, body: Json, metadata: Json, readings: Readings) -> None:
    if not readings.existing_account_updated:
        return
    if "metadata" in body:
        account.metadata = metadata
    account.title = optional_string(body, "title") or account.title


@implements(rules.EXTERNAL_ID_PATCH, rules.EXTERNAL_ID_PATCH_CONFLICT)
def _rebind(call: Call, account: Account, body: Json, metadata: Json) -> None:
    if call.readings.external_id_ignored:
        if not (call.readings.metadata_external_id_counts and "metadata" in body):
            return
        wanted = _valid_external_id(optional_string(metadata, "external_id"))
    elif "external_id" in body:
        wanted = _valid_external_id(optional_string(body, "external_id"))
    else:
        return
    if account.parent_id is None:
        raise ApiError(400, "external_id is for connected accounts.", code="parameter_invalid")
    holder = call.state.by_external_id(account.parent_id, wanted) if wanted is not None else None
    if holder is not None and holder is not account:
        raise ApiError(409, "external_id is already in use by another account.")
    account.external_id = wanted
