"""CloudTrail: events about the users of a pool, on EventBridge's default bus."""

import base64
import json
from typing import Any

from ministack.services import cognito, eventbridge

from local.emulator.patching import Function, wrap

_HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"
_BY_ADMINISTRATORS = (
    "AdminUpdateUserAttributes",
    "AdminDeleteUserAttributes",
    "AdminDisableUser",
    "AdminEnableUser",
    "AdminDeleteUser",
)
_BY_USERS = ("UpdateUserAttributes", "DeleteUserAttributes", "VerifyUserAttribute", "DeleteUser")


def install() -> None:
    """Apply the patch of this module."""
    wrap(cognito, "_run_idp_handler", _with_trail)


def _with_trail(stock: Function) -> Function:
    """Stock writes no trail. On AWS, a trail of management events puts each call on EventBridge's default bus.

    The event names the user only by ``sub``. For a call with the user's own token, it does not name the pool.
    https://docs.aws.amazon.com/cognito/latest/developerguide/logging-using-cloudtrail.html
    """

    def run(handler: Function, action: str, data: dict[str, Any]) -> Any:
        if action not in (*_BY_ADMINISTRATORS, *_BY_USERS):
            return stock(handler, action, data)
        detail = _detail(action, data)  # before the call, because the call may delete the user
        answer = stock(handler, action, data)
        if answer[0] >= 400:
            detail["errorCode"] = json.loads(answer[2]).get("__type", "Unknown")
        entry = {"Source": "aws.cognito-idp", "DetailType": "AWS API Call via CloudTrail", "Detail": json.dumps(detail)}
        eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)
        return answer

    return run


def _detail(action: str, data: dict[str, Any]) -> dict[str, Any]:
    detail: dict[str, Any] = {"eventSource": "cognito-idp.amazonaws.com", "eventName": action}
    if action in _BY_USERS:
        payload = str(data.get("AccessToken", "")).split(".")[1:2]
        claims = json.loads(base64.urlsafe_b64decode(payload[0] + "==")) if payload else {}
        return {**detail, "requestParameters": {"accessToken": _HIDDEN}, "additionalEventData": _known(claims)}
    pool_id = data.get("UserPoolId", "")
    pool = cognito._user_pools.get(pool_id)
    user = cognito._resolve_user(pool, data.get("Username"))[0] if pool else None
    attributes = cognito._attr_list_to_dict((user or {}).get("Attributes", []))
    parameters = {"userPoolId": pool_id, "username": _HIDDEN}
    return {**detail, "requestParameters": parameters, "additionalEventData": _known(attributes)}


def _known(names: dict[str, Any]) -> dict[str, Any]:
    return {"sub": names["sub"]} if "sub" in names else {}
