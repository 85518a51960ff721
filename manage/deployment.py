"""The parts of the package at work on a deployed stack, with the operator's credentials."""

import os
from functools import cached_property
from typing import Any

from manage.audit import Audit
from manage.console import Refused
from manage.stack import Stack
from whop_chat.bootstrap import EnrolmentParts, addresses, enrolment_parts
from whop_chat.cognito.pool import PoolUsers
from whop_chat.enrolment.email_policy import Addresses
from whop_chat.reconcile.checkpoint import Ledger
from whop_chat.runtime import http as transport
from whop_chat.runtime.aws import Aws
from whop_chat.runtime.base_settings import AwsSettings, SettingsError
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.telemetry import Observer
from whop_chat.settings import EnrolmentSettings
from whop_chat.sync.queue import SyncQueue
from whop_chat.users.repository import Users
from whop_chat.whop.api_key import ApiKey
from whop_chat.whop.circuit_state import WaitItem, Waits
from whop_chat.whop.rate_limit import Share

# As for reconcile: nobody waits for an answer in a hurry, and a page of users can be large.
_ATTEMPT_SECONDS = 4.0
_PAGE_BYTES = 16 * 1024 * 1024
_SECONDS = 20.0


class Deployment:
    """What the commands about users work with.

    A part is to be asked for each time it is used: the SDK renews credentials that end, and the part is then another.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.pool_id = stack.output("UserPoolId")
        self._table = stack.output("UsersTableName")
        self._aws: tuple[Any, Aws] | None = None
        self._enrolment: tuple[Aws, EnrolmentParts] | None = None

    @staticmethod
    def deadline() -> Deadline:
        """The time of one step."""
        return Deadline(_SECONDS)

    @property
    def aws(self) -> Aws:
        """AWS as the operator sees it."""
        credentials: Any = self.stack.session.get_credentials()
        frozen = credentials.get_frozen_credentials()
        if self._aws is None or self._aws[0] != frozen:
            self._aws = (
                frozen,
                Aws(self._http, self._settings(frozen), attempt_seconds=_ATTEMPT_SECONDS, max_bytes=_PAGE_BYTES),
            )
        return self._aws[1]

    @property
    def users(self) -> Users:
        """The records."""
        return Users(self.aws, self._table)

    @property
    def pool(self) -> PoolUsers:
        """The user pool; what its users are called is not asked for."""
        return PoolUsers(self.aws, self.pool_id, ())

    @property
    def queue(self) -> SyncQueue:
        """The sync queue."""
        return SyncQueue(self.aws, self.stack.output("SyncQueueUrl"))

    @property
    def ledger(self) -> Ledger:
        """What reconcile remembers."""
        return Ledger(self.aws, self._table, self.pool_id)

    @property
    def audit(self) -> Audit:
        """What operators did."""
        return Audit(self.aws, self._table, self.pool_id, self.stack.operator)

    @cached_property
    def settings(self) -> EnrolmentSettings:
        """What the deployed function that enrols users is set to, so that a command does as it does."""
        try:
            settings = EnrolmentSettings.from_env(self.stack.environment("SyncUserFunctionName"))
        except SettingsError as error:
            raise Refused(
                f"Stack {self.stack.name} is not of this repository's version, deploy it first: {error}."
            ) from None
        if settings.user_pool_id != self.pool_id:
            raise Refused(
                f"Stack {self.stack.name} is being deployed for another user pool: try again when it is done."
            )
        return settings

    @property
    def addresses(self) -> Addresses:
        """Which address a user is enrolled under there."""
        return addresses(self.settings)

    @property
    def enrolment(self) -> EnrolmentParts:
        """Enrolment as the stack does it."""
        aws = self.aws
        if self._enrolment is None or self._enrolment[0] is not aws:
            settings = self.settings
            key = ApiKey(aws, settings.whop_secret_arn)
            waits = Waits(WaitItem(aws, settings.users_table, settings.whop_company_id))
            parts = enrolment_parts(settings, aws, key, self._http, _Silent(), waits, Share.BACKGROUND)
            self._enrolment = aws, parts
        return self._enrolment[1]

    @cached_property
    def _http(self) -> transport.HttpClient:
        return transport.HttpClient()

    def _settings(self, frozen: Any) -> AwsSettings:
        """As a function's: the SDK's variable for another endpoint counts, and may only lead to this machine."""
        try:
            return AwsSettings.from_env(
                {
                    "AWS_REGION": self.stack.region,
                    "AWS_ACCESS_KEY_ID": frozen.access_key,
                    "AWS_SECRET_ACCESS_KEY": frozen.secret_key,
                    "AWS_SESSION_TOKEN": frozen.token or "",
                    "AWS_ENDPOINT_URL": os.environ.get("AWS_ENDPOINT_URL", ""),
                }
            )
        except SettingsError as error:
            raise Refused(f"With these AWS settings the command does not run: {error}.") from None


class _Silent(Observer):
    """An operator is told by the answer; what a function would log and count is not said."""

    def __init__(self) -> None:
        pass

    def counted(self, metric: str, message: str, **fields: Any) -> None:
        """See `Observer.counted`."""

    def failed(self, message: str, error: BaseException, *, metric: str | None = None) -> None:
        """See `Observer.failed`."""
