"""The local cloud of one run: the AWS emulator, the Whop simulator, and the real template deployed between them."""

import contextlib
import os
import re
import shutil
import ssl
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import urlsplit

import boto3
import httpx
from botocore.config import Config

from local.processes import HOST, Command, free_ports, running, wait_until
from local.sam import FAKE_KEYS, REGION, ROOT, Sam, architecture, interpreter
from local.whop_simulator import DEFAULT_COMPANY
from local.whop_simulator.control import SimulatorControl

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

_ARTIFACTS = "local-artifacts"
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts no certificate: every server here speaks plain HTTP


class Decision(NamedTuple):
    """A call of a role: the role's name, the action, and the Sid of the statement that allowed it ("" if denied)."""

    role: str
    action: str
    sid: str


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployed stack: the template's outputs by name, and the URL of its API on this machine."""

    name: str
    outputs: Mapping[str, str]
    api_url: str

    def __getitem__(self, output: str) -> str:
        """One output. Raises KeyError if the template has no such output."""
        return self.outputs[output]


class LocalStack:
    """Context manager for one run. It stops every server that it started, however the block ends.

    `build`, `start` and `deploy` are separate, so that a caller can time each. State and logs are in ``folder``, which
    is kept only if the block ends with an error. With ``package_source``, functions import the packages in that folder
    in place of those that were built. Entering the block raises `local.sam.EnvironmentMissingError` if
    ``make environments`` has not run.
    """

    folder: Path
    emulator_url: str
    whop_url: str
    whop: SimulatorControl

    def __init__(self, *, root: Path = ROOT, package_source: Path | None = None) -> None:
        self._root = root
        self._package_source = package_source

    def __enter__(self) -> Self:
        for environment in ("sam", "emulator", "lambda"):
            interpreter(environment)
        runs = self._root / ".local"
        runs.mkdir(exist_ok=True)
        with contextlib.ExitStack() as cleanup:
            self.folder = Path(tempfile.mkdtemp(dir=runs, prefix="run-"))
            cleanup.push(self._remove_folder)
            self._sam = Sam(self.folder, root=self._root)
            self.http = cleanup.enter_context(httpx.Client(trust_env=False, verify=_NO_TLS, timeout=30.0))
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.__exit__(kind, error, trace)

    def _remove_folder(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or not issubclass(kind, Exception):
            shutil.rmtree(self.folder, ignore_errors=True)

    def build(self) -> Path:
        """Build the tree as it is now; the path of the built template. An unchanged tree is not built again."""
        return self._sam.build()

    def sources(self, *, without: Path | None = None) -> str:
        """A digest of everything that `build` reads, but not of the folder ``without``."""
        return self._sam.digest(without=without)

    def start(self) -> None:
        """Start the AWS emulator and the Whop simulator.

        Raises `local.processes.ServerError` if one ends, or does not become ready.
        """
        emulator_port, whop_port = free_ports(2)
        self.emulator_url, self.whop_url = f"http://{HOST}:{emulator_port}", f"http://{HOST}:{whop_port}"
        emulator = self._cleanup.enter_context(running(self._emulator(emulator_port)))
        whop = self._cleanup.enter_context(running(self._whop(whop_port)))
        self.whop = self._cleanup.enter_context(SimulatorControl(self.whop_url))
        emulator.wait_until(self._answers(f"{self.emulator_url}/_ministack/ready"))
        whop.wait_until(self.whop.is_ready)
        self.whop.add_company()
        self.s3.create_bucket(Bucket=_ARTIFACTS)

    def deploy(self, template: Path, name: str, parameters: Mapping[str, str] | None = None) -> Deployment:
        """Create the stack ``name`` from the built ``template``, or update it. Raises `local.sam.SamError`.

        ``parameters`` add to, or replace, those that every stack on this machine needs: Whop is the simulator, and
        the processor is this machine's.
        """
        here = {
            "Architecture": architecture(),
            "Stage": "local",
            "WhopBaseUrl": self.whop_url,
            "WhopCompanyId": DEFAULT_COMPANY,
            "AllowedOrigins": "http://localhost:3000",
        }
        wanted = here | dict(parameters or {})
        self._sam.deploy(template, name, wanted, endpoint=self.emulator_url, bucket=_ARTIFACTS)
        return self.describe(name)

    def upload_template(self, text: str) -> str:
        """Store a template, and return its URL. CloudFormation takes at most 51,200 bytes in a call itself."""
        key = f"templates/{uuid.uuid4().hex}"
        self.s3.put_object(Bucket=_ARTIFACTS, Key=key, Body=text.encode())
        return f"{self.emulator_url}/{_ARTIFACTS}/{key}"

    def describe(self, name: str) -> Deployment:
        """The deployed stack ``name``. Raises botocore's ClientError if there is none."""
        stack = self.cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        return Deployment(name, outputs, self._local_url(outputs["ApiUrl"]))

    def _local_url(self, api_url: str) -> str:
        """The URL at which the emulator serves ``https://<api id>.execute-api.…``.

        Its stage is ``$default``. A shell and the ``.env`` of a web app would take that for a variable.
        """
        api_id = (urlsplit(api_url).hostname or "").split(".")[0]
        return f"{self.emulator_url}/_aws/execute-api/{api_id}/%24default"

    def environment(self) -> dict[str, str]:
        """The variables that lead the AWS CLI, boto3 and `make deploy` to this cloud, and to no real account."""
        aws = {"AWS_ENDPOINT_URL": self.emulator_url, "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION, **FAKE_KEYS}
        nobody_s = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
        return aws | nobody_s | {"NO_PROXY": HOST}

    # -- for tests and the demo

    def put_api_key(self, deployment: Deployment, value: str) -> None:
        """Store the Whop API key in its secret, as the operator does after a deployment.

        This does not make the key valid at Whop; ``whop.add_key`` does.
        """
        self.secretsmanager.put_secret_value(SecretId=deployment["WhopSecretArn"], SecretString=value)

    def confirmation_code(self, email: str, *, seconds: float = 5.0) -> str:
        """The code in the newest mail from Cognito to ``email``. Raises TimeoutError if no mail arrives in time."""
        if not wait_until(lambda: bool(self.mails(email)), seconds):
            raise TimeoutError("no mail arrived")
        found = re.search(r"\b\d{6}\b", self.mails(email)[0]["text"])
        if not found:
            raise ValueError("the mail has no code of six digits")
        return found.group()

    def mails(self, email: str | None = None) -> list[dict[str, str]]:
        """The mails from Cognito, or those to ``email``, newest first: ``to`` and ``text``."""
        accounts: dict[str, list[dict[str, Any]]] = self.http.get(
            f"{self.emulator_url}/_ministack/ses/messages"
        ).json()["messages"]
        found = [
            {"to": ", ".join(mail["To"]), "text": f"{mail['BodyText']}{mail['BodyHtml'] or ''}"}
            for mails in accounts.values()
            for mail in mails
            if email is None or email in mail["To"]
        ]
        return found[::-1]

    def restart_functions(self) -> None:
        """End every warm function, so that the next invocation starts it anew."""
        self.http.post(f"{self.emulator_url}/_local/restart").raise_for_status()

    def switch(self, *, readable_401: bool) -> None:
        """Whether the gateway's own 401 has CORS headers. At first it has none, and a page sees a network error."""
        self.http.post(f"{self.emulator_url}/_local/switches", json={"readable_401": readable_401}).raise_for_status()

    def user_record(self, deployment: Deployment, sub: str, *, pool_id: str | None = None) -> dict[str, str]:
        """The record of the Cognito user ``sub`` in the users table, every value as text. Empty if there is none."""
        item = self.dynamodb.get_item(
            TableName=deployment["UsersTableName"],
            Key={"pk": {"S": f"USER#{pool_id or deployment['UserPoolId']}#{sub}"}},
            ConsistentRead=True,
        ).get("Item", {})
        return {name: str(next(iter(value.values()))) for name, value in item.items()}

    def expire_own_tokens(self, deployment: Deployment) -> None:
        """Let every access token that is kept for a user's own Whop account be over, as an hour after its start."""
        table = deployment["UsersTableName"]
        links = self.dynamodb.scan(
            TableName=table,
            FilterExpression="begins_with(pk, :link)",
            ExpressionAttributeValues={":link": {"S": "OAUTH#"}},
            ConsistentRead=True,
        )["Items"]
        for link in links:
            self.dynamodb.update_item(
                TableName=table,
                Key={"pk": link["pk"]},
                UpdateExpression="SET expires_at = :now",
                ExpressionAttributeValues={":now": {"N": str(int(time.time()))}},
            )

    def function_log(self) -> list[str]:
        """Every line that a function of this run wrote, and every line in CloudWatch Logs."""
        return [*self.function_lines(), *self._cloudwatch_lines()]

    def function_lines(self) -> list[str]:
        """Every line that a function of this run wrote, as ``<function name>\t<line>``."""
        return self._function_log.read_text().splitlines() if self._function_log.exists() else []

    def decisions(self) -> set[Decision]:
        """What the roles of this run were allowed and denied."""
        lines = self._decision_log.read_text().splitlines() if self._decision_log.exists() else []
        return {Decision(*line.split("\t")) for line in lines}

    def _cloudwatch_lines(self) -> Iterator[str]:
        for group in self._pages("describe_log_groups", "logGroups"):
            for event in self._pages("filter_log_events", "events", logGroupName=group["logGroupName"]):
                yield f"{group['logGroupName']}\t{event['message']}"

    def _pages(self, operation: str, key: str, **arguments: str) -> Iterator[Any]:
        for page in self._client("logs").get_paginator(operation).paginate(**arguments):
            yield from page[key]

    # -- clients

    @cached_property
    def cloudformation(self) -> "CloudFormationClient":
        """A client with root's permissions, like the other clients here."""
        client: CloudFormationClient = self._client("cloudformation")
        return client

    @cached_property
    def cognito(self) -> "CognitoIdentityProviderClient":
        """Cognito user pools of this run."""
        client: CognitoIdentityProviderClient = self._client("cognito-idp")
        return client

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        """DynamoDB of this run."""
        client: DynamoDBClient = self._client("dynamodb")
        return client

    @cached_property
    def s3(self) -> "S3Client":
        """S3 of this run."""
        client: S3Client = self._client("s3")
        return client

    @cached_property
    def secretsmanager(self) -> "SecretsManagerClient":
        """Secrets Manager of this run."""
        client: SecretsManagerClient = self._client("secretsmanager")
        return client

    @cached_property
    def sqs(self) -> "SQSClient":
        """SQS of this run."""
        client: SQSClient = self._client("sqs")
        return client

    def _client(self, service: str) -> Any:
        session: Any = boto3.session.Session(
            aws_access_key_id=FAKE_KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=FAKE_KEYS["AWS_SECRET_ACCESS_KEY"],
            region_name=REGION,
        )
        config = Config(proxies={}, s3={"addressing_style": "path"})
        return session.client(service, endpoint_url=self.emulator_url, config=config)

    # -- servers

    @property
    def _function_log(self) -> Path:
        return self.folder / "functions.log"

    @property
    def _decision_log(self) -> Path:
        return self.folder / "decisions.log"

    def _emulator(self, port: int) -> Command:
        state, temporary = self.folder / "state", self.folder / "tmp"
        state.mkdir()
        temporary.mkdir()
        return self._command(
            "emulator",
            [str(interpreter("emulator")), "-m", "local.emulator"],
            AUTH="true",
            GATEWAY_PORT=str(port),
            LAMBDA_PYTHON=str(interpreter("lambda")),
            FUNCTION_LOG=str(self._function_log),
            DECISION_LOG=str(self._decision_log),
            STATE_DIR=str(state),
            TMPDIR=str(temporary),
            PACKAGE_SOURCE=str(self._package_source or ""),
        )

    def _whop(self, port: int) -> Command:
        return self._command("whop", [sys.executable, "-m", "local.whop_simulator", "--port", str(port)])

    def _command(self, name: str, arguments: list[str], **environment: str) -> Command:
        """A command with a clean environment, because the emulator passes its own on to every function."""
        clean = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "NO_PROXY": HOST}
        return Command(arguments, clean | environment, folder=ROOT, log=self.folder / f"{name}.log")

    def _answers(self, url: str) -> Callable[[], bool]:
        def answers() -> bool:
            try:
                return self.http.get(url, timeout=2.0).is_success
            except httpx.HTTPError:
                return False

        return answers
