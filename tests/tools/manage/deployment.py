"""A deployed stack and its operator: pool, table and queues at moto, the function `reconcile` in this process."""

import email.utils
import functools
import io
import json
import re
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import boto3
import httpx
import pytest
from botocore.exceptions import ReadTimeoutError
from moto.sqs.models import sqs_backends

from manage import dead_letter_queue, throttle, users_table
from tests.fakes import moto_aws
from tests.fakes.cloud import Cloud, cloud_at_moto
from tests.fakes.moto_aws import AN_HOUR, REGION, aws_at_moto
from tests.fakes.settings import API_KEY
from tests.fakes.telemetry import RecordingTelemetry
from tests.tools.manage.command_line import run_command
from tests.tools.manage.run import Run
from whop_chat.cognito.pool import UserPool
from whop_chat.cognito.user import UserRef
from whop_chat.enrolment.email_policy import VerifiedEmail
from whop_chat.reconcile.checkpoint import CheckpointStore
from whop_chat.reconcile.command import Command
from whop_chat.reconcile.run import Reconcile
from whop_chat.runtime import http
from whop_chat.runtime.http import HttpClient
from whop_chat.sync.queue import SyncMessage, SyncQueue, decode
from whop_chat.users.record import Record, Status
from whop_chat.users.repository import DynamoDBUserRepository
from whop_chat.users.runs import DynamoDBRuns

ACCOUNT = "123456789012"
OPERATOR = f"arn:aws:iam::{ACCOUNT}:user/ann"
ON_SIGNUP = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:chat-on-signup:live"
LINKED = Record(
    status=Status.LINKED, whop_user_id="user_Ann", whop_account_id="biz_Ann", profile_digest="digest-of-a-name"
)
MINT_TOKEN = {
    "Type": "AWS::Lambda::Function",
    "Properties": {
        "Environment": {
            "Variables": {
                "TOKEN_TTL_MINUTES": {"Ref": "TokenTtlMinutes"},
                "CHAT_FEATURES": {"Fn::Join": [",", {"Ref": "ChatFeatures"}]},
                "TOKEN_USE": "access",
                "USERS_TABLE": {"Fn::If": ["CreateUsersTable", {"Ref": "UsersTable"}, {"Ref": "UsersTableName"}]},
            }
        }
    },
}
TOMBSTONE = Record(status=Status.DELETED, whop_user_id="user_Ann")


class _Session(boto3.session.Session):
    """Makes each client once, because a new one reads the model of its service again."""

    def __init__(self) -> None:
        super().__init__(aws_access_key_id="testing", aws_secret_access_key="testing", region_name=REGION)
        self._clients: dict[str, Any] = {}

    def client(self, service_name: str, **_: Any) -> Any:  # type: ignore[override]
        if service_name not in self._clients:
            self._clients[service_name] = super().client(service_name)  # type: ignore[call-overload]
        return self._clients[service_name]


