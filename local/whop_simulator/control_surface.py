"""The control methods of a `Simulator` as HTTP under /_simulator/."""

import json
from collections.abc import Callable
from dataclasses import asdict

from local.whop_simulator import versions
from local.whop_simulator.core import DEFAULT_COMPANY, Simulator
from local.whop_simulator.faults import Fault
from local.whop_simulator.limits import Limits
from local.whop_simulator.rules import RULES, implemented_by
from local.whop_simulator.state import DEFAULT_PERMISSIONS
from local.whop_simulator.wire import Json, Request, Response, json_response

PREFIX = "/_simulator/"


def control(simulator: Simulator, request: Request) -> Response:
    """Answer a control request: 400 for an invalid request, 404 for an unknown path."""
    action = _ACTIONS.get((request.method, request.path.removeprefix(PREFIX)))
    if action is None:
        return json_response(404, {"error": "no such control"})
    try:
        return json_response(200, action(simulator, request, _body(request)))
    except (ValueError, KeyError, TypeError) as error:
        return json_response(400, {"error": str(error)})


def _body(request: Request) -> Json:
    value = json.loads(request.body) if request.body else {}
    if not isinstance(value, dict):
        raise ValueError("the body is a JSON object")
    return value


def _ready(simulator: Simulator, request: Request, body: Json) -> Json:
    return {"ready": True}


def _state(simulator: Simulator, request: Request, body: Json) -> Json:
    return simulator.dump()


def _calls(simulator: Simulator, request: Request, body: Json) -> Json:
    return {"calls": [asdict(call) for call in simulator.calls(request.parameter("operation"))]}


def _counts(simulator: Simulator, request: Request, body: Json) -> Json:
    return {name: asdict(count) for name, count in simulator.counts().items()}


def _rules(simulator: Simulator, request: Request, body: Json) -> Json:
    return {"rules": [asdict(rule) | {"implemented_by": implemented_by(rule)} for rule in RULES]}


def _faults(simulator: Simulator, request: Request, body: Json) -> Json:
    return {"faults": [fault.as_dict() for fault in simulator.faults()]}


def _add_fault(simulator: Simulator, request: Request, body: Json) -> Json:
    simulator.add_fault(Fault.from_dict(body))
    return _faults(simulator, request, body)


def _clear_faults(simulator: Simulator, request: Request, body: Json) -> Json:
    simulator.clear_faults(request.parameter("operation"))
    return _faults(simulator, request, body)


def _readings(simulator: Simulator, request: Request, body: Json) -> Json:
    return simulator.readings.as_dict()


def _change_readings(simulator: Simulator, request: Request, body: Json) -> Json:
    return simulator.change_readings(body).as_dict()


def _limits(simulator: Simulator, request: Request, body: Json) -> Json:
    return asdict(simulator.limits)


def _set_limits(simulator: Simulator, request: Request, body: Json) -> Json:
    calls, seconds = body.get("calls", simulator.limits.calls), body.get("seconds", simulator.limits.seconds)
    if not isinstance(calls, int) or not isinstance(seconds, (int, float)):
        raise ValueError("calls and seconds are numbers")
    simulator.set_limits(Limits(calls, float(seconds)))
    return asdict(simulator.limits)


def _add_company(simulator: Simulator, request: Request, body: Json) -> Json:
    company_id = _text(body, "company_id", DEFAULT_COMPANY)
    return {
        "id": simulator.add_company(
            company_id, title=_text(body, "title", "Platform"), owner_email=_text(body, "owner_email", "")
        )
    }


def _add_key(simulator: Simulator, request: Request, body: Json) -> Json:
    permissions = body.get("permissions")
    if permissions is not None and not isinstance(permissions, list):
        raise ValueError("permissions is an array")
    return {
        "id": simulator.add_key(
            _text(body, "key"),
            company_id=_text(body, "company_id", DEFAULT_COMPANY),
            permissions=DEFAULT_PERMISSIONS if permissions is None else frozenset(map(str, permissions)),
            owner_level=body.get("owner_level") is True,
            pinned_version=_text(body, "pinned_version", versions.LATEST),
        )
    }


def _revoke_key(simulator: Simulator, request: Request, body: Json) -> Json:
    return {"revoked": simulator.revoke_key(_text(body, "key"))}


def _add_person(simulator: Simulator, request: Request, body: Json) -> Json:
    name = body.get("name")
    return {"id": simulator.add_person(_text(body, "email"), name=None if name is None else str(name))}


def _add_oauth_app(simulator: Simulator, request: Request, body: Json) -> Json:
    redirect_uris, secret, permissions = body.get("redirect_uris"), body.get("secret"), body.get("permissions")
    if not isinstance(redirect_uris, list) or not isinstance(permissions, list | None):
        raise ValueError("redirect_uris and permissions are arrays")
    simulator.add_oauth_app(
        _text(body, "client_id"),
        map(str, redirect_uris),
        secret=None if secret is None else str(secret),
        permissions=None if permissions is None else map(str, permissions),
    )
    return {}


def _end_consents(simulator: Simulator, request: Request, body: Json) -> Json:
    simulator.end_consents(_text(body, "user_id"))
    return {}


def _expire_tokens(simulator: Simulator, request: Request, body: Json) -> Json:
    simulator.expire_tokens()
    return {}


def _block_deletion(simulator: Simulator, request: Request, body: Json) -> Json:
    reason = body.get("reason")
    simulator.block_deletion(_text(body, "account_id"), None if reason is None else str(reason))
    return {}


def _clock(simulator: Simulator, request: Request, body: Json) -> Json:
    return {"now": simulator.now()}


def _advance(simulator: Simulator, request: Request, body: Json) -> Json:
    seconds = body.get("seconds")
    if not isinstance(seconds, (int, float)):
        raise ValueError("seconds is a number")
    return {"now": simulator.advance(float(seconds))}


def _reset(simulator: Simulator, request: Request, body: Json) -> Json:
    simulator.reset()
    return {}


def _text(body: Json, name: str, default: str | None = None) -> str:
    value = body.get(name, default)
    if not isinstance(value, str):
        raise ValueError(f"{name} is a string")
    return value


_ACTIONS: dict[tuple[str, str], Callable[[Simulator, Request, Json], Json]] = {
    ("GET", "ready"): _ready,
    ("GET", "state"): _state,
    ("GET", "calls"): _calls,
    ("GET", "counts"): _counts,
    ("GET", "rules"): _rules,
    ("GET", "faults"): _faults,
    ("POST", "faults"): _add_fault,
    ("DELETE", "faults"): _clear_faults,
    ("GET", "readings"): _readings,
    ("PATCH", "readings"): _change_readings,
    ("GET", "limits"): _limits,
    ("PUT", "limits"): _set_limits,
    ("POST", "companies"): _add_company,
    ("POST", "keys"): _add_key,
    ("DELETE", "keys"): _revoke_key,
    ("POST", "people"): _add_person,
    ("POST", "oauth_apps"): _add_oauth_app,
    ("POST", "end_consents"): _end_consents,
    ("POST", "expire_tokens"): _expire_tokens,
    ("POST", "block_deletion"): _block_deletion,
    ("GET", "clock"): _clock,
    ("POST", "clock/advance"): _advance,
    ("POST", "reset"): _reset,
}
