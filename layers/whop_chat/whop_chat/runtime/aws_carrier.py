"""Carries botocore's requests to AWS: how often they are tried, and which answers count."""

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

# Below this there is no point in a second attempt: the answer could not arrive.
_MIN_SECONDS_FOR_RETRY = 0.1
# The operations of ours that answer nothing. For any other, an answer without a body is none.
_WITHOUT_OUTPUT = frozenset({"ChangeMessageVisibility"})
# What the SDKs try again (AWS, "Retry behavior"), of the errors that our services know.
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
    """What a transport brings back: `whop_chat.runtime.http.Response`, or the like."""

    @property
    def status_code(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, whose names are found in lower case."""

    @property
    def content(self) -> bytes:
        """The whole body."""


class Carrier:
    """Sends botocore's requests by ``transport``, in place of botocore's own HTTP.

    ``transport`` makes one attempt within a deadline, and raises `TransportError`. A call has two attempts at most. A
    call without an answer may have had its effect; it is repeated.
    """

    def __init__(
        self,
        transport: Callable[[AWSPreparedRequest, Deadline], Answer],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._transport = transport
        self._sleep = sleep

    def send(self, request: AWSPreparedRequest, event_name: str, **_: Any) -> AWSResponse:
        """botocore's event ``before-send``: the answer to use in place of sending."""
        deadline = bound_deadline()
        if deadline is None:
            raise RuntimeError("a call of AWS outside of aws_call")
        operation = event_name.rpartition(".")[2]
        try:
            answer = self._attempt(request, operation, deadline)
            retry = _is_transient(answer)
        except AwsError as error:
            if error.code == "InvalidResponse" or deadline.remaining() < _MIN_SECONDS_FOR_RETRY:
                raise
            retry = True
        if retry and deadline.remaining() >= _MIN_SECONDS_FOR_RETRY:
            self._sleep(random.uniform(0.02, 0.1))  # noqa: S311 - jitter, not a secret
            answer = self._attempt(request, operation, deadline)
        return AWSResponse(
            request.url, answer.status_code, HTTPHeaders.from_dict(dict(answer.headers)), Body(answer.content)
        )

    def _attempt(self, request: AWSPreparedRequest, operation: str, deadline: Deadline) -> Answer:
        try:
            answer = self._transport(request, deadline)
        except TransportError as error:
            raise AwsError(error.reason, operation=operation) from None
        # botocore would make an empty success of these. Our services answer a success with 200 and JSON.
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
