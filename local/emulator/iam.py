"""IAM: the permission that a call needs, and the keys that a condition can test."""

import contextvars
import json
from collections.abc import Iterator
from typing import Any

from ministack import app
from ministack.core import iam_actions

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
