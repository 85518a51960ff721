"""The parts of `whop_chat`, at work on a deployed stack with the operator's credentials."""

import os
from collections.abc import Mapping
from functools import cached_property
from typing import Any, cast

from manage.audit import Audit
from manage.errors import Refused
from manage.stack import Stack
from manage.whop_api import WhopApi
from whop_chat.bootstrap import EnrolmentParts, email_policy, enrolment_parts
from whop_chat.cognito.issuer import PoolIssuer, jwks_url
from whop_chat.cognito.jwks import http_fetch, read_jwk_set
from whop_chat.cognito.pool import UserPool
from whop_chat.enrolment.email_policy import EmailPolicy
from whop_chat.oauth.links import OwnLinks
from whop_chat.oauth.revocations import RevocationList
from whop_chat.reconcile.checkpoint import CheckpointStore
from whop_chat.runtime import http
from whop_chat.runtime.aws_clients import carried_clients
from whop_chat.runtime.aws_session import AwsClients
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.metrics import Metric
from whop_chat.runtime.sealed import KeyRing, data_keys
from whop_chat.runtime.secrets import CachedSecret
from whop_chat.runtime.telemetry import Telemetry
from whop_chat.settings import AwsSettings, EnrolmentSettings, SettingsError, WhopSettings
from whop_chat.sync.backlog import Backlog
from whop_chat.sync.queue import SyncQueue
from whop_chat.users.repository import DynamoDBUserRepository
from whop_chat.users.runs import DynamoDBRuns
from whop_chat.whop.api_key import ApiKey
from whop_chat.whop.circuit_state import CircuitStates, DynamoDBCircuitStore
from whop_chat.whop.rate_limit import Priority

# As in reconcile: no app waits for the answer, and a page of users can be large.
_ATTEMPT_SECONDS = 4.0
_PAGE_BYTES = 16 * 1024 * 1024
_STEP_SECONDS = 20.0


