"""The service as it is deployed, with everything around it in memory."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from local.whop_simulator import Limits, Readings, Simulator
from soak.cognito import CLIENT_ID, POOL_ID, Person, Pool
from soak.dynamodb import Table
from soak.fault_injector import FaultInjector
from soak.http_client import sent_over
from soak.lambdas import Function, FunctionFailed, QueueSource
from soak.network import WHOP, Network
from soak.scheduler import Scheduler
from soak.secrets_manager import Secrets
from soak.sqs import Queue
from soak.telemetry import CountingTelemetry
from soak.virtual_clock import virtual_time
from whop_chat.cognito.user import UserRef
from whop_chat.runtime import telemetry as observability
from whop_chat.sync.queue import Source, encode

COMPANY = "biz_Soak"
WHOP_SECRET = "arn:aws:secretsmanager:eu-west-1:000000000000:secret:whop"
DATA_KEY_SECRET = "arn:aws:secretsmanager:eu-west-1:000000000000:secret:data-key"
OAUTH_SECRET = "arn:aws:secretsmanager:eu-west-1:000000000000:secret:oauth-client"
_QUEUE = "https://sqs.eu-west-1.amazonaws.com/000000000000/sync"
_DEAD_LETTERS = f"{_QUEUE}-dead"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "soak",
    "AWS_SECRET_ACCESS_KEY": "soak",
    "AWS_REGION": "eu-west-1",
    "SYNC_QUEUE_URL": _QUEUE,
    "SYNC_DEAD_LETTER_QUEUE_URL": _DEAD_LETTERS,
    "USER_POOL_ID": POOL_ID,
    "USER_POOL_CLIENT_IDS": CLIENT_ID,
    "USERS_TABLE": "users",
    "WHOP_SECRET_ARN": WHOP_SECRET,
    "WHOP_COMPANY_ID": COMPANY,
    "WHOP_BASE_URL": WHOP,
    "WHOP_API_VERSION": "2026-10-15-1",
    "WHOP_COMPANY_FIELD": "account_id",
    "ENROLMENT_EMAIL": "verified",
    "ALIAS_EMAIL_TEMPLATE": "",
    "TRUSTED_PROVIDERS": "",
    "EMAIL_REUSE": "refuse",
    "PROFILE_NAME": "name,given_name+family_name",
    "DELETE_POLICY": "keep-account",
    "USER_POOL_ISSUER": "original",
    "TOKEN_USE": "access",
    "CHAT_FEATURES": "channels,dms,support",
    "TOKEN_TTL_MINUTES": "60",
    "REQUIRED_SCOPE": "",
    "DENIED_GROUPS": "",
    "GROUP_FEATURES": "",
    "MINTS_PER_MINUTE": "30",
    "TOKEN_REUSE": "never",
    "DATA_KEY_SECRET_ARN": DATA_KEY_SECRET,
}
API_LIMITS = (500, 1000)  # template.yaml, ApiRateLimit and ApiBurstLimit
_TICK_SECONDS = 60.0
_TRIGGER_TRIES = 3  # AWS, Cognito: "Lambda triggers"
_CHANGE_ARRIVES_SECONDS = (20.0, 300.0)


class Stack:
    """All functions and the services that they call. ``settings`` replaces environment variables."""

    def __init__(
        self,
        scheduler: Scheduler,
        faults: FaultInjector,
        *,
        limits: Limits | None = None,
        readings: Readings | None = None,
        duplicates: float = 0.0,
        changes_lost: float = 0.0,
        failed_entries: float = 0.0,
        unprocessed: float = 0.05,
        overlooked: float = 0.0,
        wait_in_header_only: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.scheduler = scheduler
        self.faults = faults
        self.telemetry = CountingTelemetry()
        self.table = Table(scheduler, unprocessed=unprocessed)
        self.queue = Queue(scheduler, duplicates=duplicates, failed_entries=failed_entries)
        self.dead_letters = Queue(scheduler)
        self.pool = Pool(scheduler, overlooked=overlooked)
        self.secrets = Secrets({WHOP_SECRET: "whop-key-0", DATA_KEY_SECRET: "0123456789abcdef" * 4, OAUTH_SECRET: ""})
        self.simulator = Simulator(clock=scheduler.time, limits=limits, readings=readings)
        self.simulator.add_company(COMPANY)
        self.simulator.add_key(self.secrets[WHOP_SECRET], company_id=COMPANY)
        services = {
            "dynamodb": self.table.call,
            "cognito-idp": self.pool.call,
            "secretsmanager": self.secrets.call,
            "sqs": self._queue_call,
        }
        self.network = Network(
            scheduler, services, self.pool, self.simulator, faults, wait_in_header_only=wait_in_header_only
        )
        self._environment = {**ENVIRONMENT, **(settings or {})}
        self._changes_lost = changes_lost
        self.unreported: set[str] = set()
        """Users whose last change CloudTrail has not reported."""
        self.mint = Function(scheduler, "mint_token", 15.0)
        self.on_signup = Function(scheduler, "on_signup", 4.0)
        self.sync = Function(scheduler, "sync_user", 60.0)
        self.reconcile = Function(scheduler, "reconcile", 900.0)
        self.whop_oauth = Function(scheduler, "whop_oauth", 15.0)
        self._gateway = _Throttle(scheduler, rate=API_LIMITS[0], burst=API_LIMITS[1])

    @contextmanager
    def deployed(self) -> Iterator[None]:
        """Within the block the functions run in this stack, and the queue and the schedule invoke them."""
        with ExitStack() as undo:
            undo.enter_context(patch.dict(os.environ, self._environment))
            undo.enter_context(sent_over(self.network))
            undo.enter_context(patch.object(observability, "lambda_telemetry", lambda: self.telemetry))
            undo.enter_context(virtual_time(self.scheduler))
            undo.callback(self.scheduler.end)
            QueueSource(self.scheduler, self.queue, self.sync.invoke)
            self.scheduler.start(self._tick)
            yield

    def sign_up(self, person: Person) -> None:
        """Cognito invokes the trigger, up to three times."""
        event = {
            "version": "1",
            "triggerSource": "PostConfirmation_ConfirmSignUp",
            "userPoolId": POOL_ID,
            "userName": person.username,
            "request": {"userAttributes": {"sub": person.sub, "email": person.email}},
            "response": {},
        }
        for _ in range(_TRIGGER_TRIES):
            try:
                self.on_signup.invoke(event)
            except FunctionFailed:
                continue
            return

    def publish_change(self, sub: str) -> None:
        """CloudTrail's event of a change arrives after some time, or never."""
        if self.scheduler.chance.random() < self._changes_lost:
            self.unreported.add(sub)
            return
        self.unreported.discard(sub)
        body = encode(UserRef(pool_id=POOL_ID, sub=sub, username=sub), Source.CHANGE)
        arrives = self.scheduler.now + self.scheduler.chance.uniform(*_CHANGE_ARRIVES_SECONDS)
        self.scheduler.at(arrives, lambda: self.queue.send(body))

    def post(self, token: str, body: str | None = None) -> dict[str, Any]:
        """`POST /chat/token` through API Gateway. Returns the function's answer, or the gateway's 429 or 500."""
        return self._through_gateway(self.mint, "POST /chat/token", token, body, {})

    def link(self, route: str, token: str, body: str | None = None, **query: str) -> dict[str, Any]:
        """A route of `whop_oauth`, such as ``POST /oauth/whop/link``, as in `post`."""
        return self._through_gateway(self.whop_oauth, route, token, body, query)

    def _through_gateway(
        self, function: Function, route: str, token: str, body: str | None, query: Mapping[str, str]
    ) -> dict[str, Any]:
        event = {
            "version": "2.0",
            "routeKey": route,
            "headers": {"authorization": f"Bearer {token}", "content-type": "application/json"},
            "queryStringParameters": dict(query),
            "body": body,
            "isBase64Encoded": False,
        }
        if not self._gateway.admits():
            return {"statusCode": 429, "headers": {}, "body": '{"message": "Too Many Requests"}'}
        try:
            answer: dict[str, Any] = function.invoke(event)
        except FunctionFailed:
            return {"statusCode": 500, "headers": {}, "body": '{"message": "Internal Server Error"}'}
        return answer

    def run_reconcile(self, **command: Any) -> Any:
        """An operator or the schedule invokes reconcile. Returns None if the invocation failed."""
        try:
            return self.reconcile.invoke(command)
        except FunctionFailed:
            return None

    def _tick(self) -> None:
        while True:
            self.scheduler.sleep(_TICK_SECONDS)
            self.scheduler.start(lambda: self.run_reconcile(command="continue"))

    def _queue_call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        return {_QUEUE: self.queue, _DEAD_LETTERS: self.dead_letters}[request["QueueUrl"]].call(operation, request)

    @property
    def deletes_accounts(self) -> bool:
        """Whether accounts of deleted users are deleted at Whop."""
        return self._environment["DELETE_POLICY"] == "delete-account"

    @property
    def run_is_over(self) -> bool:
        """Whether no run of reconcile is in progress."""
        return self.checkpoint.get("phase") in (None, "finished")

    @property
    def checkpoint(self) -> dict[str, Any]:
        """The checkpoint of the last run of reconcile; empty if there is none."""
        item = self.table.items.get(f"RECONCILE#{POOL_ID}")
        checkpoint: dict[str, Any] = json.loads(item["checkpoint"]["S"]) if item else {}
        return checkpoint

    def record(self, sub: str) -> dict[str, Any]:
        """The record of a user without DynamoDB's types; empty if there is none."""
        item = self.table.items.get(f"USER#{POOL_ID}#{sub}", {})
        return {name: next(iter(value.values())) for name, value in item.items()}

    def holder(self, whop_user_id: str) -> str | None:
        """The ``sub`` for whom a Whop user is reserved."""
        item = self.table.items.get(f"WHOP#{whop_user_id}")
        return item["sub"]["S"] if item else None


class _Throttle:
    """API Gateway's throttle for all callers together (template.yaml, DefaultRouteSettings)."""

    def __init__(self, scheduler: Scheduler, *, rate: float, burst: float) -> None:
        self._scheduler = scheduler
        self._rate = rate
        self._burst = self._left = burst
        self._at = scheduler.now

    def admits(self) -> bool:
        """Whether a request is admitted now."""
        self._left = min(self._burst, self._left + (self._scheduler.now - self._at) * self._rate)
        self._at = self._scheduler.now
        if self._left < 1:
            return False
        self._left -= 1
        return True
