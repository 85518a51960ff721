"""The sync_avatar function, composed as it is deployed, between moto, the simulated Whop and a fake fetch_picture."""

import base64
import json
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import httpx
import pytest
from aws_lambda_powertools import Metrics

from local.whop_simulator import Simulator, as_httpx_transport
from tests.fakes import moto_aws
from tests.fakes.cloud import Cloud, cloud_at_moto
from tests.fakes.functions import Context, event, load_function
from tests.fakes.moto_aws import AN_HOUR
from tests.fakes.settings import API_KEY, COMPANY_ID
from whop_chat.cognito.user import UserRef
from whop_chat.settings import SettingsError
from whop_chat.sync.queue import Source, encode
from whop_chat.users.record import Record, Status
from whop_chat.users.repository import DynamoDBUserRepository

PNG = b"\x89PNG\r\n\x1a\n a face"
PICTURE = "https://pictures.example/ada.jpg"


class World:
    """The function, and what it finds around it. ``answer`` is what fetch_picture answers."""

    def __init__(self, cloud: Cloud, function: ModuleType) -> None:
        self.cloud, self.function = cloud, function
        self.answer: Any = {"png": base64.b64encode(PNG).decode(), "sha256": ""}
        self.fetched: list[Any] = []
        self.simulator = Simulator()
        self.simulator.add_key(API_KEY, company_id=COMPANY_ID)
        self.simulator.change_readings({"file_processing": "at_once"})
        whop = as_httpx_transport(self.simulator)
        cloud.internet.hosts["api.whop.com"] = lambda request: _read(whop.handle_request(request))
        cloud.internet.hosts[f"lambda.{moto_aws.REGION}.amazonaws.com"] = self._invoke

    def _invoke(self, request: httpx.Request) -> httpx.Response:
        self.fetched.append((request.url.path.split("/")[3], json.loads(request.content)))
        return httpx.Response(200, json=self.answer)

    def linked(self, name: str) -> UserRef:
        user = self.cloud.sign_up(name)
        attributes = [{"Name": "picture", "Value": PICTURE}]
        self.cloud.cognito.admin_update_user_attributes(
            UserPoolId=self.cloud.pool_id, Username=name, UserAttributes=attributes
        )
        owner = self.simulator.add_person(f"{name}@example.test")
        users = DynamoDBUserRepository(moto_aws.aws_at_moto(), "users")
        pending = users.put(user, Record(status=Status.PENDING), expected=None, deadline=AN_HOUR)
        linked = Record(status=Status.LINKED, whop_user_id=owner)
        users.link(user, linked, expected=pending, deadline=AN_HOUR)
        return user

    def deliver(self, body: str, remaining_millis: int = 60_000) -> bool:
        """Whether the message is done."""
        (record, *_) = event("sync_user_batch")["Records"]
        answer = self.function.handler(
            {"Records": [{**record, "messageId": "0", "body": body}]}, Context(remaining_millis=remaining_millis)
        )
        assert answer["batchItemFailures"] in ([], [{"itemIdentifier": "0"}])
        return not answer["batchItemFailures"]

    def record(self, user: UserRef) -> Record:
        found = DynamoDBUserRepository(moto_aws.aws_at_moto(), "users").get(user, deadline=AN_HOUR)
        assert found is not None
        return found


def _read(response: httpx.Response) -> httpx.Response:
    response.read()
    return httpx.Response(response.status_code, headers=response.headers, content=response.content)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with cloud_at_moto("sync_avatar") as cloud, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AVATAR_SOURCE", "picture")
        patch.setenv("FETCH_PICTURE_FUNCTION", "fetch-picture")
        patch.setenv("AVATAR_QUEUE_URL", cloud.queue_url)
        patch.setenv("AVATAR_DEAD_LETTER_QUEUE_URL", cloud.dead_letter_queue_url)
        yield World(cloud, load_function("sync_avatar"))
    Metrics().clear_metrics()


def test_a_picture_goes_from_the_pool_by_the_other_function_to_whop(world: World) -> None:
    user = world.linked("ada")

    assert world.deliver(encode(user, Source.SIGN_UP))
    assert world.deliver(encode(user, Source.SIGN_UP))
    assert world.fetched == [("fetch-picture", {"url": PICTURE})]
    profiles: Any = world.simulator.dump()["profiles"]
    assert [each["user_id"] for each in profiles] == [world.record(user).whop_user_id]
    assert [call.operation for call in world.simulator.calls()] == [
        *("files.create", "files.upload", "files.retrieve", "users.update")
    ]


def test_a_picture_that_cannot_be_used_is_done_with_and_told(world: World) -> None:
    user = world.linked("bob")
    world.answer = {"reason": "too_many_pixels"}

    assert world.deliver(encode(user, Source.SIGN_UP))
    assert (world.record(user).picture_reason, world.record(user).status) == ("too_many_pixels", Status.LINKED)


def test_a_picture_that_may_come_later_is_delivered_again(world: World) -> None:
    user = world.linked("cid")
    world.answer = {"reason": "unreachable"}

    assert not world.deliver(encode(user, Source.SIGN_UP))
    assert world.record(user).picture_failures == 1


def test_what_is_not_ours_ends_in_the_dead_letter_queue(world: World) -> None:
    assert world.deliver("not a message of ours")
    assert world.cloud.messages(world.cloud.dead_letter_queue_url) == ["not a message of ours"]


def test_what_there_is_no_time_for_is_delivered_again(world: World) -> None:
    before = len(world.fetched)

    assert not world.deliver(encode(world.linked("dan"), Source.SIGN_UP), remaining_millis=40_000)
    assert len(world.fetched) == before


def test_it_does_not_start_with_a_version_of_whop_that_has_no_files(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHOP_API_VERSION", "2026-08-21")
    with pytest.raises(SettingsError, match="WHOP_API_VERSION is older than 2026-08-21-1"):
        load_function("sync_avatar")
