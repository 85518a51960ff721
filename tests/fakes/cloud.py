"""A pool, a table, a queue and a secret at moto, with Whop and the pool's keys behind one fake of the internet."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from moto import mock_aws

from tests.fakes import moto_aws, tokens
from tests.fakes.settings import API_KEY, COMPANY_ID, SETTINGS
from whop_chat import bootstrap
from whop_chat.cognito.user import UserRef
from whop_chat.runtime import http
from whop_chat.runtime.http import HttpClient


class Internet:
    """Answers for AWS, for Cognito's keys and for Whop; any other host does not answer."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.aws: list[str] = []
        """What was asked of AWS: operation, and which item if it is about one."""
        self.hosts: dict[str, Callable[[httpx.Request], httpx.Response]] = {}
        """Who answers in place of Whop or of nobody, by host."""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if "X-Amz-Target" in request.headers:
            item = json.loads(request.content).get("Key", {}).get("pk", {}).get("S", "")
            self.aws.append(f"{request.headers['X-Amz-Target'].rpartition('.')[2]} {item.partition('#')[0]}".strip())
            return moto_aws.answer(request)
        self.requests.append(request)
        if request.url.host in self.hosts:
            return self.hosts[request.url.host](request)
        match request.url.host, request.method, request.url.path:
            case "cognito-idp.eu-west-1.amazonaws.com", "GET", _:
                return httpx.Response(200, content=tokens.key_set_document(tokens.signing_key()))
            case "api.whop.com", "GET", "/api/v1/accounts":
                return httpx.Response(200, json={"data": []})
            case "api.whop.com", "POST", "/api/v1/accounts":
                body = json.loads(request.content)
                owner = {"id": f"user_{body['email'].partition('@')[0]}"}
                account = {"id": "biz_Child", "owner": owner, "parent_account": {"id": COMPANY_ID}}
                return httpx.Response(201, json={**body, **account})
            case "api.whop.com", "POST", "/api/v1/access_tokens":
                body = json.loads(request.content)
                answer = {"token": f"whop-token-of-{body['user_id']}", "expires_at": body["expires_at"]}
                return httpx.Response(200, json=answer)
            case "api.whop.com", "PATCH", _:
                return httpx.Response(200, json={})
        raise httpx.ConnectError("nobody there")

    def bodies(self, path: str) -> list[Any]:
        """What was sent to this path of Whop."""
        return [json.loads(request.content) for request in self.requests if request.url.path == f"/api/v1{path}"]


class Cloud:
    """What the functions find around them, and the environment that names it."""

    def __init__(self) -> None:
        self.internet = Internet()
        self.cognito = moto_aws.client("cognito-idp")
        self.sqs = moto_aws.client("sqs")
        self.pool_id = self.cognito.create_user_pool(PoolName="people")["UserPool"]["Id"]
        moto_aws.made_table("users")
        secret = moto_aws.client("secretsmanager").create_secret(Name="whop", SecretString=API_KEY)
        self.queue_url = self.sqs.create_queue(QueueName="sync")["QueueUrl"]
        self.dead_letter_queue_url = self.sqs.create_queue(QueueName="dead")["QueueUrl"]
        self.environment = {
            "SYNC_QUEUE_URL": self.queue_url,
            "SYNC_DEAD_LETTER_QUEUE_URL": self.dead_letter_queue_url,
            "USER_POOL_ID": self.pool_id,
            "USER_POOL_CLIENT_IDS": tokens.CLIENT_ID,
            "USERS_TABLE": "users",
            "WHOP_SECRET_ARN": secret["ARN"],
            **SETTINGS,
        }

    def sign_up(self, name: str) -> UserRef:
        """A confirmed user with a verified address."""
        attributes = {"email": f"{name}@example.test", "email_verified": "true", "name": name.title()}
        answer = self.cognito.admin_create_user(
            UserPoolId=self.pool_id,
            Username=name,
            UserAttributes=[{"Name": key, "Value": value} for key, value in attributes.items()],
            MessageAction="SUPPRESS",
        )
        self.cognito.admin_set_user_password(
            UserPoolId=self.pool_id, Username=name, Password="Correct-horse-1", Permanent=True
        )
        sub = next(item["Value"] for item in answer["User"]["Attributes"] if item["Name"] == "sub")
        return UserRef(pool_id=self.pool_id, sub=sub, username=name)

    def messages(self, url: str) -> list[str]:
        """The bodies of what is on this queue."""
        received = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        return [message["Body"] for message in received.get("Messages", [])]


@contextmanager
def cloud_at_moto(function: str) -> Iterator[Cloud]:
    """The cloud, with the environment of ``function`` set and its way to the internet led to the fake one."""
    with mock_aws(), pytest.MonkeyPatch.context() as patch:
        cloud = Cloud()
        for name, value in cloud.environment.items():
            patch.setenv(name, value)
        patch.setenv("POWERTOOLS_SERVICE_NAME", function)
        client = HttpClient(httpx.MockTransport(cloud.internet))
        for module in (http, bootstrap):
            patch.setattr(module, "HttpClient", lambda **_: client)
        yield cloud
