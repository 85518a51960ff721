"""Sends botocore's requests to AWS, retries them once, and refuses answers that prove nothing."""

import random
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders

from whop_chat.runtime.aws import AwsError, bound_deadline
from whop_chat.runtime.aws_session import Body, json_object
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.errors import TransportError

# With less time left, a second attempt could not get its answer.
_MIN_SECONDS_FOR_RETRY = 0.1
# The operations that we call and that have no output. For any other, an empty body is invalid.
_WITHOUT_OUTPUT = frozenset({"ChangeMessageVisibility"})
# The errors of our services that AWS's SDKs retry (AWS, "Retry behavior").
_THROTTLED = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)


class Answer(Protocol):
    """The answer of a transport, such as `whop_chat.runtime.http.Response`."""

    @property
    def status_code(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers. A lookup by a name in lower case finds them."""

    @property
    def content(self) -> bytes:
        """The whole body."""


class Carrier:
    """Sends botocore's requests through ``transport``, in place of botocore's own HTTP.

    ``transport`` makes one attempt within a deadline, and raises `TransportError`. A call has two attempts at most. A
    call without an answer is retried, although its first attempt may have had its effect.
    """

    def __init__(
        self,
        transport: Callable[[AWSPreparedRequest, Deadline], Answer],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._transport = transport
        self._sleep = sleep

    def send(self, request: AWSPreparedRequest, event_name: str, **_: Any) -> AWSResponse:
        """The answer to ``request``, for botocore's event ``before-send``: botocore then sends nothing itself.

        Raises `AwsError`, and `RuntimeError` outside of `aws_call`.
        """
        deadline = bound_deadline()
        if deadline is None:
            raise RuntimeError("a call of AWS outside of aws_call")
        operation = event_name.rpartition(".")[2]
        try:
            answer = self._attempt(request, operation, deadline)
            retry = _is_transient(answer) and deadline.remaining() >= _MIN_SECONDS_FOR_RETRY
        except AwsError as error:
            if error.code == "InvalidResponse" or deadline.remaining() < _MIN_SECONDS_FOR_RETRY:
                raise
            retry = True
        if retry:
            self._sleep(random.uniform(0.02, 0.1))  # noqa: S311  # nosec B311  # jitter, not a secret
            answer = self._attempt(request, operation, deadline)
        return AWSResponse(
            request.url, answer.status_code, HTTPHeaders.from_dict(dict(answer.headers)), Body(answer.content)
        )

    def _attempt(self, request: AWSPreparedRequest, operation: str, deadline: Deadline) -> Answer:
        try:
            answer = self._transport(request, deadline)
        except TransportError as error:
            raise AwsError(error.reason, operation=operation) from None
        # botocore would take these for an empty success. Our services answer a success with 200 and JSON.
        if 200 <= answer.status_code < 300 and not _is_success(answer, operation):
            raise AwsError("InvalidResponse", operation=operation)
        return answer


def _is_success(answer: Answer, operation: str) -> bool:
    if answer.status_code != 200:
        return False
    if not answer.content:
        return operation in _WITHOUT_OUTPUT
    return json_object(answer.content) is not None


def _is_transient(answer: Answer) -> bool:
    """Whether the same request may succeed at once."""
    if answer.status_code < 400:
        return False
    if answer.status_code >= 500:
        return True
    body = json_object(answer.content) or {}
    code = str(answer.headers.get("x-amzn-errortype") or body.get("__type") or body.get("code"))
    return code.rpartition("#")[2].partition(":")[0] in _THROTTLED
