"""/apps: the apps of a company, which are the clients of the OAuth server."""

from dataclasses import replace

from local.whop_simulator import rules
from local.whop_simulator.call import Call
from local.whop_simulator.oauth_state import App
from local.whop_simulator.rules import implements
from local.whop_simulator.wire import ApiError, Json, Response, json_response, optional_string

_PAGE_MAX = 50


@implements(rules.APP_CREATE, rules.APP_PERMISSION)
def create(call: Call) -> Response:
    """POST /apps: a new app of the key's company. It may ask users for nothing beyond their identity yet."""
    key = call.require_permission("developer:create_app")
    name = optional_string(call.body, "name")
    if not name:
        raise ApiError(400, "Missing required parameter: name.", code="parameter_missing")
    redirect_uris = _redirect_uris(call) or ()
    app = App(call.state.new_id("app"), key.company_id, redirect_uris, name=name, permissions=frozenset())
    call.state.oauth.apps[app.client_id] = app
    return json_response(201, _app_json(call, app))


@implements(rules.APP_LIST)
def list_(call: Call) -> Response:
    """GET /apps?account_id=…&query=…: the company's apps whose names have ``query`` in them, on one page."""
    key = call.require_key()
    query = (call.request.parameter("query") or "").casefold()
    apps = [each for each in call.state.oauth.apps.values() if each.company_id == key.company_id]
    found = [_app_json(call, each) for each in apps if query in each.name.casefold()][:_PAGE_MAX]
    return json_response(200, {"data": found, "page_info": {"has_next_page": False, "has_previous_page": False}})


@implements(rules.APP_SHAPE)
def retrieve(call: Call) -> Response:
    """GET /apps/{id}."""
    return json_response(200, _app_json(call, _own_app(call)))


@implements(rules.APP_UPDATE, rules.APP_PERMISSION)
def update(call: Call) -> Response:
    """PATCH /apps/{id}: replace the redirect URIs."""
    call.require_permission("developer:update_app")
    app, redirect_uris = _own_app(call), _redirect_uris(call)
    if redirect_uris is not None:
        app = call.state.oauth.apps[app.client_id] = replace(app, redirect_uris=redirect_uris)
    return json_response(200, _app_json(call, app))


def _own_app(call: Call) -> App:
    key, app = call.require_key(), call.state.oauth.apps.get(call.resource)
    if app is None or app.company_id != key.company_id:
        raise ApiError(404, f"App not found: {call.resource}")
    return app


def _redirect_uris(call: Call) -> tuple[str, ...] | None:
    sent = call.body.get("redirect_uris")
    if sent is None:
        return None
    if not isinstance(sent, list) or not all(isinstance(each, str) for each in sent):
        raise ApiError(400, "redirect_uris must be an array of strings.", code="parameter_invalid")
    return tuple(sent)


@implements(rules.APP_SHAPE)
def _app_json(call: Call, app: App) -> Json:
    company = call.state.accounts[app.company_id]
    owner = call.state.people[company.owner_id]
    return {
        "id": app.client_id,
        "name": app.name,
        "account": {"id": company.id, "title": company.title, "route": company.route},
        "creator": {"id": owner.id, "username": owner.username, "name": owner.name},
        "redirect_uris": [*app.redirect_uris],
        "oauth_client_type": "public" if app.secret is None else "confidential",
        "requested_permissions": [
            {"permission_action": {"action": each, "name": each}, "is_required": False, "justification": None}
            for each in sorted(app.permissions or ())
        ],
    } | _REQUIRED_BY_THE_SDK


_REQUIRED_BY_THE_SDK: Json = {
    "app_type": "b2c_app",
    "businesses_created_count": 0,
    "businesses_created_logo_urls": [],
    "businesses_with_recent_sales_count": 0,
    "domain_id": "simulated",
    "domains": [],
    "elements_used": [],
    "icon": {"url": "https://whop.test/icon.png"},
    "required_scopes": [],
    "status": "hidden",
    "verified": False,
}
