"""/messages: where a chat token is used. The answer says which user wrote the message."""

from local.whop_simulator import rules
from local.whop_simulator.call import Call
from local.whop_simulator.rules import implements
from local.whop_simulator.state import Message, MintedToken, State
from local.whop_simulator.users import user_summary
from local.whop_simulator.wire import ApiError, Json, Response, json_response, optional_string, timestamp

_WRITE = {
    "chat": ("chat:message:create",),
    "feed": ("dms:message:manage", "support_chat:message:create"),
}
_READ = {
    "chat": ("chat:read",),
    "feed": ("dms:read", "support_chat:read"),
}


@implements(rules.MESSAGE_SHAPE)
def create(call: Call) -> Response:
    """POST /messages: write a message as the token's user."""
    body = call.body
    channel_id, content = optional_string(body, "channel_id"), optional_string(body, "content")
    if not channel_id or not content:
        raise ApiError(400, "channel_id and content are required.", code="parameter_missing")
    token, user_id = _author(call, channel_id, _WRITE)
    message = Message(call.state.new_id("post"), token.account_id, channel_id, user_id, content, call.now)
    call.state.messages.append(message)
    return json_response(200, _message_json(call.state, message))


@implements(rules.MESSAGE_SHAPE)
def list_(call: Call) -> Response:
    """GET /messages?channel_id=, newest first."""
    channel_id = call.request.parameter("channel_id")
    if not channel_id:
        raise ApiError(400, "Missing required parameter: channel_id.", code="parameter_missing")
    token, _ = _author(call, channel_id, _READ)
    found = [m for m in call.state.messages if (m.company_id, m.channel_id) == (token.account_id, channel_id)]
    info: Json = {"start_cursor": None, "end_cursor": None, "has_next_page": False, "has_previous_page": False}
    return json_response(200, {"data": [_message_json(call.state, m) for m in reversed(found)], "page_info": info})


@implements(rules.MESSAGE_SCOPES, rules.MESSAGE_CHANNELS, rules.MESSAGE_TOKEN_ONLY)
def _author(call: Call, channel_id: str, needed: dict[str, tuple[str, ...]]) -> tuple[MintedToken, str]:
    token = call.token
    if token is None or token.user_id is None:
        raise ApiError(403, "This endpoint requires a user access token.")
    scopes = needed[_kind(channel_id)]
    if token.scopes.isdisjoint(scopes):
        raise ApiError(403, f"Required permission: {' or '.join(scopes)}.")
    return token, token.user_id


def _kind(channel_id: str) -> str:
    if channel_id.startswith(("chat_feed_", "exp_")):
        return "chat"
    if channel_id.startswith("feed_"):
        return "feed"
    raise ApiError(404, f"Channel not found: {channel_id}")


@implements(rules.MESSAGE_SHAPE, rules.MESSAGE_CHANNELS)
def _message_json(state: State, message: Message) -> Json:
    return {
        "id": message.id,
        "content": message.content,
        "user": user_summary(state, state.people[message.user_id], message.company_id),
        "created_at": timestamp(message.created_at),
        "updated_at": timestamp(message.created_at),
        "is_edited": False,
        "is_pinned": False,
        "mentions": [],
        "mentions_everyone": False,
        "message_type": "regular",
        "poll": None,
        "poll_votes": [],
        "reaction_counts": [],
        "replying_to_message_id": None,
        "view_count": None,
    }
