"""IAM: the permission that a call needs, the keys that a condition can test, and what the roles were allowed."""

import contextvars
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ministack import app
from ministack.core import iam_actions, iam_evaluator

from local.emulator.patching import Function, wrap

_BATCH = "Batch"
_PLAIN_HTTP = (b"x-forwarded-proto", b"http")

_is_plain: contextvars.ContextVar[bool] = contextvars.ContextVar("is_plain", default=False)


def install() -> None:
    """Apply the patches of this module."""
    wrap(iam_actions, "extract_iam_action", _batches_of_messages)
    wrap(iam_actions, "dynamodb_service_context", _leading_keys)
    wrap(app, "app", _notes_plain_http)
    wrap(app, "pin_request_origin", _secure_on_the_loopback)
    if path := os.environ.get("DECISION_LOG"):
        record = _DecisionLog(Path(path))
        wrap(iam_evaluator, "evaluate", record.allowed)
        wrap(iam_evaluator, "enforce", record.denied)


class _DecisionLog:
    """On AWS, the service's "last accessed" report and CloudTrail tell what a role did. Here a file does.

    A line is ``<role> <action> <Sid>``, in tabs. The Sid is that of the statement that allowed the call. It is empty if
    the call was denied.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def allowed(self, stock: Function) -> Function:
        def evaluate(context: Any, *policies: Any) -> Any:
            result = stock(context, *policies)
            if result.decision == "Allow":
                self._note(context.principal_arn, context.action, result.matched_sid)
            return result

        return evaluate

    def denied(self, stock: Function) -> Function:
        def enforce(access_key_id: str, action: str, *rest: Any, **keys: Any) -> Any:
            result = stock(access_key_id, action, *rest, **keys)
            if isinstance(result, iam_evaluator.EvalResult):
                self._note(result.principal_arn, action, "")
            return result

        return enforce

    def _note(self, principal: str, action: str, sid: str) -> None:
        _, assumed, role_and_session = principal.partition(":assumed-role/")
        if assumed:
            with self._path.open("a") as log:
                log.write(f"{role_and_session.partition('/')[0]}\t{action}\t{sid}\n")


def _notes_plain_http(stock: Function) -> Function:
    async def serve(scope: dict[str, Any], *channels: Any) -> None:
        _is_plain.set(_PLAIN_HTTP in scope.get("headers", ()))
        await stock(scope, *channels)

    return serve


def _secure_on_the_loopback(stock: Function) -> Function:
    """Stock sets ``aws:SecureTransport`` to false, because nobody here speaks TLS. Clients of AWS do.

    So the key is true, unless the request says ``X-Forwarded-Proto: http``. With it, a test can be such a client.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    """

    def pin(source_ip: str, _: bool) -> None:
        stock(source_ip, not _is_plain.get())

    return pin


def _batches_of_messages(stock: Function) -> Function:
    """Stock requires ``sqs:SendMessageBatch`` and the like; AWS requires the permission for a single message.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html
    """

    def action(*args: Any, **kwargs: Any) -> Any:
        found = stock(*args, **kwargs)
        return found.removesuffix(_BATCH) if found and found.startswith("sqs:") else found

    return action


def _leading_keys(stock: Function) -> Function:
    """Stock does not set ``dynamodb:LeadingKeys``, so a ``ForAllValues`` condition on it is always true.

    On AWS it has the partition keys of the items that a call names. A scan names none.
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
    """

    def context(body: bytes) -> dict[str, Any]:
        found: dict[str, Any] = stock(body)
        keys = sorted(set(_partition_keys(json.loads(body or b"{}"))))
        return found | ({"dynamodb:LeadingKeys": keys} if keys else {})

    return context


def _partition_keys(node: Any) -> Iterator[str]:
    """The partition keys anywhere in a request. Every table here has the partition key ``pk``."""
    match node:
        case {"pk": {"S": str(key)}}:
            yield key
        case dict():
            for name, each in node.items():
                if name != "ExclusiveStartKey":
                    yield from _partition_keys(each)
        case list():
            for each in node:
                yield from _partition_keys(each)
