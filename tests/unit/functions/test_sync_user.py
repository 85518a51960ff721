"""The sync_user function, composed as it is deployed."""

import json
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from tests.fakes import moto_aws
from tests.fakes.cloud import Cloud, cloud_at_moto
from tests.fakes.functions import Context, event, load_function
from whop_chat.cognito.pool import PoolStatus
from whop_chat.cognito.user import UserRef
from whop_chat.runtime.deadline import Deadline
from whop_chat.settings import SettingsError
from whop_chat.sync.queue import Source, encode
from whop_chat.users.refusals import Refusals


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with cloud_at_moto("sync_user") as cloud:
        yield cloud


@pytest.fixture(scope="module")
def function(cloud: Cloud) -> ModuleType:
    return load_function("sync_user")


def delivery(*bodies: str) -> dict[str, Any]:
    (record, *_) = event("sync_user_batch")["Records"]
    return {"Records": [{**record, "messageId": str(number), "body": body} for number, body in enumerate(bodies)]}


def test_users_are_enrolled_and_named_once_however_often_their_message_comes(
    cloud: Cloud, function: ModuleType
) -> None:
    ada, bob = cloud.sign_up("ada"), cloud.sign_up("bob")

    for _ in range(2):
        answer = function.handler(
            delivery(*(encode(user, Source.SIGN_UP) for user in (ada, bob, ada))), Context(remaining_millis=60_000)
        )
        assert answer == {"batchItemFailures": []}

    assert [body["email"] for body in cloud.internet.bodies("/accounts")] == ["ada@example.test", "bob@example.test"]
    assert cloud.internet.bodies("/users/user_ada") == [{"name": "Ada"}]
    assert cloud.internet.bodies("/users/user_bob") == [{"name": "Bob"}]


def test_a_sign_up_through_an_app_client_of_others_enrols_nobody(cloud: Cloud, function: ModuleType) -> None:
    before = cloud.internet.bodies("/accounts")
    body = encode(cloud.sign_up("eve"), Source.SIGN_UP, "a-client-of-others")

    assert function.handler(delivery(body), Context(remaining_millis=60_000)) == {"batchItemFailures": []}
    assert cloud.internet.bodies("/accounts") == before


def test_a_message_about_a_user_lets_the_next_mint_ask_the_pool_again(cloud: Cloud, function: ModuleType) -> None:
    user = cloud.sign_up("fay")
    refusals = Refusals(moto_aws.aws_at_moto(), "users")
    refusals.remember(user, PoolStatus.DISABLED, deadline=Deadline(5))
    function.handler(delivery(encode(user, Source.CHANGE)), Context(remaining_millis=60_000))

    assert refusals.get(user, deadline=Deadline(5)) is None


def test_a_user_who_is_not_in_the_pool_is_done_with(cloud: Cloud, function: ModuleType) -> None:
    nobody = UserRef(pool_id=cloud.pool_id, sub="sub-nobody", username="nobody")

    assert function.handler(delivery(encode(nobody, Source.SIGN_UP)), Context(remaining_millis=60_000)) == {
        "batchItemFailures": []
    }


def test_what_is_not_ours_ends_in_the_dead_letter_queue(cloud: Cloud, function: ModuleType) -> None:
    answer = function.handler(event("sync_user_poison"), Context(remaining_millis=60_000))

    # The users of the event are of another pool than the one at moto.
    assert answer == {"batchItemFailures": []}
    assert sorted(cloud.messages(cloud.dead_letter_queue_url)) == sorted(
        record["body"] for record in event("sync_user_poison")["Records"]
    )


def test_what_there_is_no_time_for_is_delivered_again(cloud: Cloud, function: ModuleType) -> None:
    answer = function.handler(delivery("anything"), Context(remaining_millis=5_000))

    assert answer == {"batchItemFailures": [{"itemIdentifier": "0"}]}


def test_a_line_about_a_message_does_not_bear_the_sub_of_another(
    cloud: Cloud, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "sync_user_written")
    cid = cloud.sign_up("cid")
    load_function("sync_user").handler(
        delivery(encode(cid, Source.SIGN_UP), "not a message of ours"), Context(remaining_millis=60_000)
    )

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    subs = {line["message"]: line.get("sub") for line in lines if "message" in line}
    assert subs == {"user synced": cid.sub, "unreadable message set aside": None}


def test_a_wrong_environment_is_told_at_the_start(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SYNC_DEAD_LETTER_QUEUE_URL")

    with pytest.raises(SettingsError, match="SYNC_DEAD_LETTER_QUEUE_URL is missing"):
        load_function("sync_user")
