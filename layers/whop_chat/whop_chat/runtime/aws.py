"""AWS through boto3's clients, bounded by the request's deadline like every other call.

botocore builds, signs and reads a request. Our HTTP client carries it, because botocore's own timeouts count for each
read, so that a slow server could hold a caller for ever. A call looks as everywhere:

    with aws_call(deadline):
        answer = self._dynamodb.get_item(TableName=table, Key=key)
"""

import contextlib
import io
import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3.session
import botocore.session
import certifi
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config
from botocore.credentials import CredentialResolver, EnvProvider
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.errors import Retryable, TransportError
from whop_chat.runtime.partitions import aws_roots

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

    from whop_chat.runtime.http import HttpClient, Response

# /opt/ca-certificates on Lambda, where this file is /opt/python/whop_chat/runtime/aws.py.
_CA_DIRECTORY = Path(__file__).parents[3] / "ca-certificates"
MAX_READ = 100  # AWS, BatchGetItem
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
# botocore looks up each of these in the environment and in files. A function has neither profile nor files.
_SESSION_VARIABLES = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}
# What a reader of an answer raises if the answer does not have the shape that AWS documents.
_MALFORMED = (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError, ResponseParserError)

_deadline: ContextVar[Deadline | None] = ContextVar("aws_deadline", default=None)


