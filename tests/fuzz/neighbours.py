"""AWS, Whop and Cognito's keys, all at the end of one HTTP client: right answers, unless one of them is to be wrong."""

import functools
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.fakes import tokens
from tests.fakes.settings import COMPANY_ID
from tests.fuzz.mutations import ODD_TEXTS, mutated_json
from tests.fuzz.virtual_time import NOW, TIME
from whop_chat.cognito.user import UserRef
from whop_chat.minting.features import FeaturePolicy
from whop_chat.minting.token_cache import CachedToken, CacheKey, TokenCache
from whop_chat.runtime.aws_clients import carried_clients
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.errors import TransportError
from whop_chat.runtime.http import HttpClient, Request, Response
from whop_chat.runtime.sealed import KeyRing
from whop_chat.runtime.secrets import CachedSecret

POOL_ID = tokens.POOL_ID
TABLE = "users"
# Nothing of these may be found in a log line or an answer, the token aside in the answer it is for.
API_KEY = "apik_Kanarie1Kanarie1Kanarie1"
WHOP_TOKEN = "whop.Kanarie2Kanarie2Kanarie2"
EMAIL = "kanarie3@kanarie3.example"
USERNAME = "Kanarie4-Kanarie4"
NAME = "Kanarie5 Kanarie5"
KEPT_TOKEN = "whop.Kanarie7Kanarie7Kanarie7"
DATA_KEY = "Kanarie8Kanarie8Kanarie8Kanarie8Kanarie8Kanarie8"
CANARIES = (API_KEY, WHOP_TOKEN, EMAIL, USERNAME, NAME, KEPT_TOKEN, DATA_KEY)
DATA_KEY_ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:data-key"

STATUSES: tuple[int, ...] = (
    100,
    200,
    201,
    202,
    204,
    206,
    299,
    301,
    304,
    400,
    401,
    403,
    404,
    405,
    408,
    409,
    410,
    413,
    418,
    422,
    425,
)
STATUSES += (429, 451, 499, 500, 501, 502, 503, 504, 599, 999)
_WAITS = ("0", "1", "12", "-1", "1.5", "99999999", "٣", "Wed, 21 Oct 2026 07:28:00 GMT", "", "soon", "1, 2")
_FAILURES = ("ConnectError", "ReadTimeout", "RemoteProtocolError", "BodyTooLarge", "ContentEncoding")
_AWS_ERRORS = (
    "AccessDeniedException",
    "ConditionalCheckFailedException",
    "ExpiredTokenException",
    "InternalServerError",
    "InvalidParameterException",
    "ProvisionedThroughputExceededException",
    "QueueDoesNotExist",
    "ReceiptHandleIsInvalid",
    "ResourceNotFoundException",
    "ThrottlingException",
    "TransactionCanceledException",
    "UserNotFoundException",
    "ValidationException",
)
_VERSION = "v1"
_WHOP_ERRORS = ("idempotency_key_mismatch", "parameter_invalid", "rate_limited", "a code\r\nwith a line", "x" * 500)


