"""The parts of `whop_chat` with the operator's credentials."""

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3.session
import botocore.session
import httpx
import pytest
from botocore.credentials import RefreshableCredentials

from manage.deployment import Deployment
from manage.errors import Refused
from manage.stack import Stack
from tests.fakes.moto_aws import REGION
from tests.tools.manage.deployment import ACCOUNT, OPERATOR, DeployedStack
from whop_chat.cognito.user import UserRef


class Renewing:
    """A session whose credentials end after an hour; their access key names the hour."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, 1, tzinfo=UTC)
        credentials: Any = RefreshableCredentials.create_from_metadata(self._renewed(), self._renewed, method="test")
        credentials._time_fetcher = lambda: self.now
        session: Any = botocore.session.get_session()
        session._credentials = credentials
        self.session = boto3.session.Session(botocore_session=session, region_name=REGION)

    def _renewed(self) -> dict[str, str]:
        expiry = self.now + timedelta(hours=1)
        key = f"key-of-hour-{self.now.hour}"
        return {"access_key": key, "secret_key": "secret", "token": "token", "expiry_time": expiry.isoformat()}


def deployment(run: DeployedStack, session: boto3.session.Session) -> Deployment:
    arn = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/chat/1"
    return Deployment(Stack("chat", arn, "CREATE_COMPLETE", {}, run.outputs, session, OPERATOR))


def test_a_long_command_signs_with_renewed_credentials(run: DeployedStack, ann: UserRef) -> None:
    signed: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        signed.append(request.headers["Authorization"].partition("Credential=")[2].partition("/")[0])
        return run.cloud.internet(request)

    run.answer_with(answer)
    renewing = Renewing()
    parts = deployment(run, renewing.session)
    for _ in range(2):
        parts.users.get(ann, deadline=parts.deadline())
        renewing.now += timedelta(hours=2)

    assert signed == ["key-of-hour-1", "key-of-hour-3"]


def test_an_endpoint_on_another_machine_is_refused(run: DeployedStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://aws.example.test")

    with pytest.raises(Refused, match="AWS_ENDPOINT_URL"):
        _ = deployment(run, Renewing().session).users
