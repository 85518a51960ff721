"""A botocore session that reads only what Lambda gives a function, and the clients of AWS's services."""

import io
import json
import logging
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.config import Config
from botocore.configprovider import ConfigValueStore
from botocore.credentials import CredentialResolver, EnvProvider
from botocore.session import BOTOCORE_DEFAUT_SESSION_VARIABLES

from whop_chat.runtime.version import USER_AGENT

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

# At DEBUG these loggers write parameters and answers. Lambda can set the root logger to that level.
for _name in ("boto3", "botocore", "urllib3"):
    logging.getLogger(_name).setLevel(logging.WARNING)


class AwsClients:
    """The clients of the services we use, for any number of threads. Each is made at its first use.

    ``make`` is `boto3.session.Session.client` or botocore's ``create_client``, which makes the same clients.
    ``endpoint`` is the address of a local emulator, or None for AWS.
    """

    def __init__(
        self,
        make: Callable[..., Any],
        *,
        endpoint: str | None = None,
        config: Config | None = None,
        region: str | None = None,
    ) -> None:
        self._make = make
        self._endpoint = endpoint
        self.config = config
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
    def functions(self) -> "LambdaClient":
        """The client of Lambda."""
        client: LambdaClient = self._client("lambda")
        return client

    @property
    def cognito(self) -> "CognitoIdentityProviderClient":
        """The client of Cognito's user pools."""
        client: CognitoIdentityProviderClient = self._client("cognito-idp")
        return client

    def _client(self, service: Any) -> Any:
        with self._making:
            if service not in self._made:
                self._made[service] = self._make(
                    service, region_name=self._region, endpoint_url=self._endpoint, config=self.config
                )
            return self._made[service]


def config(**options: Any) -> Config:
    """botocore's settings: one attempt, because `Carrier` retries, and no endpoint but the one we give."""
    ours: dict[str, Any] = {
        "retries": {"mode": "standard", "total_max_attempts": 1},
        "account_id_endpoint_mode": "disabled",
        "ignore_configured_endpoint_urls": True,
        "disable_request_compression": True,
        # Otherwise botocore would build its own value twice a call.
        "user_agent": USER_AGENT,
    }
    return Config(**ours, **options)


def isolated_session(credentials: Any = None) -> botocore.session.Session:
    """A session that reads no file and no setting of the environment.

    Without ``credentials`` it takes those that Lambda puts into the environment. The rest of botocore's chain would
    send requests to addresses on the network. botocore's built-in handlers serve operations that we do not call.
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
    """A botocore credential provider that returns the given credentials."""

    def __init__(self, credentials: Any) -> None:
        self._credentials = credentials

    def load_credentials(self) -> Any:
        """The credentials, which renew themselves. botocore calls this once a session."""
        return self._credentials


class Body(io.BytesIO):
    """A body with the methods of urllib3's, which botocore reads."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        """The whole body, as one chunk."""
        yield self.getvalue()


def json_object(body: bytes) -> dict[str, Any] | None:
    """The JSON object in ``body``, or None if it has anything else."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None
