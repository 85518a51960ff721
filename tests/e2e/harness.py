"""The deployed stacks that the end-to-end tests share, and how the tests look into them."""

import json
import math
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import boto3
import httpx
from botocore.config import Config
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from local.demo.chat_app import ChatApp, Tokens, User, made_up_email
from local.processes import wait_until
from local.sam import FAKE_KEYS, REGION, ROOT
from local.stack import Deployment, LocalStack
from local.whop_simulator.control import SimulatorControl
from tests.e2e.confidential import Confidential

ORIGINS = ("https://one.example.test", "https://two.example.test")
SYNC_SECONDS = 20.0


class TeamApp(ChatApp):
    """A team's app that notes whatever must not be logged."""

    def __init__(
        self,
        cloud: LocalStack,
        deployment: Deployment,
        confidential: Confidential,
        *,
        pool_id: str | None = None,
        client_id: str | None = None,
    ) -> None:
        super().__init__(cloud, deployment, pool_id=pool_id, client_id=client_id)
        self.deployment = deployment
        self._confidential = confidential

    def sign_up(self, email: str | None = None, *, username: str | None = None, confirm: bool = True) -> User:
        """As in `ChatApp`."""
        return self._noted(super().sign_up(self._note(email, username), username=username, confirm=confirm))

    def create_by_admin(self, email: str | None = None, *, username: str | None = None, verified: bool = True) -> User:
        """As in `ChatApp`."""
        return self._noted(super().create_by_admin(self._note(email, username), username=username, verified=verified))

    def sign_in(self, user: User, *, username: str | None = None) -> Tokens:
        """As in `ChatApp`."""
        tokens = super().sign_in(user, username=username)
        for token in (tokens.access, tokens.id, tokens.refresh):
            self._confidential.secret("Cognito token", token)
        return tokens

    def mint(
        self, token: str | None, body: object = None, *, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """As in `ChatApp`."""
        return self._noted_token(super().mint(token, body, headers=headers))

    def invoke(self, event: str, token: str | None = None, **changes: object) -> httpx.Response:
        """What the function itself answers to ``events/<event>.json``, without the API before it.

        ``token`` replaces the one in the event; ``changes`` are other members of the event.
        """
        answer = invoke(self._cloud, self.deployment["MintTokenFunctionName"], _event(event, token) | changes)
        return self._noted_token(
            httpx.Response(answer["statusCode"], headers=answer["headers"], text=answer.get("body", ""))
        )

    def give_name(self, user: User, name: str) -> None:
        """Set the user's ``name`` in the pool."""
        self._confidential.name(name)
        self._change(user, {"name": name})

    def verify_email(self, user: User) -> None:
        """Let the pool say that the address is the user's own."""
        self._change(user, {"email_verified": "true"})

    def username(self, user: User) -> str:
        """What Cognito calls the user; it can be looked up by the address where people sign in with it."""
        return self._cloud.cognito.admin_get_user(UserPoolId=self.pool_id, Username=user.email)["Username"]

    def _change(self, user: User, attributes: Mapping[str, str]) -> None:
        self._cloud.cognito.admin_update_user_attributes(
            UserPoolId=self.pool_id,
            Username=user.email,
            UserAttributes=[{"Name": name, "Value": value} for name, value in attributes.items()],
        )

    def _note(self, email: str | None, username: str | None) -> str:
        email = email or made_up_email()
        self._confidential.email(email)
        if username:
            self._confidential.username(username)
        return email

    def _noted(self, user: User) -> User:
        self._confidential.secret("password", user.password)
        return user

    def _noted_token(self, answer: httpx.Response) -> httpx.Response:
        if answer.is_success and "token" in answer.json():
            self._confidential.secret("Whop token", answer.json()["token"])
        return answer


@dataclass(frozen=True, slots=True)
class OwnPool:
    """A stack on a user pool that was there before: two app clients, two web origins, names that can be used again.

    Its users sign in with a user name; ``username`` is therefore to be given to `ChatApp`'s methods. The deployment
    also admits ``brief``, whose access tokens live one second, and ``machine``, the id and secret of a client that
    signs in itself; ``stranger`` is a client of the pool that it does not admit. Support chats are not granted;
    members of the group ``guests`` get channels only, those of ``banned`` nothing.
    """

    deployment: Deployment
    pool_id: str
    apps: Sequence[TeamApp]
    origins: Sequence[str]
    brief: TeamApp
    stranger: TeamApp
    machine: tuple[str, str]


def make_key(cloud: LocalStack, confidential: Confidential) -> str:
    """An API key that Whop knows, made for this run."""
    key = f"apik_{secrets.token_urlsafe(24)}"
    confidential.secret("API key", key)
    cloud.whop.add_key(key)
    return key


def made_up_username() -> str:
    """A user name of nobody, made for this run."""
    return f"ada-{secrets.token_hex(6)}"


def deploy_again(cloud: LocalStack, first: Deployment, name: str, parameters: Mapping[str, str]) -> Deployment:
    """Another stack from the template that ``sam deploy`` uploaded for ``first``, in a fraction of its time."""
    template: Any = cloud.cloudformation.get_template(StackName=first.name, TemplateStage="Original")["TemplateBody"]
    before = cloud.cloudformation.describe_stacks(StackName=first.name)["Stacks"][0]["Parameters"]
    values = {each["ParameterKey"]: each["ParameterValue"] for each in before} | dict(parameters)
    cloud.cloudformation.create_stack(
        StackName=name,
        TemplateURL=cloud.upload_template(template if isinstance(template, str) else json.dumps(template)),
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()],
    )
    cloud.cloudformation.get_waiter("stack_create_complete").wait(
        StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    return cloud.describe(name)


def update(cloud: LocalStack, name: str, template: Mapping[str, Any] | None = None, /, **parameters: str) -> None:
    """Update a stack: these parameters, or this template, and everything else as it was."""
    before = cloud.cloudformation.describe_stacks(StackName=name)["Stacks"][0]["Parameters"]
    kept: Any = [{"ParameterKey": each["ParameterKey"], "UsePreviousValue": True} for each in before]
    changed: Any = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
    body: Any = {"UsePreviousTemplate": True}
    if template:
        body = {"TemplateURL": cloud.upload_template(json.dumps(template))}
    cloud.cloudformation.update_stack(
        StackName=name,
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[each for each in kept if each["ParameterKey"] not in parameters] + changed,
        **body,
    )
    cloud.cloudformation.get_waiter("stack_update_complete").wait(
        StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )


def uploaded_template(cloud: LocalStack, name: str) -> Any:
    """The template that ``sam deploy`` uploaded for a stack, its tags in their long form."""
    body: Any = cloud.cloudformation.get_template(StackName=name, TemplateStage="Original")["TemplateBody"]
    return yaml_parse(body) if isinstance(body, str) else body


def deploy_on_own_pool(cloud: LocalStack, first: Deployment, confidential: Confidential) -> OwnPool:
    """Make a pool as a team might have one, deploy a stack that names it, and attach the trigger to the pool."""
    pool_id = cloud.cognito.create_user_pool(PoolName="own", AutoVerifiedAttributes=["email"])["UserPool"]["Id"]
    clients = {name: _client(cloud, pool_id, name) for name in ("web", "mobile", "stranger")}
    # AWS grants at least five minutes; the emulator takes less, and nobody has to wait for a token to expire.
    clients["brief"] = _client(cloud, pool_id, "brief", AccessTokenValidity=1, TokenValidityUnits=_SECONDS)
    machine = _machine(cloud, pool_id)
    confidential.secret("client secret", machine[1])
    for group in ("guests", "banned"):
        cloud.cognito.create_group(UserPoolId=pool_id, GroupName=group)
    parameters = {
        "UserPoolId": pool_id,
        "UserPoolClientIds": ",".join([clients["web"], clients["mobile"], clients["brief"], machine[0]]),
        "AllowedOrigins": ",".join(ORIGINS),
        "ChatFeatures": "channels,dms",
        "DeniedGroups": "banned",
        "GroupFeatures": "guests=channels",
    }
    deployment = deploy_again(cloud, first, "own-pool", parameters)
    cloud.put_api_key(deployment, make_key(cloud, confidential))
    attached = manage(cloud, deployment.name, "attach", pool_id, "--yes")
    assert attached.returncode == 0, attached.stderr
    apps = {
        name: TeamApp(cloud, deployment, confidential, pool_id=pool_id, client_id=client)
        for name, client in clients.items()
    }
    chatting = [apps["web"], apps["mobile"]]
    return OwnPool(deployment, pool_id, chatting, ORIGINS, apps["brief"], apps["stranger"], machine)


def deploy_with(
    cloud: LocalStack, first: Deployment, confidential: Confidential, name: str, **parameters: str
) -> TeamApp:
    """An app on another stack with a pool of its own."""
    deployment = deploy_again(cloud, first, name, parameters)
    cloud.put_api_key(deployment, make_key(cloud, confidential))
    return TeamApp(cloud, deployment, confidential)


@dataclass(frozen=True, slots=True)
class KeyedLater:
    """A stack that was asked for tokens before its secret had a value, and again after; its pool is another stack's.

    ``without_key`` are two answers to one user, ``with_useless_key`` and ``with_key`` one each to two others.
    """

    app: TeamApp
    key: str
    without_key: Sequence[httpx.Response]
    with_useless_key: httpx.Response
    with_key: httpx.Response


def deploy_and_key_later(cloud: LocalStack, first: TeamApp, confidential: Confidential) -> KeyedLater:
    """Deploy on the pool of ``first``, ask for tokens, put something that is no key, ask, put the key, and ask."""
    parameters = {"UserPoolId": first.pool_id, "UserPoolClientIds": first.client_id}
    deployment = deploy_again(cloud, first.deployment, "keyed-later", parameters)
    app = TeamApp(cloud, deployment, confidential)
    one, other, third = (app.sign_in(app.create_by_admin()).access for _ in range(3))
    without_key = [app.mint(one), app.mint(one)]
    cloud.put_api_key(deployment, "{}")
    with_useless_key = app.mint(other)
    key = make_key(cloud, confidential)
    cloud.put_api_key(deployment, key)
    return KeyedLater(app, key, without_key, with_useless_key, app.mint(third))


_SECONDS = {"AccessToken": "seconds"}


def _client(cloud: LocalStack, pool_id: str, name: str, **settings: Any) -> str:
    return cloud.cognito.create_user_pool_client(
        UserPoolId=pool_id,
        ClientName=name,
        ExplicitAuthFlows=["ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
        **settings,
    )["UserPoolClient"]["ClientId"]


def _machine(cloud: LocalStack, pool_id: str) -> tuple[str, str]:
    """The id and the secret of a client for the client credentials grant."""
    scope = {"ScopeName": "use", "ScopeDescription": "use it"}
    cloud.cognito.create_resource_server(UserPoolId=pool_id, Identifier="chat", Name="chat", Scopes=[scope])  # type: ignore[list-item]
    client = cloud.cognito.create_user_pool_client(
        UserPoolId=pool_id,
        ClientName="machine",
        GenerateSecret=True,
        AllowedOAuthFlows=["client_credentials"],
        AllowedOAuthScopes=["chat/use"],
        AllowedOAuthFlowsUserPoolClient=True,
    )["UserPoolClient"]
    return client["ClientId"], client["ClientSecret"]


def manage(cloud: LocalStack, stack: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What ``python -m manage`` does with a stack, its answer as JSON."""
    here = {"AWS_ENDPOINT_URL": cloud.emulator_url, "AWS_REGION": REGION, "NO_PROXY": "127.0.0.1"}
    here["PYTHONPATH"] = "layers/whop_chat"
    nobody_s = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    return subprocess.run(
        [sys.executable, "-m", "manage", "--stack", stack, "--json", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **FAKE_KEYS, **here, **nobody_s},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def machine_token(cloud: LocalStack, own_pool: OwnPool, confidential: Confidential) -> str:
    """An access token that a client got for itself."""
    form = {"grant_type": "client_credentials", "scope": "chat/use"}
    answer = cloud.http.post(f"{cloud.emulator_url}/oauth2/token", data=form, auth=own_pool.machine)
    token: str = answer.json()["access_token"]
    confidential.secret("Cognito token", token)
    return token


# -- Lambda


@cache
def _lambda(endpoint: str) -> Any:
    session: Any = boto3.session.Session(
        aws_access_key_id=FAKE_KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=FAKE_KEYS["AWS_SECRET_ACCESS_KEY"],
        region_name=REGION,
    )
    return session.client("lambda", endpoint_url=endpoint, config=Config(proxies={}))


def configuration(cloud: LocalStack, function: str) -> Any:
    """How Lambda runs a function, by its name, or by the ARN of one of its versions or aliases."""
    return _lambda(cloud.emulator_url).get_function_configuration(FunctionName=function)


def invoke(cloud: LocalStack, function: str, event: Mapping[str, object]) -> Any:
    """What the function answers to ``event``; an AssertionError if it fails."""
    answer = _lambda(cloud.emulator_url).invoke(FunctionName=function, Payload=json.dumps(event))
    payload = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, payload
    return payload


def _event(name: str, token: str | None) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text())
    if token is not None:
        event["headers"]["authorization"] = f"Bearer {token}"
    return event


# -- the queue and its worker


class SyncLane:
    """A queue of one deployment, by default the sync queue, and the function that works through it."""

    def __init__(self, cloud: LocalStack, deployment: Deployment, queue: str = "Sync") -> None:
        self._sqs = cloud.sqs
        self._url, self._dead = deployment[f"{queue}QueueUrl"], deployment[f"{queue}DeadLetterQueueUrl"]
        self._lambda = _lambda(cloud.emulator_url)
        arn = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        (source,) = self._lambda.list_event_source_mappings(EventSourceArn=arn)["EventSourceMappings"]
        self._source = source["UUID"]

    @contextmanager
    def paused(self) -> Iterator[None]:
        """No message is handled inside the block; what was being handled before it is done."""
        self._lambda.update_event_source_mapping(UUID=self._source, Enabled=False)
        try:
            assert wait_until(lambda: self._count("NotVisible") == 0, SYNC_SECONDS), "a message is still in flight"
            yield
        finally:
            self._lambda.update_event_source_mapping(UUID=self._source, Enabled=True)

    def waiting(self) -> int:
        """How many messages wait, are being handled, or are postponed."""
        return self._count("", "NotVisible")

    def settle(self) -> None:
        """Wait until every message is done with."""
        assert wait_until(lambda: self.waiting() == 0, SYNC_SECONDS), "messages are left"

    def send(self, *bodies: str) -> None:
        """Put messages on the queue."""
        for body in bodies:
            self._sqs.send_message(QueueUrl=self._url, MessageBody=body)

    def has_dead_letter(self, body: str, *, seconds: float = SYNC_SECONDS) -> bool:
        """Whether the dead-letter queue has a message with this body, or gets one; the message is taken."""
        return wait_until(lambda: self._take(body), seconds)

    def _take(self, body: str) -> bool:
        found = self._sqs.receive_message(QueueUrl=self._dead, MaxNumberOfMessages=10, VisibilityTimeout=1)
        for message in found.get("Messages", []):
            if message["Body"] == body:
                self._sqs.delete_message(QueueUrl=self._dead, ReceiptHandle=message["ReceiptHandle"])
                return True
        return False

    def _count(self, *kinds: str) -> int:
        # In one call: between two, a message could go from one kind to the other.
        names: Any = [f"ApproximateNumberOfMessages{kind}" for kind in kinds]
        answer: Any = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=names)["Attributes"]
        return sum(int(answer[name]) for name in names)


def message(pool_id: str, username: str, sub: str, **members: str) -> str:
    """A message of the sync queue, with the members of those in events/, or others."""
    known = json.loads(_event("sync_user_batch", None)["Records"][0]["body"])
    return json.dumps(known | {"pool": pool_id, "username": username, "sub": sub} | members)


# -- records and accounts


def record_with_status(
    cloud: LocalStack, deployment: Deployment, user: User, status: str, *, seconds: float = SYNC_SECONDS
) -> dict[str, str]:
    """The user's record in the table once it has ``status``; an AssertionError when it has not after ``seconds``."""
    record: dict[str, str] = {}

    def reached() -> bool:
        record.clear()
        record.update(cloud.user_record(deployment, user.sub))
        return record.get("status") == status

    assert wait_until(reached, seconds), f"the record is {record or 'not there'}, not {status}"
    return record


def change_record(cloud: LocalStack, deployment: Deployment, user: User, **values: str | int) -> None:
    """Write attributes of the user's record, which is made if there is none."""
    names = {"pool": deployment["UserPoolId"], "sub": user.sub} | values
    cloud.dynamodb.update_item(
        TableName=deployment["UsersTableName"],
        Key={"pk": {"S": f"USER#{deployment['UserPoolId']}#{user.sub}"}},
        UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in names),
        ExpressionAttributeNames={f"#{name}": name for name in names},
        ExpressionAttributeValues={
            f":{name}": {"N": str(value)} if isinstance(value, int) else {"S": value} for name, value in names.items()
        },
    )


def accounts_of(whop: SimulatorControl, user: User) -> list[dict[str, Any]]:
    """The accounts at Whop with the user's e-mail address."""
    return [account for account in whop.state()["accounts"] if account["email"] == user.email]


def say(cloud: LocalStack, token: str, channel: str) -> httpx.Response:
    """Use a Whop token: send a message to a channel."""
    return cloud.http.post(
        f"{cloud.whop.api_url}/messages",
        headers={"Authorization": f"Bearer {token}"},
        json={"channel_id": channel, "content": "hello"},
    )


def in_parallel[T](*calls: Callable[[], T]) -> list[T]:
    """The results of ``calls``, made at once."""
    with ThreadPoolExecutor(len(calls)) as threads:
        return [each.result() for each in [threads.submit(call) for call in calls]]


# -- what the README promises


@dataclass(frozen=True, slots=True)
class Promise:
    """A row of the README's error table; ``wait`` is the ``Retry-After`` that it names, up to a half less than told."""

    status: int
    wait: int | None
    or_more: bool


@cache
def promises() -> Mapping[str, Promise]:
    """The README's error table, by code."""
    rows = re.findall(r"^\| (\d{3}) \| `(\w+)` \| (.*) \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    return {code: Promise(int(status), _number(text), "or more" in text) for status, code, text in rows}


def _number(text: str) -> int | None:
    found = re.search(r"`Retry-After: (\d+)`", text)
    return int(found[1]) if found else None


def assert_problem(answer: httpx.Response, code: str, *, wait: int | None = None) -> None:
    """The answer is the problem ``code`` as the README promises it; ``wait`` is for waits that are not fixed there."""
    promise = promises()[code]
    problem = answer.json()
    assert (answer.status_code, problem.get("code")) == (promise.status, code), answer.text
    assert problem["status"] == promise.status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    least = promise.wait if wait is None else wait
    told = problem.get("retry_after")
    assert answer.headers.get("retry-after") == (told and str(told)), answer.text
    assert (told is None) == (least is None), answer.text
    assert least is None or least <= told, answer.text
    assert least is None or promise.or_more or told <= least + math.ceil(least / 2), answer.text
    if promise.status == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer")


def assert_turned_away(answer: httpx.Response) -> None:
    """The gateway's own 401, without a code."""
    assert (answer.status_code, answer.headers["www-authenticate"].split()[0]) == (401, "Bearer")
    assert "code" not in answer.json()