class Deployment:
    """What the commands on users, runs and messages work with."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.pool_id = stack.output("UserPoolId")
        self._table = stack.output("UsersTableName")

    @staticmethod
    def deadline() -> Deadline:
        """The time that one step may take."""
        return Deadline(_STEP_SECONDS)

    @property
    def users(self) -> DynamoDBUserRepository:
        """The users table."""
        return DynamoDBUserRepository(self._aws, self._table)

    @property
    def pool(self) -> UserPool:
        """The user pool. Its answers have no display names."""
        return UserPool(self._aws, self.pool_id, ())

    @property
    def queue(self) -> SyncQueue:
        """The sync queue."""
        return SyncQueue(self._aws, self.stack.output("SyncQueueUrl"))

    @property
    def checkpoints(self) -> CheckpointStore:
        """What the reconcile runs stored: checkpoints and reports."""
        return CheckpointStore(self._aws, self._table, self.pool_id)

    @property
    def runs(self) -> DynamoDBRuns:
        """What became of the users of the runs."""
        return DynamoDBRuns(self._aws, self._table, self.pool_id)

    @property
    def backlog(self) -> Backlog:
        """How long messages of the sync queue wait that could not be handled yet."""
        return Backlog(self._aws, self._table, self.pool_id)

    def key_set(self) -> Mapping[str, Any]:
        """The keys of the pool by their ids, fetched now.

        Raises `whop_chat.cognito.jwks.JwksError`, and `Refused` if the environment names another endpoint of AWS.
        """
        issuer = cast(PoolIssuer, self.stack.parameters.get("UserPoolIssuer", "original"))
        url = jwks_url(self.pool_id, self._aws_settings.endpoint, issuer)
        return read_jwk_set(http_fetch(self._http, url)(self.deadline()))

    @property
    def audit(self) -> Audit:
        """The log of what operators did."""
        return Audit(self._aws, self._table, self.pool_id, self.stack.operator)

    @cached_property
    def settings(self) -> EnrolmentSettings:
        """The settings of the deployed function that enrols users, so that a command enrols as it does.

        Raises `Refused` if the function is of another version, or enrols the users of another pool.
        """
        try:
            settings = EnrolmentSettings.from_env(self.stack.environment("SyncUserFunctionName"))
        except SettingsError as error:
            raise self._other_version(error) from None
        if settings.user_pool_id != self.pool_id:
            raise Refused(
                f"Stack {self.stack.name} is being deployed for another user pool: try again after the deployment."
            )
        return settings

    @cached_property
    def whop_settings(self) -> WhopSettings:
        """How the deployed `mint_token` calls Whop. Raises `Refused` if its settings are of another version."""
        try:
            return WhopSettings.from_env(self.stack.environment("MintTokenFunctionName"))
        except SettingsError as error:
            raise self._other_version(error) from None

    @property
    def api_key(self) -> ApiKey:
        """The API key in use, as the functions read it. Raises what `whop_settings` raises."""
        return ApiKey(self._aws, self.whop_settings.whop_secret_arn)

    @property
    def whop(self) -> WhopApi:
        """Whop's API where the functions call it. Raises what `whop_settings` raises."""
        return self.whop_at(self.whop_settings.whop_base_url)

    def whop_at(self, base_url: str) -> WhopApi:
        """Whop's API at another host of Whop. Raises what `whop_settings` raises."""
        return WhopApi(self._http, base_url, self.whop_settings.whop_api_version)

    @property
    def whop_for_operator(self) -> WhopApi:
        """Whop's API where the stack calls it, also for a stack whose functions have no API key."""
        parameters = self.stack.parameters
        return WhopApi(self._http, parameters["WhopBaseUrl"], parameters["WhopApiVersion"])

    @property
    def own_links(self) -> OwnLinks:
        """The links to users' own Whop accounts, to seal them again. They cannot be opened with this object."""
        return OwnLinks(self._aws, self._table, self._data_keys, client_id="")

    @property
    def revocations(self) -> RevocationList:
        """The refresh tokens that are still to be revoked."""
        return RevocationList(self._aws, self._table, self._data_keys)

    @cached_property
    def _data_keys(self) -> CachedSecret[KeyRing]:
        return data_keys(self._aws, self.stack.output("DataKeySecretArn"))

    @property
    def email_policy(self) -> EmailPolicy:
        """The e-mail address that the stack enrols a user under."""
        return email_policy(self.settings)

    @cached_property
    def enrolment(self) -> EnrolmentParts:
        """Enrolment with the settings of the stack. Raises what `settings` raises."""
        aws, settings = self._aws, self.settings
        key = ApiKey(aws, settings.whop_secret_arn)
        return enrolment_parts(
            settings, aws, key, self._http, _Silent(), CircuitStates(self.circuit), Priority.BACKGROUND
        )

    @property
    def circuit(self) -> DynamoDBCircuitStore:
        """What all functions share about waits for Whop. Raises what `settings` raises."""
        return DynamoDBCircuitStore(self._aws, self.settings.users_table, self.settings.whop_company_id)

    def _other_version(self, error: SettingsError) -> Refused:
        return Refused(f"Stack {self.stack.name} has another version than this repository: deploy it first. {error}.")

    def as_data(self) -> dict[str, str]:
        """The stack and the user pool, for a JSON answer."""
        return {"stack": self.stack.name, "user_pool_id": self.pool_id}

    @cached_property
    def _aws(self) -> AwsClients:
        """AWS as the operator sees it. Raises what `_aws_settings` raises."""
        return carried_clients(
            self._http,
            region=self._aws_settings.region,
            endpoint=self._aws_settings.endpoint,
            credentials=self.stack.session.get_credentials(),
            attempt_seconds=_ATTEMPT_SECONDS,
            max_bytes=_PAGE_BYTES,
        )

    @cached_property
    def _aws_settings(self) -> AwsSettings:
        """Where AWS is. As in a function, the SDK's variable for another endpoint may name this machine only.

        Raises `Refused` if it names another one.
        """
        environment = {"AWS_REGION": self.stack.region, "AWS_ENDPOINT_URL": os.environ.get("AWS_ENDPOINT_URL", "")}
        try:
            return AwsSettings.from_env(environment)
        except SettingsError as error:
            raise Refused(f"The command does not run with these AWS settings: {error}.") from None

    @cached_property
    def _http(self) -> http.HttpClient:
        return http.HttpClient()


class _Silent(Telemetry):
    """Drops what a function would log and count: the operator reads the command's answer instead."""

    def __init__(self) -> None:
        pass

    def event(self, message: str, **fields: Any) -> None:
        """See `Telemetry.event`."""

    def warning(self, message: str, error: BaseException, **fields: Any) -> None:
        """See `Telemetry.warning`."""

    def count(self, metric: Metric, value: float = 1, **dimensions: str) -> None:
        """See `Telemetry.count`."""
