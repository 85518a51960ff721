"""SyncUser asks for a user's picture, and a picture never holds it up."""

import dataclasses

import httpx
import pytest

from tests.fakes.http_server import Server
from tests.fakes.queue import Queue
from tests.unit.sync.test_worker import ADA, NOW, RENAMED, Case, Pool
from whop_chat.cognito.display_name import profile_digest
from whop_chat.cognito.pool import UserGone
from whop_chat.runtime.aws import AwsError
from whop_chat.sync.queue import Source, SyncMessage, decode
from whop_chat.users.lifecycle import tombstone
from whop_chat.whop.errors import WhopError

PICTURE = "https://pictures.example/ada.jpg?of=ada@example.test"
OBJECT = f"s3://pictures/avatars/{ADA.sub}"


def pictured(picture: str | None, *answers: httpx.Response, pool: Pool | None = None) -> Case:
    case = Case(Server(*(answers or (RENAMED,))), pool=pool)
    case.pool.picture = picture
    case.avatars = Queue()
    return case


def asked(case: Case) -> list[SyncMessage]:
    assert case.avatars is not None
    return [decode(body) for body in case.avatars.sent]


def handled(case: Case, picture: str) -> None:
    case.write(dataclasses.replace(case.record, picture_digest=profile_digest(ADA.sub, picture), picture_at=NOW))


def test_a_picture_is_asked_for_by_a_message_that_names_the_user_and_nothing_else() -> None:
    case = pictured(PICTURE)
    case.sync(source=Source.SIGN_UP)

    assert asked(case) == [SyncMessage(ADA, Source.SIGN_UP)]
    assert case.avatars is not None
    assert not [body for body in case.avatars.sent if "pictures.example" in body or "@" in body]
    assert case.names == ["Ada Lovelace"]


def test_a_picture_that_was_handled_is_not_asked_for_again() -> None:
    case = pictured(PICTURE)
    handled(case, PICTURE)
    case.sync(2)

    assert asked(case) == []


@pytest.mark.parametrize("picture", ["https://pictures.example/hat.jpg", ""])
def test_another_picture_or_none_is_asked_for(picture: str) -> None:
    case = pictured(picture)
    handled(case, PICTURE)
    case.sync(source=Source.CHANGE)

    assert asked(case) == [SyncMessage(ADA, Source.CHANGE)]


def test_who_has_no_picture_and_had_none_costs_no_message() -> None:
    case = pictured("")
    case.sync()

    assert asked(case) == []


def test_an_object_is_asked_for_each_time() -> None:
    case = pictured(OBJECT)
    handled(case, OBJECT)
    case.sync(2, source=Source.RECONCILE)

    assert asked(case) == [SyncMessage(ADA, Source.RECONCILE)] * 2


def test_an_operator_asks_for_a_picture_again() -> None:
    case = pictured(PICTURE)
    handled(case, PICTURE)
    case.sync(source=Source.COMMAND)

    assert asked(case) == [SyncMessage(ADA, Source.COMMAND)]


def test_a_stack_without_pictures_asks_for_none() -> None:
    case = Case(Server(RENAMED))
    case.sync()

    assert case.telemetry.events == [("user synced", {})]
    assert case.telemetry.failures == []


def test_a_queue_that_does_not_take_the_message_fails_no_sync() -> None:
    case = pictured(PICTURE)
    case.avatars = Queue(AwsError("ServiceUnavailable"))
    case.sync()

    assert case.names == ["Ada Lovelace"]
    assert [message for _, message in case.telemetry.failures] == ["picture not enqueued"]
    assert case.telemetry.events == [("user synced", {})]


def test_a_name_that_cannot_be_set_asks_for_no_picture() -> None:
    """The message comes again, and asks then."""
    case = pictured(PICTURE, httpx.Response(500), httpx.Response(500))
    with pytest.raises(WhopError):
        case.sync()

    assert asked(case) == []


def test_who_is_not_linked_gets_no_picture() -> None:
    case = Case(Server(), linked=False)
    case.avatars, case.pool.picture = Queue(), PICTURE
    case.sync()

    assert asked(case) == []


def deleted(*, picture_at: int | None) -> Case:
    case = pictured(None, pool=Pool(UserGone()))
    case.write(
        dataclasses.replace(case.record, picture_digest="digest", picture_content="content", picture_at=picture_at)
    )
    return case


def test_the_picture_of_a_deleted_user_is_removed_and_nothing_of_it_kept() -> None:
    case = deleted(picture_at=NOW)
    case.sync(2, source=Source.CHANGE)

    assert asked(case) == [SyncMessage(ADA, Source.CHANGE)] * 2
    assert (case.record.picture_at, case.record.picture_digest, case.record.picture_content) == (NOW, None, None)
    assert len(case.clean_up.cleaned) == 2


def test_a_deleted_user_without_a_picture_costs_no_message() -> None:
    case = deleted(picture_at=None)
    case.sync()

    assert asked(case) == []


def test_a_removal_that_is_not_enqueued_is_tried_again_before_the_clean_up() -> None:
    case = deleted(picture_at=NOW)
    case.avatars = Queue(AwsError("ServiceUnavailable"))
    with pytest.raises(AwsError):
        case.sync(source=Source.CHANGE)

    assert case.clean_up.cleaned == []
    assert case.record == dataclasses.replace(tombstone(case.record, NOW), version=case.record.version)