@dataclass
class Neighbours(HttpClient):
    """The outside of one case. ``wrong`` names the exchanges that go wrong, by neighbour and number, and the chance."""

    record: Mapping[str, Any] | None
    wrong: Mapping[tuple[str, int], random.Random] = field(default_factory=dict)
    checkpoint: Mapping[str, Any] | None = None
    kept_for: int | None = None
    """For how many seconds the user's last token has been kept; None if there is none."""
    seen: Counter[str] = field(default_factory=Counter)

    def send(self, request: Request, *, deadline: Deadline, max_bytes: int) -> Response:
        """See `HttpClient.send`."""
        deadline.require()
        TIME.sleep(0.01)
        name, answer = self._answer(request)
        chance = self.wrong.get((name, self.seen[name]))
        self.seen[name] += 1
        if chance is not None:
            answer = _spoilt(name, answer, chance)
        if len(answer.content) > max_bytes:
            raise TransportError("BodyTooLarge")
        return answer

    def close(self) -> None:
        """There is no connection."""

    def _answer(self, request: Request) -> tuple[str, Response]:
        target = request.headers.get("X-Amz-Target")
        if target is not None:
            asked = json.loads(request.content)
            return "aws", self._aws(target.rpartition(".")[2], asked)
        if request.url.path.endswith("jwks.json"):
            return "keys", Response(200, content=tokens.key_set_document(tokens.signing_key()))
        path = request.url.path.removeprefix("/api/v1")
        return "whop", self._whop(request.method, path, json.loads(request.content or b"{}"))

    def _aws(self, operation: str, asked: Any) -> Response:
        if operation == "UpdateItem":
            return self._updated(asked["Key"]["pk"]["S"])
        answers: dict[str, Callable[[], dict[str, Any]]] = {
            "GetSecretValue": lambda: {
                "SecretString": DATA_KEY if asked["SecretId"] == DATA_KEY_ARN else API_KEY,
                "VersionId": _VERSION,
            },
            "AdminGetUser": lambda: {**_row("UserAttributes"), "MFAOptions": []},
            "ListUsers": lambda: {"Users": [_row("Attributes")]},
            "GetItem": lambda: self._item(asked["Key"]["pk"]["S"]),
            "BatchGetItem": lambda: {
                "Responses": {
                    TABLE: [
                        item["Item"]
                        for key in asked["RequestItems"][TABLE]["Keys"]
                        if (item := self._item(key["pk"]["S"]))
                    ]
                },
                "UnprocessedKeys": {},
            },
            "Scan": lambda: {"Items": [{"pk": {"S": f"USER#{POOL_ID}#{tokens.SUB}"}}], "Count": 1},
            "SendMessageBatch": lambda: {"Successful": [{"Id": "0"}], "Failed": []},
            "GetQueueAttributes": lambda: {"Attributes": {"ApproximateNumberOfMessages": "0"}},
        }
        return _json(200, answers.get(operation, dict)())

    def _updated(self, key: str) -> Response:
        """What is asked of a user is on condition that there is a record; of a count, that there is room."""
        item = self._item(key).get("Item")
        if key.startswith("USER#") and item is None:
            return _json(400, {"__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException"})
        return _json(200, {"Attributes": item} if item else {})

    def _item(self, key: str) -> dict[str, Any]:
        kind = key.partition("#")[0]
        if kind == "USER" and self.record is not None:
            return {"Item": {"pk": {"S": key}, **_typed(self.record)}}
        if kind == "RECONCILE" and self.checkpoint is not None:
            written = {"version": self.checkpoint["version"], "checkpoint": json.dumps(self.checkpoint)}
            return {"Item": {"pk": {"S": key}, **_typed(written)}}
        if kind == "WAIT":
            wait = {"until": {"N": "1000000000.5"}, "reason": {"S": "limited"}, "trips": {"N": "0"}}
            return {"Item": {"pk": {"S": key}, "ttl": {"N": "4000000000"}, "mint_token": {"M": wait}}}
        if kind == "TOKEN" and self.kept_for is not None:
            return {"Item": item} if (item := _kept(self.kept_for).get(key)) else {}
        if kind == "LISTED":
            return {"Item": {"pk": {"S": key}, "fingerprints": {"B": "AAAAAAAAAAA="}}}
        return {}

    def _whop(self, method: str, path: str, asked: Any) -> Response:
        external_id = f"cognito:{POOL_ID}:{tokens.SUB}:1"
        account = {
            "id": "biz_Child",
            "email": EMAIL,
            "external_id": external_id,
            "metadata": {"external_id": external_id},
            "owner": {"id": "user_Ada", "name": NAME},
            "parent_account": {"id": COMPANY_ID},
        }
        match method, path:
            case "POST", "/accounts":
                return _json(201, account | {name: asked[name] for name in ("email", "external_id", "metadata")})
            case "GET", "/accounts":
                return _json(200, {"data": [account], "page_info": {"has_next_page": False}})
            case "POST", "/access_tokens":
                return _json(200, {"token": WHOP_TOKEN, "expires_at": asked["expires_at"]})
        return _json(200, account)


