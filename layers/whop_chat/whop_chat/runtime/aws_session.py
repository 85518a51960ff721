"""botocore with what Lambda gives a function, and nothing else from outside; and the clients that are made of it."""

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

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

# At DEBUG these repeat parameters and answers. Lambda can set the root logger to that level.
for _name in ("boto3", "botocore", "urllib3"):
    logging.getLogger(_name).setLevel(logging.WARNING)


class AwsClients:
    """The clients that ``make`` makes, each when it is first used; for any number of threads.

    ``make`` is `boto3.session.Session.client` or botocore's ``create_client``, which makes the same clients.

    ``endpoint`` is a local AWS, None for the real one.
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


def isolated_session(credentials: Any = None) -> botocore.session.Session:
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


class Body(io.BytesIO):
    """A body as botocore reads it, which is as urllib3 gives it."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        """All of it at once."""
        yield self.getvalue()


def json_object(body: bytes) -> dict[str, Any] | None:
    """The JSON object that ``body`` is; None for anything else."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None
