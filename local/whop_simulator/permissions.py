"""GET /permissions: what the calling key may do with a resource."""

from local.whop_simulator import rules
from local.whop_simulator.call import Call
from local.whop_simulator.rules import implements
from local.whop_simulator.state import DEFAULT_PERMISSIONS
from local.whop_simulator.wire import ApiError, Response, json_response


@implements(rules.PERMISSION_LIST, rules.PERMISSION_UNKNOWN)
def list_(call: Call) -> Response:
    """GET /permissions?resource_id=…&actions=…: each action, and whether the key is granted it."""
    key = call.require_key()
    resource = call.request.parameter("resource_id")
    if resource is None:
        raise ApiError(400, "Missing required parameter: resource_id.", code="parameter_missing")
    asked = call.request.parameter("actions")
    actions = asked.split(",") if asked else sorted(DEFAULT_PERMISSIONS | key.permissions)
    account = call.state.accounts.get(resource)
    is_reached = account is not None and key.company_id in (account.id, account.parent_id)
    granted = [{"action": action, "granted": is_reached and key.holds(action)} for action in actions]
    return json_response(200, {"data": granted})
