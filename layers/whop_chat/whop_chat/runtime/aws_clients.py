"""boto3's clients for a function: with what Lambda gives it, and nothing else from outside.

botocore builds, signs and reads a request. Our HTTP client carries it, because botocore's own timeouts count for each
read, so that a slow server could hold a caller for ever.
"""

import io
import json
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3.session
import botocore.session
import certifi
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config
from botocore.configprovider import ConfigValueStore
from botocore.credentials import CredentialResolver, EnvProvider
from botocore.exceptions import HTTPClientError
from botocore.httpsession import URLLib3Session
from botocore.session import BOTOCORE_DEFAUT_SESSION_VARIABLES

from whop_chat.runtime.aws import AwsError, bound_deadline
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.errors import TransportError
from whop_chat.runtime.partitions import aws_roots

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

    from whop_chat.runtime.http import HttpClient, Response

# At DEBUG these repeat parameters and answers. Lambda can set the root logger to that level.
for _name in ("boto3", "botocore", "urllib3"):
    logging.getLogger(_name).setLevel(logging.WARNING)

# /opt/ca-certificates on Lambda, where this file is /opt/python/whop_chat/runtime/aws.py.
_CA_DIRECTORY = Path(__file__).parents[3] / "ca-certificates"
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
# The operations of ours that answer nothing; of any other, an answer without a body is none.
_WITHOUT_OUTPUT = frozenset({"ChangeMessageVisibility"})
# Over botocore's own HTTP: for a connect and for each read, and of an answer.
_UNCARRIED_SECONDS, _UNCARRIED_BYTES = 1.0, 64 * 1024


class AwsClients:
    """boto3's clients of one session, each made when it is first used; for any number of threads.

    ``endpoint`` is a local AWS, None for the real one.
    """

    def __init__(
        self,
        session: boto3.session.Session,
        *,
        endpoint: str | None = None,
        config: Config | None = None,
        region: str | None = None,
    ) -> None:
        self._session = session
        self._endpoint = endpoint
        self._config = config
        self._region = region
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
                self._made[service] = self._session.client(
                    service, region_name=self._region, endpoint_url=self._endpoint, config=self._config
                )
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
    carried = boto3.session.Session(botocore_session=session)
    return AwsClients(carried, region=region, endpoint=endpoint, config=_config())


def uncarried_clients(*, region: str, endpoint: str | None = None) -> AwsClients:
    """Clients over botocore's own HTTP, for a function that does without ours and leaves a call that is late.

    Each call has two attempts. Connecting and each read may take a second.
    """
    session = _isolated_session()
    handlers: Any = _retry_once, _Uncarried(_roots(region)).send
    session.register("needs-retry", handlers[0])
    session.register("before-send", handlers[1])
    plain = boto3.session.Session(botocore_session=session)
    return AwsClients(plain, region=region, endpoint=endpoint, config=_config())


class _Uncarried:
    """Sends by botocore's own HTTP, and reads no more than a small answer."""

    def __init__(self, roots: str) -> None:
        options: dict[str, Any] = {"verify": roots, "timeout": _UNCARRIED_SECONDS, "proxies": {}}
        self._http = URLLib3Session(**options)

    def send(self, request: AWSPreparedRequest, event_name: str, **_: Any) -> AWSResponse:
        """botocore's event ``before-send``: the answer to use in place of sending."""
        request.stream_output = True
        answer: Any = self._http.send(request)
        try:
            body = answer.raw.read(_UNCARRIED_BYTES + 1)
        finally:
            answer.raw.close()
        if len(body) > _UNCARRIED_BYTES:
            raise HTTPClientError(error="the answer is too large")
        operation = event_name.rpartition(".")[2]
        if answer.status_code == 200 and not _is_answer(body, operation):
            raise AwsError("InvalidResponse", operation=operation)
        return AWSResponse(request.url, answer.status_code, answer.headers, _Body(body))


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
        "disable_request_compression": True,
        # botocore would build its own twice a call.
        "user_agent": "whop-chat-auth",
    }
    return Config(**ours, **options)


def _isolated_session(credentials: Any = None) -> botocore.session.Session:
    """A session that reads no file and no setting of the environment.

    Without ``credentials`` it takes those that Lambda puts into the environment. The rest of botocore's chain would ask
    addresses on the network. Its built-in handlers are about operations that we do not call.
    """
    settings = ConfigValueStore()
    for name, (_, _, default, _) in BOTOCORE_DEFAUT_SESSION_VARIABLES.items():
        settings.set_config_variable(name, default)
    for name in ("config_file", "credentials_file"):
        settings.set_config_variable(name, None)
    session = botocore.session.Session(include_builtin_handlers=False)
    session.register_component("config_store", settings)
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
        if response.status_code == 200 and not _is_answer(response.content, operation):
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


def _is_answer(body: bytes, operation: str) -> bool:
    if not body:
        return operation in _WITHOUT_OUTPUT
    return _json_object(body) is not None


def _json_object(body: bytes) -> dict[str, Any] | None:
    """The JSON object that ``body`` is; None for anything else."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None
