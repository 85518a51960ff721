"""Calls to AWS, bounded by the request's deadline like every other call.

DynamoDB, Secrets Manager, SQS and Cognito all take signed JSON (Smithy, "AWS JSON 1.0 and 1.1 protocols"), so one
client serves the four, over the HTTP client that is there anyway. The SDK would cost each cold start a hundred
milliseconds and knows no total deadline; the tests hold this client to what it sends and signs.
"""

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from whop_chat.runtime.base_settings import AwsSettings
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.errors import Retryable
from whop_chat.runtime.http import HttpClient, Request, Response, TransportError
from whop_chat.runtime.signature import signed

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


class AwsError(Retryable):
    """An AWS call failed; ``code`` is AWS's error code, or what went wrong on the way if AWS never answered.

    AWS's message is left out: it can repeat a parameter, and a parameter can be a user name.
    """

    def __init__(
        self,
        code: str,
        *,
        operation: str = "AWS",
        passing: bool = False,
        item: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{operation}: {code}")
        self.code = code
        self.passing = passing
        """Whether the same request may succeed at once."""
        self.item = item
        """What stands in the table, with a condition that failed (DynamoDB, ReturnValuesOnConditionCheckFailure)."""


class Service(NamedTuple):
    """One of AWS's JSON services."""

    name: str
    """In its host name and in the signature."""
    target: str
    """What stands before the operation in X-Amz-Target."""
    json_version: str


DYNAMODB = Service("dynamodb", "DynamoDB_20120810", "1.0")
SECRETS_MANAGER = Service("secretsmanager", "secretsmanager", "1.1")
SQS = Service("sqs", "AmazonSQS", "1.0")
COGNITO = Service("cognito-idp", "AWSCognitoIdentityProviderService", "1.1")


class Aws:
    """AWS as one role sees it, in one region.

    Each call has two attempts of ``attempt_seconds`` at most, within its deadline, and an answer of ``max_bytes``. A
    call that had no answer may have had its effect, and is repeated all the same.
    """

    def __init__(
        self,
        http: HttpClient,
        settings: AwsSettings,
        *,
        attempt_seconds: float = _ATTEMPT_SECONDS,
        max_bytes: int = _MAX_RESPONSE_BYTES,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._http = http
        self._settings = settings
        self._attempt_seconds = attempt_seconds
        self._max_bytes = max_bytes
        self._sleep = sleep

    def call(
        self, service: Service, operation: str, parameters: Mapping[str, Any], *, deadline: Deadline
    ) -> dict[str, Any]:
        """What AWS answers, as it stands in the API reference of ``service``.

        Raises `AwsError`, and `whop_chat.runtime.deadline.DeadlineExceeded` when there is no time left to start.
        """
        try:
            return self._attempt(service, operation, parameters, deadline)
        except AwsError as error:
            if not error.passing or deadline.remaining() < _MIN_SECONDS_FOR_RETRY:
                raise
        from random import uniform  # here, because hardly a start needs it

        self._sleep(uniform(0.02, 0.1))  # noqa: S311 - jitter, not a secret
        return self._attempt(service, operation, parameters, deadline)

    def _attempt(
        self, service: Service, operation: str, parameters: Mapping[str, Any], deadline: Deadline
    ) -> dict[str, Any]:
        deadline = deadline.at_most(self._attempt_seconds)
        try:
            request = self._request(service, operation, json.dumps(parameters).encode())
            response = self._http.send(request, deadline=deadline, max_bytes=self._max_bytes)
        except TransportError as error:
            raise AwsError(error.reason, operation=operation, passing=True) from None
        answer = _json_object(response.content)
        if response.status_code != 200:
            code = _error_code(response, answer or {})
            passing = response.status_code >= 500 or code in _THROTTLED
            raise AwsError(code, operation=operation, passing=passing, item=(answer or {}).get("Item"))
        if answer is None:
            raise AwsError("InvalidResponse", operation=operation)
        return answer

    def _request(self, service: Service, operation: str, body: bytes) -> Request:
        settings, credentials = self._settings, self._settings.credentials
        url = settings.url(service.name)
        headers = {
            "Host": url.split("/")[2],
            "Content-Type": f"application/x-amz-json-{service.json_version}",
            "X-Amz-Target": f"{service.target}.{operation}",
        }
        if credentials.session_token:
            headers["X-Amz-Security-Token"] = credentials.session_token
        headers = signed(
            headers,
            body,
            at=time.time(),
            region=settings.region,
            service=service.name,
            key_id=credentials.access_key_id,
            secret=credentials.secret_access_key,
        )
        return Request("POST", url, headers=headers, content=body)


@contextlib.contextmanager
def understood(operation: str) -> Iterator[None]:
    """Where an answer to ``operation`` is read: raises `AwsError` if it is not of the shape that AWS documents."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError):
        raise AwsError("InvalidResponse", operation=operation) from None


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _error_code(response: Response, answer: Mapping[str, Any]) -> str:
    """The shape's name, without the namespace before it and the address after it (Smithy, "Operation error")."""
    told = response.headers.get("x-amzn-errortype") or answer.get("__type") or answer.get("code")
    name = str(told).rpartition("#")[2].partition(":")[0]
    return name if re.fullmatch(r"[A-Za-z0-9_.]{1,100}", name) and told else f"Status{response.status_code}"