class DeployedStack:
    """The stack ``chat``. A call of it runs a command on the stack.

    ``asked`` has the AWS calls of the operator, under their IAM names. The function ``reconcile`` has ``seconds`` for a
    command; if ``silent``, it does the work but answers too late. ``then`` happens while the operator waits.
    """

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.users = DynamoDBUserRepository(aws_at_moto(), "users")
        self._environment = dict(cloud.environment)
        made = users_table.describe(self.table, "users")
        assert made
        users_table.secure(self.table, made, users_table.tags("chat", cloud.pool_id))
        self._session = self._watched_session()
        self._client_id = cloud.cognito.create_user_pool_client(
            UserPoolId=cloud.pool_id, ClientName="web", PreventUserExistenceErrors="ENABLED"
        )["UserPoolClient"]["ClientId"]

    @contextmanager
    def fresh(self, capture: pytest.CaptureFixture[str]) -> Iterator["DeployedStack"]:
        """The stack for one test: no user in the pool, and nothing in the table and on the queues."""
        self._capture = capture
        self.silent, self.seconds, self.slept, self.account = False, 900.0, 0.0, ACCOUNT
        self.then: Callable[[], object] = lambda: None
        self.asked: set[str] = set()
        self.cloud.environment = dict(self._environment)
        self.parameters = {
            "TokenTtlMinutes": "60",
            "AllowedOrigins": "https://one.example.test, https://two.example.test",
            "ChatFeatures": "channels, dms",
        }
        self.answers = self._sound_answers()
        self.cloud.cognito.update_user_pool(UserPoolId=self.cloud.pool_id, **self._sound_pool())
        self.cloud.cognito.set_user_pool_mfa_config(
            UserPoolId=self.cloud.pool_id,
            SoftwareTokenMfaConfiguration={"Enabled": True},
            MfaConfiguration="OPTIONAL",
        )
        self.outputs = {
            "UserPoolId": self.cloud.pool_id,
            "UserPoolClientId": self._client_id,
            "UsersTableName": "users",
            "SyncQueueUrl": self.cloud.queue_url,
            "SyncDeadLetterQueueUrl": self.cloud.dead_letter_queue_url,
            "MintTokenFunctionName": "chat-mint-token",
            "SyncUserFunctionName": "chat-sync-user",
            "OnSignupFunctionArn": ON_SIGNUP,
            "AlarmTopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:chat-alarms",
            "ReconcileFunctionName": "chat-reconcile",
        }
        self.reconcile = self._reconcile()
        for user in self.cloud.cognito.list_users(UserPoolId=self.cloud.pool_id)["Users"]:
            self.cloud.cognito.admin_delete_user(UserPoolId=self.cloud.pool_id, Username=user["Username"])
        for key in self.items():
            self.table.delete_item(TableName="users", Key={"pk": {"S": key}})
        # A new one, because moto does not forget which version was the default.
        secret = moto_aws.client("secretsmanager").create_secret(Name=f"whop-{uuid.uuid4()}", SecretString=API_KEY)
        self.cloud.environment["WHOP_SECRET_ARN"] = self.outputs["WhopSecretArn"] = secret["ARN"]
        for url in (self.cloud.queue_url, self.cloud.dead_letter_queue_url):
            self.queue(url)._messages.clear()
        with pytest.MonkeyPatch.context() as self._patch:
            self._patch.setattr(boto3, "Session", lambda **_: self._session)
            self._patch.setattr(time, "sleep", self._sleep)
            clock = SimpleNamespace(monotonic=lambda: self.slept, sleep=self._sleep)
            self._patch.setattr(throttle, "time", clock)
            self._patch.setattr(dead_letter_queue, "_WAIT_SECONDS", 0)
            self.answer_with(self._noted)
            yield self

    def answer_with(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        """Let ``answer`` stand for AWS and Whop, wherever `whop_chat` calls them for the operator."""
        client = HttpClient(httpx.MockTransport(answer))
        self._patch.setattr(http, "HttpClient", lambda: client)

    @staticmethod
    def queue(url: str) -> Any:
        """A queue at moto, with its hidden and delayed messages."""
        (account,) = sqs_backends
        return sqs_backends[account][REGION].queues[url.rpartition("/")[2]]

    def __call__(
        self, *arguments: str, says: str | None = None, terminal: bool = False, pipe: str | None = None
    ) -> Run:
        """Run ``manage --stack chat …`` with ``says`` as the answer to a question, or with a ``pipe``."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys.stderr, "isatty", lambda: terminal)
            return run_command(patch, self._capture, *arguments, says=says, pipe=pipe)

    def record(self, user: UserRef) -> Record | None:
        """The record of a user."""
        return self.users.get(user, deadline=AN_HOUR)

    def write(self, user: UserRef, record: Record) -> Record:
        """Replace the record of a user."""
        return self.users.put(user, record, expected=self.record(user), deadline=AN_HOUR)

    def messages(self) -> list[SyncMessage]:
        """The messages on the sync queue."""
        return [decode(message.body) for message in self.queue(self.cloud.queue_url)._messages]

    def acts(self, user: UserRef | None = None) -> list[tuple[str, str, str | None]]:
        """The audit log of a user, or of all: operator, action and outcome."""
        key = re.compile(f"AUDIT#{self.cloud.pool_id}#" + (f"{re.escape(user.sub)}#" if user else "") + r"\d{4}-\d{2}")
        items = [item for name, item in sorted(self.items().items()) if key.fullmatch(name)]
        entries = [json.loads(value["S"]) for item in items for name, value in sorted(item.items()) if name != "pk"]
        return [(each["by"], each["action"], each["outcome"]) for each in entries]

    def items(self) -> dict[str, Any]:
        """The whole table."""
        return {item["pk"]["S"]: item for item in self.table.scan(TableName="users")["Items"]}

    def put_secret(self, text: str) -> None:
        """Store what the functions read as the API key."""
        secret = self.cloud.environment["WHOP_SECRET_ARN"]
        moto_aws.client("secretsmanager").put_secret_value(SecretId=secret, SecretString=text)

    def secret(self, stage: str = "AWSCURRENT") -> str:
        """What the functions read as the API key, or another version of it."""
        secret = self.cloud.environment["WHOP_SECRET_ARN"]
        read = moto_aws.client("secretsmanager").get_secret_value(SecretId=secret, VersionStage=stage)
        return str(read["SecretString"])

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
            UserPool(aws, pool_id, (("name",),)),
            self.users,
            SyncQueue(aws, self.cloud.queue_url),
            CheckpointStore(aws, "users", pool_id),
            DynamoDBRuns(aws, "users", pool_id),
            VerifiedEmail(frozenset()),
            RecordingTelemetry(),
            pool_id=pool_id,
            sleep=lambda _seconds: None,
        )

    # Calls that do not reach moto.

    def _watched_session(self) -> Any:
        session: Any = _Session()
        for name in self._sound_answers():
            session.events.register(f"before-call.{name}", functools.partial(self._answered, name))
        session.events.register("before-parameter-build", self._hear)
        return session

    def _answered(self, name: str, params: Any, **_: Any) -> Any:
        class Http:
            status_code = 200

        headers = {"date": email.utils.formatdate(usegmt=True)}
        answer = self.answers[name](params)
        return Http, {"ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": headers}, **answer}

    def _sound_answers(self) -> dict[str, Callable[[Any], Any]]:
        """What a sound stack answers, by operation. A test can replace ``answers``."""
        return {
            "sts.GetCallerIdentity": lambda _: {
                "Account": self.account,
                "Arn": OPERATOR.replace(ACCOUNT, self.account),
            },
            "cloudformation.DescribeStacks": self._describe_stacks,
            "cloudformation.ListStackResources": lambda _: {
                "StackResourceSummaries": [
                    {"LogicalResourceId": name, "PhysicalResourceId": f"chat-{name}"}
                    for name in ("HttpApi", "MintTokenFunction")
                ]
            },
            "cloudformation.GetTemplate": lambda _: {"TemplateBody": {"Resources": {"MintTokenFunction": MINT_TOKEN}}},
            "lambda.GetFunctionConfiguration": lambda _: {"Environment": {"Variables": self.cloud.environment}},
            "lambda.GetAccountSettings": lambda _: {
                "AccountLimit": {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 1000}
            },
            "lambda.ListEventSourceMappings": lambda _: {"EventSourceMappings": [{"State": "Enabled"}]},
            "lambda.GetPolicy": lambda _: {"Policy": json.dumps({"Statement": [self.permission()]})},
            "lambda.Invoke": self._invoke,
            "apigatewayv2.GetApi": lambda _: {
                "CorsConfiguration": {"AllowOrigins": ["https://one.example.test", "https://two.example.test"]}
            },
            "apigatewayv2.GetAuthorizers": lambda _: {"Items": [{"JwtConfiguration": self.jwt()}]},
            "sns.ListSubscriptionsByTopic": lambda _: {"Subscriptions": [{"SubscriptionArn": "arn:aws:sns:…"}]},
            "cloudwatch.GetMetricStatistics": lambda _: {"Datapoints": []},
        }

    def permission(self) -> dict[str, Any]:
        """The permission of Cognito to call ``on_signup``."""
        pool = f"arn:aws:cognito-idp:{REGION}:{ACCOUNT}:userpool/{self.cloud.pool_id}"
        return {
            "Effect": "Allow",
            "Principal": {"Service": "cognito-idp.amazonaws.com"},
            "Action": "lambda:InvokeFunction",
            "Resource": ON_SIGNUP,
            "Condition": {"StringEquals": {"AWS:SourceAccount": ACCOUNT}, "ArnLike": {"AWS:SourceArn": pool}},
        }

    def jwt(self) -> dict[str, Any]:
        """What the API's authorizer accepts."""
        issuer = f"https://cognito-idp.{REGION}.amazonaws.com/{self.cloud.pool_id}"
        return {"Issuer": issuer, "Audience": [self._client_id]}

    @staticmethod
    def _sound_pool() -> Any:
        return {"AutoVerifiedAttributes": ["email"], "LambdaConfig": {"PostConfirmation": ON_SIGNUP}}

    def _hear(self, model: Any, **_: Any) -> None:
        self._note(model.service_model.endpoint_prefix, model.name)

    def _noted(self, request: httpx.Request) -> httpx.Response:
        if "X-Amz-Target" in request.headers:
            service = request.url.host.partition(".")[0]
            self._note(service, request.headers["X-Amz-Target"].rpartition(".")[2], request.content.decode())
        return self.cloud.internet(request)

    def _note(self, service: str, operation: str, body: str = "") -> None:
        """A transaction needs the permissions of its operations (DynamoDB, "Using IAM with transactions")."""
        service = {"tagging": "tag", "monitoring": "cloudwatch"}.get(service, service)
        if service == "apigateway":  # Its actions are HTTP methods (AWS, "Actions for API Gateway Management V2").
            operation = "GET"
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
                    "EnableTerminationProtection": True,
                    "Parameters": [
                        {"ParameterKey": key, "ParameterValue": value} for key, value in self.parameters.items()
                    ],
                    "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in self.outputs.items()],
                }
            ]
        }

    def _invoke(self, params: Any) -> Any:
        order = Command.of(json.loads(params["body"]))
        answer = self.reconcile.handle(order, lambda: self.seconds)
        if self.silent:
            raise ReadTimeoutError(endpoint_url="https://lambda.example.test")
        return {"StatusCode": 200, "Payload": io.BytesIO(json.dumps(answer).encode())}


@contextmanager
def restored_table(run: DeployedStack, *keys: str) -> Iterator[str]:
    """A table with items of these keys, as DynamoDB restores one: without safeguards and tags. Gone after the block."""
    with moto_aws.table("restored") as made:
        for key in keys:
            made.put_item(TableName="restored", Item={"pk": {"S": key}})
        run.asked.clear()
        yield "restored"
        made.update_table(TableName="restored", DeletionProtectionEnabled=False)


def leave(cloud: Cloud, user: UserRef) -> None:
    """Delete the user from the pool."""
    cloud.cognito.admin_delete_user(UserPoolId=cloud.pool_id, Username=user.username)


@contextmanager
def deployed_stack() -> Iterator[DeployedStack]:
    """The stack and its operator."""
    with cloud_at_moto("sync_user") as cloud:
        yield DeployedStack(cloud)
