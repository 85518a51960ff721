"""An AWS with user pools and one stack, behind a real session of the SDK.

botocore itself checks and writes the requests to Cognito, and parses the answers. UpdateUserPool resets what a request
leaves out.
"""

import copy
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.awsrequest import AWSResponse

from local.emulator import pool_updates
from manage import pool_triggers
from tests.fakes import whole_pool
from tests.fakes.whole_pool import ACCOUNT, REGION
from tests.tools.manage.command_line import run_command
from tests.tools.manage.run import Run

POOL_ID = f"{REGION}_AbCdEfGhI"
OURS = whole_pool.function("chat-on-signup:live")
QUEUE_URL = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/chat-SyncQueue-1"

_LOADER = botocore.session.get_session().get_component("data_loader")

type Json = dict[str, Any]


@dataclass
class Pool:
    """``settings`` by UpdateUserPool's names, ``fixed`` what it cannot change, ``mfa`` of SetUserPoolMfaConfig."""

    settings: Json = field(default_factory=lambda: copy.deepcopy(whole_pool.SETTINGS))
    mfa: Json = field(default_factory=lambda: copy.deepcopy(whole_pool.MFA))
    name: str = whole_pool.NAME
    fixed: Json = field(default_factory=dict)

    def described(self, pool_id: str) -> Json:
        """What DescribeUserPool answers, as JSON on the wire."""
        times = {"CreationDate": 1.5, "LastModifiedDate": 2.5}
        arn = f"arn:aws:cognito-idp:{REGION}:{ACCOUNT}:userpool/{pool_id}"
        settings = pool_updates.with_second_names({"AdminCreateUserConfig": {}, **self.settings})
        others = {
            "EstimatedNumberOfUsers": 3,
            "UsernameAttributes": ["email"],
            "Domain": "people",
            **times,
            **self.fixed,
        }
        return {"Id": pool_id, "Arn": arn, "Name": self.name, **settings, **others}


