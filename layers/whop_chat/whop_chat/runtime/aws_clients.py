"""boto3's clients for a function: with what Lambda gives it, and nothing else from outside.

botocore builds, signs and reads a request. Our HTTP client carries it, because botocore's own timeouts count for each
read, so that a slow server could hold a caller for ever.
"""

import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import boto3.session
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders

from whop_chat.runtime.aws import AwsError, bound_deadline
from whop_chat.runtime.aws_session import AwsClients, Body, config, is_answer, isolated_session, json_object
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.errors import TransportError

if TYPE_CHECKING:
    from whop_chat.runtime.http import HttpClient, Response

_MAX_RESPONSE_BYTES = 1024 * 1024
_ATTEMPT_SECONDS = 1.0
# Below this there is no point in a second attempt: the answer could not arrive.
_MIN_SECONDS_FOR_RETRY = 0.1
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


def carried_clients(
    http: "HttpClient",
    *,
    region: str,
    endpoint: str | None = None,
    credentials: Any = None,
    attempt_seconds: float = _ATTEMPT_SECONDS,
    max_bytes: int = _MAX_RESPONSE_BYTES,
    sleep: Callable[[float], None] = time.sleep,
) -> AwsClients:
    """Clients whose requests ``http`` carries, and which are called inside `aws_call` only.

    ``endpoint`` is a local AWS, None for the real one. ``credentials`` are those of a session; None takes the
    function's own. A call has two attempts of ``attempt_seconds`` at most, within
    its deadline, and an answer of ``max_bytes``. A call without an answer may have had its effect; it is repeated.
    """
    session = isolated_session(credentials)
    carrier: Any = _Carrier(http, attempt_seconds, max_bytes, sleep)
    session.register("before-send", carrier.send)
    carried = boto3.session.Session(botocore_session=session)
    return AwsClients(carried.client, region=region, endpoint=endpoint, config=config())


class _Carrier:
    """Carries botocore's requests over our HTTP client, in place of botocore's own."""

    def __init__(
        self, http: "HttpClient", attempt_seconds: float, max_bytes: int, sleep: Callable[[float], None]
    ) -> None:
        self._http = http
        self._attempt_seconds = attempt_seconds
        self._max_bytes = max_bytes
        self._sleep = sleep

    def send(self, request: AWSPreparedRequest, event_name: str, **_: Any) -> AWSResponse:
        """botocore's event ``before-send``: the answer to use in place of sending."""
        deadline = bound_deadline()
        if deadline is None:
            raise RuntimeError("a call of AWS outside of aws_call")
        operation = event_name.rpartition(".")[2]
        try:
            response = self._attempt(request, operation, deadline)
            retry = _is_transient(response)
        except AwsError as error:
            if error.code == "InvalidResponse" or deadline.remaining() < _MIN_SECONDS_FOR_RETRY:
                raise
            retry = True
        if retry and deadline.remaining() >= _MIN_SECONDS_FOR_RETRY:
            self._sleep(random.uniform(0.02, 0.1))  # noqa: S311 - jitter, not a secret
            response = self._attempt(request, operation, deadline)
        return AWSResponse(
            request.url, response.status_code, HTTPHeaders.from_dict(dict(response.headers)), Body(response.content)
        )

    def _attempt(self, request: AWSPreparedRequest, operation: str, deadline: Deadline) -> "Response":
        content: Any = request.body or b""
        try:
            response = self._http.request(
                request.method,
                request.url,
                headers=dict(request.headers),
                content=content,
                deadline=deadline.at_most(self._attempt_seconds),
                max_bytes=self._max_bytes,
            )
        except TransportError as error:
            raise AwsError(error.reason, operation=operation) from None
        if response.status_code == 200 and not is_answer(response.content, operation):
            # botocore would make an empty success of it.
            raise AwsError("InvalidResponse", operation=operation)
        return response


def _is_transient(response: "Response") -> bool:
    """Whether the same request may succeed at once."""
    if response.status_code == 200:
        return False
    if response.status_code >= 500:
        return True
    answer = json_object(response.content) or {}
    code = str(response.headers.get("x-amzn-errortype") or answer.get("__type"))
    return code.rpartition("#")[2].partition(":")[0] in _THROTTLED
