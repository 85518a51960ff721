"""What the stubs answer. They refuse what AWS or Whop would refuse, so no candidate wins by leaving it out."""

import hashlib
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bench import job


class Operation(StrEnum):
    """The operations that are counted."""

    KEYS = "keys"
    SECRET = "secret"  # noqa: S105 - the operation
    TABLE = "table"
    QUEUE = "queue"
    WHOP = "whop"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Request:
    """A whole request. Names of headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON body, and the operation that it counts as."""

    operation: Operation
    status: int
    body: bytes


class _RefusedError(Exception):
    """The message says what is wrong with the request."""


def answer(request: Request, key_set: bytes) -> Answer:
    """The answer to ``request``; ``key_set`` is the pool's."""
    try:
        operation, content = _dispatch(request, key_set)
    except (_RefusedError, KeyError, ValueError) as error:
        body = json.dumps({"message": f"{request.method} {request.path}: {type(error).__name__} {error}"})
        return Answer(Operation.REFUSED, 400, body.encode())
    return Answer(operation, 200, content)


def _dispatch(request: Request, key_set: bytes) -> tuple[Operation, bytes]:
    host = request.headers["host"].removesuffix(":443")
    target = request.headers.get("x-amz-target")
    if target is not None:
        wanted_host, operation, read = _AWS[target]
        _require(host == wanted_host, f"{target} goes to {wanted_host}")
        _require(request.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential="), "not signed")
        return operation, json.dumps(read(json.loads(request.body))).encode()
    if (request.method, host, request.path) == ("GET", job.COGNITO_HOST, f"/{job.POOL}/.well-known/jwks.json"):
        return Operation.KEYS, key_set
    _require((request.method, host, request.path) == ("POST", job.WHOP_HOST, "/api/v1/access_tokens"), f"at {host}")
    _require(request.headers["authorization"] == f"Bearer {job.API_KEY}", "not the API key")
    return Operation.WHOP, json.dumps(_whop_token(json.loads(request.body))).encode()


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise _RefusedError(otherwise)


def _secret(body: Mapping[str, Any]) -> Mapping[str, Any]:
    _require(body["SecretId"] == job.SECRET_ARN, "not the secret")
    version = "11111111-2222-3333-4444-555555555555"
    return {"ARN": job.SECRET_ARN, "Name": "whop", "VersionId": version, "SecretString": job.API_KEY}


def _item(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The user's record. There is no item of `whop_chat.whop.circuit_state`."""
    _require(body.get("ConsistentRead") is True, "not strongly consistent")
    if body["Key"] == {"pk": {"S": f"CIRCUIT#{job.COMPANY}"}}:
        return {}  # No circuit is open.
    return {"Item": _record(body)}


def _counted(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """One call counts a user's first mint of a minute, which is the usual case, and returns the record."""
    _require("attribute_exists(pk)" in body["ConditionExpression"], "would make a record")
    _require(body["ReturnValues"] == "ALL_NEW", "does not read the record")
    return {"Attributes": _record(body)}


def _record(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The user's record as `whop_chat.users.repository` writes it."""
    key = f"USER#{job.POOL}#{job.SUB}"
    _require(body["TableName"] == job.TABLE and body["Key"] == {"pk": {"S": key}}, "not the user")
    texts = {
        "pk": key, "pool": job.POOL, "sub": job.SUB, "status": "linked", "version": uuid.uuid4().hex,
        "whop_user_id": job.WHOP_USER, "whop_account_id": "biz_Child", "profile_digest": "0" * 64,
    }  # fmt: skip
    numbers = {
        "generation": 1, "lease_until": 0, "key_since": 0, "synced_at": 1_790_000_000, "repairs": 0, "repaired_at": 0,
        "mints_since": 1_790_000_000, "mints": 1,
    }  # fmt: skip
    return {name: {"S": text} for name, text in texts.items()} | {
        name: {"N": str(number)} for name, number in numbers.items()
    }


def _message(body: Mapping[str, Any]) -> Mapping[str, Any]:
    _require(body["QueueUrl"] == job.QUEUE_URL, "not the queue")
    _require(json.loads(body["MessageBody"])["sub"] == job.SUB, "not the user")
    digest = hashlib.md5(body["MessageBody"].encode(), usedforsecurity=False).hexdigest()
    return {"MessageId": str(uuid.uuid4()), "MD5OfMessageBody": digest}


def _whop_token(body: Mapping[str, Any]) -> Mapping[str, Any]:
    _require(job.COMPANY in (body.get("account_id"), body.get("company_id")), "not the company")
    _require(body["user_id"] == job.WHOP_USER and bool(body["scoped_actions"]), "not the user, or no scopes")
    return {"token": job.WHOP_TOKEN, "expires_at": body["expires_at"]}


type _Read = Callable[[Mapping[str, Any]], Mapping[str, Any]]

_AWS: Mapping[str, tuple[str, Operation, _Read]] = {
    "secretsmanager.GetSecretValue": (job.SECRETS_HOST, Operation.SECRET, _secret),
    "DynamoDB_20120810.GetItem": (job.TABLE_HOST, Operation.TABLE, _item),
    "DynamoDB_20120810.UpdateItem": (job.TABLE_HOST, Operation.TABLE, _counted),
    "AmazonSQS.SendMessage": (job.QUEUE_HOST, Operation.QUEUE, _message),
}