class Aws:
    """The account.

    ``forgets`` has a set of settings for each of the next updates, which loses them. After an update, the pool is shown
    as it was ``stale_answers`` times. ``before`` has what happens once before an operation. ``denied`` operations fail.
    ``protected`` is the stack's termination protection.
    """

    def __init__(self) -> None:
        self.pools = {POOL_ID: Pool()}
        self.account = ACCOUNT
        self.updates: list[Json] = []
        self.forgets: list[set[str]] = []
        self.stale_answers = 0
        self._former = Pool()
        self.before: dict[str, Callable[[], object]] = {}
        self.denied: set[str] = set()
        self.parameters = {"UserPoolId": POOL_ID, "UserPoolIssuer": "updated"}
        self.outputs = {
            "UserPoolId": POOL_ID,
            "OnSignupFunctionArn": OURS,
            "SyncQueueUrl": QUEUE_URL,
            "UsersTableName": "users",
        }
        self.stack_region = REGION
        self.stack_exists, self.protected = True, False

    @property
    def pool(self) -> Pool:
        """The pool that the stack is for."""
        return self.pools[POOL_ID]

    def session(self, region_name: str | None = None) -> "boto3.Session":
        """A session that calls this account; it takes the place of boto3.Session."""
        session: Any = boto3.session.Session(
            aws_access_key_id="testing", aws_secret_access_key="testing", region_name=region_name or REGION
        )
        # A loader of its own would read the models of the services again.
        session._session.register_component("data_loader", _LOADER)
        session.events.register("before-send.cognito-idp.*", self._cognito)
        session.events.register("before-call.sts.GetCallerIdentity", self._get_caller_identity)
        session.events.register("before-call.cloudformation.DescribeStacks", self._describe_stacks)
        session.events.register("before-call.cloudformation.UpdateTerminationProtection", self._update_protection)
        here: boto3.Session = session
        return here

    def _get_caller_identity(self, **_: Any) -> Any:
        return _parsed(Account=self.account, Arn=f"arn:aws:iam::{self.account}:user/ann")

    def _describe_stacks(self, params: Any, **_: Any) -> Any:
        if not self.stack_exists or "chat" not in str(params["body"]):
            return _parsed(400, Error={"Code": "ValidationError", "Message": "Stack with id other does not exist"})
        stack = {
            "StackName": "chat",
            "StackId": f"arn:aws:cloudformation:{self.stack_region}:{ACCOUNT}:stack/chat/1",
            "StackStatus": "CREATE_COMPLETE",
            "EnableTerminationProtection": self.protected,
            "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in self.parameters.items()],
            "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in self.outputs.items()],
        }
        return _parsed(Stacks=[stack])

    def _update_protection(self, params: Any, **_: Any) -> Any:
        if "UpdateTerminationProtection" in self.denied:
            return _parsed(403, Error={"Code": "AccessDenied", "Message": "not authorized"})
        self.protected = str(params["body"]["EnableTerminationProtection"]).lower() == "true"
        return _parsed()

    def _cognito(self, request: Any, **_: Any) -> AWSResponse:
        operation = request.headers["X-Amz-Target"].decode().partition(".")[2]
        data: Json = json.loads(request.body)
        self.before.pop(operation, lambda: None)()
        pool = self.pools.get(data["UserPoolId"])
        if operation in self.denied:
            return _answer(request, _error("AccessDeniedException", f"not authorized to perform: {operation}"))
        if pool is None:
            return _answer(request, _error("ResourceNotFoundException", "User pool does not exist."))
        match operation:
            case "DescribeUserPool":
                shown = self._former if self.updates and self.stale_answers else pool
                self.stale_answers -= shown is self._former
                return _answer(request, (200, {"UserPool": shown.described(data["UserPoolId"])}))
            case "GetUserPoolMfaConfig":
                return _answer(request, (200, pool.mfa))
            case "SetUserPoolMfaConfig":
                pool.mfa = {name: value for name, value in data.items() if name != "UserPoolId"}
                return _answer(request, (200, pool.mfa))
            case "UpdateUserPool":
                return _answer(request, self._update(pool, data))
        raise AssertionError(f"nobody expects {operation}")

    def _update(self, pool: Pool, data: Json) -> tuple[int, Json]:
        self.updates.append(data)
        refusal = pool_updates.refusal(data)
        if refusal:
            return _error("InvalidParameterException", refusal)
        self._former = Pool(pool.settings, pool.mfa, pool.name, pool.fixed)
        forgotten = self.forgets.pop(0) if self.forgets else set()
        pool.settings = pool_updates.settings({name: data[name] for name in data if name not in forgotten})
        pool.name = data.get("PoolName", pool.name)
        if forgotten & pool.mfa.keys():
            pool.mfa = {name: value for name, value in pool.mfa.items() if name not in forgotten}
        return 200, {}


class Operator:
    """Somebody who runs commands on the stack, and answers them if there is a terminal."""

    def __init__(self, aws: Aws, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self._patch, self._capture = patch, capture
        patch.setattr(boto3, "Session", aws.session)
        patch.setenv("AWS_REGION", REGION)
        patch.setattr(pool_triggers, "_WAITS", (0.0, 0.0))

    def __call__(self, *arguments: str, says: str | None = None) -> Run:
        """The command ``manage --stack chat …``; ``says`` is the answer at the terminal, None for no terminal."""
        return run_command(self._patch, self._capture, *arguments, says=says)


def _error(code: str, message: str) -> tuple[int, Json]:
    return 400, {"__type": code, "message": message}


class _Raw(io.BytesIO):
    def stream(self, **_: Any) -> Any:
        yield self.read()


def _answer(request: Any, answer: tuple[int, Mapping[str, Any]]) -> AWSResponse:
    status, body = answer
    headers: Any = {}
    return AWSResponse(request.url, status, headers, _Raw(json.dumps(body).encode()))


@dataclass
class _Http:
    status_code: int


def _parsed(status: int = 200, **answer: Any) -> tuple[_Http, Json]:
    return _Http(status), {**answer, "ResponseMetadata": {"HTTPStatusCode": status}}
