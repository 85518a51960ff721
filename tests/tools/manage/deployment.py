"""A deployed stack and its operator: pool, table and queues at moto, the function `reconcile` in the process."""

import functools
import io
import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3
import httpx
import pytest
from botocore.exceptions import ReadTimeoutError
from moto.sqs.models import sqs_backends

from manage import __main__ as manage
from manage import dead_letter_queue
from tests.fakes import moto_aws
from tests.fakes.moto_aws import AN_HOUR, REGION, aws_at_moto
from tests.fakes.over_httpx import OverHttpx
from tests.fakes.shared import Run, Told
from tests.tools.manage.cloud import Cloud, cloud_at_moto
from whop_chat.cognito.pool import PoolUsers
from whop_chat.cognito.user import UserRef
from whop_chat.enrolment.email_policy import VerifiedAddress
from whop_chat.reconcile.checkpoint import Ledger
from whop_chat.reconcile.run import Order, Reconcile
from whop_chat.runtime import http as transport
from whop_chat.sync.queue import SyncMessage, SyncQueue, decode
from whop_chat.users.repository import Record, Users

ACCOUNT = "123456789012"
OPERATOR = f"arn:aws:iam::{ACCOUNT}:user/ann"


class _Observer(Told):
    def measured(self, message: str, metrics: Mapping[str, int], **fields: Any) -> None:
        """Nobody looks at figures here."""


class _Session(boto3.session.Session):
    """Its clients are made once: each new one reads the model of its service again."""

    def __init__(self) -> None:
        super().__init__(aws_access_key_id="testing", aws_secret_access_key="testing", region_name=REGION)
        self._clients: dict[str, Any] = {}

    def client(self, service_name: str, **_: Any) -> Any:  # type: ignore[override]
        if service_name not in self._clients:
            self._clients[service_name] = super().client(service_name)  # type: ignore[call-overload]
        return self._clients[service_name]


