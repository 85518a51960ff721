"""Bounds calls of AWS by the request's deadline, and turns botocore's errors into one.

A call looks as usual, inside a block:

    with aws_call(deadline):
        answer = self._aws.dynamodb.get_item(TableName=table, Key=key)
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from botocore.parsers import ResponseParserError

from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.errors import Retryable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MAX_READ = 100  # AWS, BatchGetItem
# The errors that a parser raises if an answer does not have the shape that AWS documents. For a time in no year, that
# is botocore's RuntimeError.
_MALFORMED = (ArithmeticError, AttributeError, KeyError, TypeError, ValueError, RuntimeError, ResponseParserError)

_bound: ContextVar[Deadline | None] = ContextVar("aws_deadline", default=None)


def bound_deadline() -> Deadline | None:
    """The deadline of the `aws_call` that this thread is in, or None outside of one."""
    return _bound.get()


class AwsError(Retryable):
    """An AWS call failed. ``code`` is AWS's error code, or the kind of failure if AWS did not answer.

    AWS's message is left out: it can repeat a parameter, and a parameter can be a user name. ``item`` is the stored
    item after a condition that failed (DynamoDB, ReturnValuesOnConditionCheckFailure).
    """

    def __init__(self, code: str, *, operation: str = "AWS", item: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{operation}: {code}")
        self.code = code
        self.item = item


@contextlib.contextmanager
def aws_call(deadline: Deadline) -> Iterator[None]:
    """Bound one call of a boto3 client by ``deadline``, and turn botocore's errors into `AwsError`.

    The block has this call only. Raises `AwsError`, and `whop_chat.runtime.deadline.DeadlineExceeded` if no time is
    left to start. Parameters that AWS does not know are a mistake of ours, so they raise `TypeError`.
    """
    deadline.require()
    bound = _bound.set(deadline)
    failure: Exception
    try:
        yield
    except ClientError as error:
        failure = _failure(error)
    except BotoCoreError as error:
        error.kwargs = {}
        error.args = ()
        wrong = isinstance(error, ParamValidationError)
        failure = TypeError("not the parameters of the call") if wrong else AwsError(type(error).__name__)
    except _MALFORMED:
        failure = AwsError("InvalidResponse")
    else:
        return
    finally:
        _bound.reset(bound)
    raise failure from None


@contextlib.contextmanager
def validating(operation: str) -> Iterator[None]:
    """Raise `AwsError` if the block finds that an answer to ``operation`` is not of the shape that AWS documents."""
    try:
        yield
    except _MALFORMED:
        raise AwsError("InvalidResponse", operation=operation) from None


def read_many(dynamodb: "DynamoDBClient", table: str, keys: Sequence[str], *, deadline: Deadline) -> list[Any]:
    """The items of at most `MAX_READ` different ``keys``, in no order. Items that do not exist are left out.

    Raises `AwsError` and `whop_chat.runtime.deadline.DeadlineExceeded`.
    """
    items: list[Any] = []
    wanted: Any = [{"pk": {"S": key}} for key in keys]
    # An answer names the keys that did not fit into it. AWS answers with an error if none did (BatchGetItem).
    while wanted:
        with aws_call(deadline):
            answer: Any = dynamodb.batch_get_item(RequestItems={table: {"Keys": wanted, "ConsistentRead": True}})
        with validating("BatchGetItem"):
            items += answer.get("Responses", {}).get(table, [])
            wanted = answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys")
    return items


def update_if(dynamodb: "DynamoDBClient", asked: Mapping[str, Any], *, deadline: Deadline) -> bool:
    """Make an UpdateItem, and return whether its condition was true.

    Raises `AwsError` and `whop_chat.runtime.deadline.DeadlineExceeded`.
    """
    try:
        with aws_call(deadline):
            dynamodb.update_item(**asked)
    except AwsError as error:
        if error.code != "ConditionalCheckFailedException":
            raise
        return False
    return True


def _failure(error: ClientError) -> AwsError:
    """Our error for botocore's. Botocore's is emptied, because it stays in memory as the context of ours."""
    response: Any = error.response
    error.response, error.args = {}, ()
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    code = str(response.get("Error", {}).get("Code") or "")
    known = code.isascii() and code.replace(".", "").replace("_", "").isalnum() and len(code) <= 100
    return AwsError(
        code if known and not code.isdigit() else f"Status{status}",
        operation=error.operation_name,
        item=response.get("Item"),
    )