class _Caught(HttpClient):
    """Takes what is written for an item of `_kept`."""

    def __init__(self) -> None:
        self.items: dict[str, Any] = {}

    def send(self, request: Request, *, deadline: Deadline, max_bytes: int) -> Response:
        """See `HttpClient.send`."""
        item = json.loads(request.content)["Item"]
        self.items[item["pk"]["S"]] = item
        return _json(200, {})


class _DataKeys(CachedSecret[KeyRing]):
    def __init__(self) -> None:
        """There is nothing to read."""

    def current(self, *, deadline: Deadline) -> KeyRing:
        return KeyRing.from_secret(DATA_KEY)


@functools.cache
def _kept(seconds: int) -> dict[str, Any]:
    """The items of the tokens that were minted so long ago, of an hour each, by their keys."""
    caught, minted_at = _Caught(), datetime.fromtimestamp(NOW - seconds, UTC)
    kept = TokenCache(carried_clients(caught, region="eu-west-1"), TABLE, _DataKeys(), COMPANY_ID)
    token = CachedToken(KEPT_TOKEN, minted_at, minted_at + timedelta(hours=1))
    for features in (["channels", "dms"], ["channels"]):
        purpose = CacheKey(UserRef(POOL_ID, tokens.SUB, USERNAME), FeaturePolicy(features).scopes(None, groups=()))
        kept.store(purpose, "user_Ada", token, deadline=Deadline(60))
    return caught.items


def _spoilt(name: str, answer: Response, chance: random.Random) -> Response:
    """An answer of ``name`` with one thing wrong with it; raises what the transport raises."""
    match chance.choice(("failure", "status", "headers", "error", "body", "body", "body", "body")):
        case "failure":
            raise TransportError(chance.choice(_FAILURES))
        case "status":
            return Response(chance.choice(STATUSES), content=chance.choice((answer.content, b"", b"gone")))
        case "headers":
            headers = {
                "retry-after": chance.choice(_WAITS),
                "idempotent-replayed": chance.choice(("true", "TRUE", "?")),
            }
            headers["x-amzn-errortype"] = chance.choice(ODD_TEXTS)
            return Response(chance.choice(STATUSES), headers=_sendable(headers), content=answer.content)
        case "error":
            return _aws_error(chance) if name == "aws" else _whop_error(chance)
    return Response(answer.status_code, content=mutated_json(answer.content, chance))


def _aws_error(chance: random.Random) -> Response:
    code = chance.choice(_AWS_ERRORS)
    body = {"__type": f"com.amazonaws#{code}", "message": f"about {USERNAME}"}
    return _json(chance.choice((400, 400, 500, 503)), body)


def _whop_error(chance: random.Random) -> Response:
    message = chance.choice((f"{EMAIL} is taken", f"Try again in {chance.choice(_WAITS)} seconds.", API_KEY))
    error: Any = {"type": "invalid_request_error", "code": chance.choice(_WHOP_ERRORS), "message": message}
    error["param"] = chance.choice(("email", None, 7, EMAIL))
    headers = {"retry-after": chance.choice(_WAITS), "idempotent-replayed": chance.choice(("true", "false"))}
    body = chance.choice(({"error": error}, {"error": message}, [error], {"errors": [error]}))
    return Response(chance.choice(STATUSES[9:]), headers=_sendable(headers), json=body)


def _json(status: int, body: Any) -> Response:
    return Response(status, json=body)


def _typed(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: {"N": str(value)} if isinstance(value, int) else {"S": value} for name, value in values.items()}


def _row(attributes: str) -> dict[str, Any]:
    """A user as Cognito shows them."""
    values = {"sub": tokens.SUB, "email": EMAIL, "email_verified": "true", "name": NAME}
    return {
        "Username": USERNAME,
        attributes: [{"Name": name, "Value": value} for name, value in values.items()],
        "UserCreateDate": NOW - 86_400,
        "Enabled": True,
        "UserStatus": "CONFIRMED",
    }


def _sendable(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Headers as they come over the wire: what is beyond Latin-1 is left out."""
    return [(name.encode(), value.encode("latin-1", "ignore")) for name, value in headers.items()]