class Operated:
    """The stack ``chat``, and whoever calls it runs a command on it.

    ``asked`` has the calls of AWS that the operator made, as IAM names them. The function ``reconcile`` has ``seconds``
    for an order; with ``silent`` it carries it out and answers too late. ``then`` happens while the operator waits.
    """

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.users = Users(aws_at_moto(), "users")
        self._environment = dict(cloud.environment)
        self._session = self._heard()

    @contextmanager
    def at_the_beginning(self, capture: pytest.CaptureFixture[str]) -> Iterator["Operated"]:
        """For one test: nobody in the pool, and nothing in the table and on the queues."""
        self._capture = capture
        self.silent, self.seconds, self.slept, self.account = False, 900.0, 0.0, ACCOUNT
        self.then: Callable[[], object] = lambda: None
        self.asked: set[str] = set()
        self.cloud.environment = dict(self._environment)
        self.outputs = {
            "UserPoolId": self.cloud.pool_id,
            "UsersTableName": "users",
            "SyncQueueUrl": self.cloud.queue_url,
            "SyncDeadLetterQueueUrl": self.cloud.dead_letter_queue_url,
            "SyncUserFunctionName": "chat-sync-user",
            "ReconcileFunctionName": "chat-reconcile",
        }
        self.reconcile = self._reconcile()
        for user in self.cloud.cognito.list_users(UserPoolId=self.cloud.pool_id)["Users"]:
            self.cloud.cognito.admin_delete_user(UserPoolId=self.cloud.pool_id, Username=user["Username"])
        for key in self.items():
            self.table.delete_item(TableName="users", Key={"pk": {"S": key}})
        for url in (self.cloud.queue_url, self.cloud.dead_letter_queue_url):
            self.queue(url)._messages.clear()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(boto3, "Session", lambda **_: self._session)
            patch.setattr(time, "sleep", self._sleep)
            patch.setattr(transport, "HttpClient", lambda: OverHttpx(httpx.MockTransport(self._noted)))
            patch.setattr(dead_letter_queue, "_WAIT_SECONDS", 0)
            yield self

    @staticmethod
    def queue(url: str) -> Any:
        """A queue at moto, also with what is hidden or delayed on it."""
        (account,) = sqs_backends
        return sqs_backends[account][REGION].queues[url.rpartition("/")[2]]

    def __call__(self, *arguments: str, says: str | None = None, terminal: bool = False) -> Run:
        """The command ``manage --stack chat …``; ``says`` is what the operator answers when asked."""
        stdin = io.StringIO("" if says is None else f"{says}\n")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stdin, "isatty", lambda: says is not None)
            patch.setattr("sys.stdin", stdin)
            patch.setattr(sys.stderr, "isatty", lambda: terminal)
            status = manage.main(["--stack", "chat", *arguments])
        return Run(status, *self._capture.readouterr())

    def record(self, user: UserRef) -> Record | None:
        """What the table has of a user."""
        return self.users.get(user, deadline=AN_HOUR)

    def write(self, user: UserRef, record: Record) -> Record:
        """Replace what the table has of a user."""
        return self.users.put(user, record, seen=self.record(user), deadline=AN_HOUR)

    def messages(self) -> list[SyncMessage]:
        """What is on the sync queue."""
        return [decode(message.body) for message in self.queue(self.cloud.queue_url)._messages]

    def acts(self, user: UserRef | None = None) -> list[tuple[str, str, str | None]]:
        """Who did what to a user, or to all, with what outcome."""
        key = re.compile(f"AUDIT#{self.cloud.pool_id}#" + (f"{re.escape(user.sub)}#" if user else "") + r"\d{4}-\d{2}")
        items = [item for name, item in sorted(self.items().items()) if key.fullmatch(name)]
        told = [json.loads(value["S"]) for item in items for name, value in sorted(item.items()) if name != "pk"]
        return [(act["by"], act["action"], act["outcome"]) for act in told]

    def items(self) -> dict[str, Any]:
        """The whole table."""
        return {item["pk"]["S"]: item for item in self.table.scan(TableName="users")["Items"]}

    @property
    def sqs(self) -> Any:
        """The operator's own client."""
        return self._session.client("sqs")

    @property
    def table(self) -> Any:
        return moto_aws.client("dynamodb")

    def _sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.then()

    def _reconcile(self) -> Reconcile:
        aws, pool_id = aws_at_moto(), self.cloud.pool_id
        return Reconcile(
            PoolUsers(aws, pool_id, (("name",),)),
            self.users,
            SyncQueue(aws, self.cloud.queue_url),
            Ledger(aws, "users", pool_id),
            VerifiedAddress(frozenset()),
            _Observer(),
            pool_id=pool_id,
            sleep=lambda _seconds: None,
        )

    # What moto is not asked for

    def _heard(self) -> Any:
        session: Any = _Session()
        answers: dict[str, Callable[..., Any]] = {
            "sts.GetCallerIdentity": lambda _: {
                "Account": self.account,
                "Arn": OPERATOR.replace(ACCOUNT, self.account),
            },
            "cloudformation.DescribeStacks": self._describe_stacks,
            "lambda.GetFunctionConfiguration": lambda _: {"Environment": {"Variables": self.cloud.environment}},
            "lambda.Invoke": self._invoke,
        }
        for name, answer in answers.items():
            session.events.register(f"before-call.{name}", functools.partial(_answered, answer=answer))
        session.events.register("before-parameter-build", self._hear)
        return session

    def _hear(self, model: Any, **_: Any) -> None:
        self._note(model.service_model.endpoint_prefix, model.name)

    def _noted(self, request: httpx.Request) -> httpx.Response:
        if "X-Amz-Target" in request.headers:
            service = request.url.host.partition(".")[0]
            self._note(service, request.headers["X-Amz-Target"].rpartition(".")[2], request.content.decode())
        return self.cloud.internet(request)

    def _note(self, service: str, operation: str, body: str = "") -> None:
        """A transaction needs the permissions for what is in it (DynamoDB, "Using IAM with transactions")."""
        operations = re.findall(r'"(Put|Delete|Update)": \{', body) if operation == "TransactWriteItems" else []
        names = [f"{each}Item" for each in operations] or [operation.removesuffix("Batch")]
        self.asked |= {f"{service}:{'InvokeFunction' if name == 'Invoke' else name}" for name in names}

    def _describe_stacks(self, _: Any) -> Any:
        return {
            "Stacks": [
                {
                    "StackName": "chat",
                    "StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/chat/1",
                    "StackStatus": "CREATE_COMPLETE",
                    "Parameters": [{"ParameterKey": "TokenTtlMinutes", "ParameterValue": "60"}],
                    "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in self.outputs.items()],
                }
            ]
        }

    def _invoke(self, params: Any) -> Any:
        order = Order.of(json.loads(params["body"]))
        answer = self.reconcile.handle(order, lambda: self.seconds)
        if self.silent:
            raise ReadTimeoutError(endpoint_url="https://lambda.example.test")
        return {"StatusCode": 200, "Payload": io.BytesIO(json.dumps(answer).encode())}


def _answered(params: Any, answer: Callable[[Any], Any], **_: Any) -> Any:
    class Http:
        status_code = 200

    return Http, {**answer(params), "ResponseMetadata": {"HTTPStatusCode": 200}}


@contextmanager
def operated() -> Iterator[Operated]:
    """The stack, and somebody to operate it."""
    with cloud_at_moto("sync_user") as cloud:
        yield Operated(cloud)