class AwsError(Retryable):
    """An AWS call failed; ``code`` is AWS's error code, or what went wrong on the way if AWS never answered.

    AWS's message is left out: it can repeat a parameter, and a parameter can be a user name. ``item`` is what the table
    holds, after a condition that failed (DynamoDB, ReturnValuesOnConditionCheckFailure).
    """

    def __init__(self, code: str, *, operation: str = "AWS", item: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{operation}: {code}")
        self.code = code
        self.item = item


@contextlib.contextmanager
def aws_call(deadline: Deadline) -> Iterator[None]:
    """Around one call of a boto3 client, and nothing else: bounds it, and turns botocore's errors into `AwsError`.

    Raises `AwsError`, and `whop_chat.runtime.deadline.DeadlineExceeded` when there is no time left to start.
    """
    deadline.require()
    bound = _deadline.set(deadline)
    try:
        yield
    except ClientError as error:
        failure = _failure(error)
    except BotoCoreError as error:
        error.kwargs = {}
        error.args = ()
        failure = AwsError(type(error).__name__)
    except _MALFORMED:
        failure = AwsError("InvalidResponse")
    else:
        return
    finally:
        _deadline.reset(bound)
    raise failure from None


@contextlib.contextmanager
def validating(operation: str) -> Iterator[None]:
    """Where an answer to ``operation`` is read: raises `AwsError` if it is not of the shape that AWS documents."""
    try:
        yield
    except _MALFORMED:
        raise AwsError("InvalidResponse", operation=operation) from None


class AwsClients:
    """boto3's clients of one session, each made when it is first used; for any number of threads.

    ``endpoint`` is a local AWS, None for the real one. ``verify`` is a file of root certificates, None for botocore's.
    """

    def __init__(
        self,
        session: boto3.session.Session,
        *,
        endpoint: str | None = None,
        config: Config | None = None,
        verify: str | None = None,
    ) -> None:
        self._session = session
        self._endpoint = endpoint
        self._config = config
        self._verify = verify
        self._made: dict[str, Any] = {}
        # A session makes one client at a time (boto3, "Multithreading or multiprocessing with sessions").
        self._making = threading.Lock()

    @property
    def dynamodb(self) -> "DynamoDBClient":
        """The client of DynamoDB."""
        client: DynamoDBClient = self._client("dynamodb")
        return client

    @property
    def sqs(self) -> "SQSClient":
        """The client of SQS."""
        client: SQSClient = self._client("sqs")
        return client

    @property
    def secretsmanager(self) -> "SecretsManagerClient":
        """The client of Secrets Manager."""
        client: SecretsManagerClient = self._client("secretsmanager")
        return client

    @property
    def cognito(self) -> "CognitoIdentityProviderClient":
        """The client of Cognito's user pools."""
        client: CognitoIdentityProviderClient = self._client("cognito-idp")
        return client

    def _client(self, service: Any) -> Any:
        with self._making:
            if service not in self._made:
                self._made[service] = self._session.client(service, config=self._config, endpoint_url=self._endpoint)
            return self._made[service]


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
    session = _isolated_session(credentials)
    carrier: Any = _Carrier(http, attempt_seconds, max_bytes, sleep)
    session.register("before-send", carrier.send)
    carried = boto3.session.Session(botocore_session=session, region_name=region)
    return AwsClients(carried, endpoint=endpoint, config=_config())


def uncarried_clients(*, region: str, endpoint: str | None = None) -> AwsClients:
    """Clients over botocore's own HTTP, for a function that does without ours and leaves a call that is late.

    Each call has two attempts. Connecting and each read may take a second.
    """
    session = _isolated_session()
    handler: Any = _retry_once
    session.register("needs-retry", handler)
    config = _config(connect_timeout=1, read_timeout=1, proxies={})
    plain = boto3.session.Session(botocore_session=session, region_name=region)
    return AwsClients(plain, endpoint=endpoint, config=config, verify=_roots(region))


def _roots(region: str) -> str:
    """The file of root certificates for AWS: urllib3 takes a file, and the layer has a short one."""
    short = _CA_DIRECTORY / "aws.pem"
    return str(short) if aws_roots(region) == "aws" and short.is_file() else certifi.where()


def _retry_once(attempts: int, response: Any, caught_exception: Exception | None, **_: Any) -> float | None:
    """botocore's event ``needs-retry``: the seconds until the next attempt, None for none."""
    transient = caught_exception is not None or response[0].status_code >= 500
    return 0.05 if transient and attempts == 1 else None


def _config(**options: Any) -> Config:
    """One attempt, because the repetition is ours; an endpoint from nowhere but from us."""
    ours: dict[str, Any] = {
        "retries": {"mode": "standard", "total_max_attempts": 1},
        "account_id_endpoint_mode": "disabled",
        "ignore_configured_endpoint_urls": True,
    }
    return Config(**ours, **options)


def _isolated_session(credentials: Any = None) -> botocore.session.Session:
    """A session that reads no file, and takes no credentials but those that are given, or that Lambda puts into the
    environment.

    The rest of botocore's chain would ask addresses on the network for credentials. Its built-in handlers are about
    operations that we do not call.
    """
    session = botocore.session.Session(session_vars=_SESSION_VARIABLES, include_builtin_handlers=False)
    provider = _Given(credentials) if credentials else CredentialResolver([EnvProvider()])
    session.register_component("credential_provider", provider)
    return session


class _Given:
    """The place where a botocore session looks for credentials, with these in it."""

    def __init__(self, credentials: Any) -> None:
        self._credentials = credentials

    def load_credentials(self) -> Any:
        """Called by botocore, once a session; the credentials renew themselves."""
        return self._credentials


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
        deadline = _deadline.get()
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
            request.url, response.status_code, HTTPHeaders.from_dict(dict(response.headers)), _Body(response.content)
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
        if response.status_code == 200 and _json_object(response.content) is None:
            # botocore would make an empty success of it.
            raise AwsError("InvalidResponse", operation=operation)
        return response


class _Body(io.BytesIO):
    """A body as botocore reads it, which is as urllib3 gives it."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        """All of it at once."""
        yield self.getvalue()


def _is_transient(response: "Response") -> bool:
    """Whether the same request may succeed at once."""
    if response.status_code == 200:
        return False
    if response.status_code >= 500:
        return True
    answer = _json_object(response.content) or {}
    code = str(response.headers.get("x-amzn-errortype") or answer.get("__type"))
    return code.rpartition("#")[2].partition(":")[0] in _THROTTLED


def _json_object(body: bytes) -> dict[str, Any] | None:
    """A JSON object, or nothing at all, which AWS sends where there is nothing to say; None for anything else."""
    try:
        answer = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _failure(error: ClientError) -> AwsError:
    """Our error for botocore's, which gives up its message: it would stay in memory as the context of ours."""
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


def read_many(dynamodb: "DynamoDBClient", table: str, keys: Sequence[str], *, deadline: Deadline) -> list[Any]:
    """The items of at most `MAX_READ` different keys, in no order; what is not there is left out.

    Raises `AwsError` and `whop_chat.runtime.deadline.DeadlineExceeded`.
    """
    items: list[Any] = []
    wanted: Any = [{"pk": {"S": key}} for key in keys]
    # What did not fit into an answer is named in it; a call that gets nowhere is an error (AWS, BatchGetItem).
    while wanted:
        with aws_call(deadline):
            answer: Any = dynamodb.batch_get_item(RequestItems={table: {"Keys": wanted, "ConsistentRead": True}})
        with validating("BatchGetItem"):
            items += answer.get("Responses", {}).get(table, [])
            wanted = answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys")
    return items


def update_if(dynamodb: "DynamoDBClient", asked: Mapping[str, Any], *, deadline: Deadline) -> bool:
    """Make an UpdateItem, and say whether its condition held.

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
