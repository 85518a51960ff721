"""What a record says of its user."""

import dataclasses
from typing import Any

import pytest

from whop_chat.users.record import Record, StaleRecord, Status


def record(status: Status = Status.LINKED, **fields: Any) -> Record:
    return Record(status=status, **fields)


def test_a_new_record_is_of_the_first_generation_and_has_counted_nothing() -> None:
    known = {name: value for name, value in dataclasses.asdict(record()).items() if value is not None}

    assert (known.pop("status"), known.pop("version"), known.pop("generation")) == (Status.LINKED, "", 1)
    assert set(known.values()) == {0}


@pytest.mark.parametrize("status", Status)
def test_only_a_linked_user_is_linked(status: Status) -> None:
    assert record(status, whop_user_id="user_Ann").linked_to == ("user_Ann" if status is Status.LINKED else None)


@pytest.mark.parametrize(
    ("own", "enrolled", "needs_none"),
    [(None, None, False), ("user_Own", None, True), ("user_Own", "user_Ann", False), (None, "user_Ann", False)],
)
def test_who_links_their_own_account_first_needs_no_enrolment(
    own: str | None, enrolled: str | None, needs_none: bool
) -> None:
    assert record(own_whop_user_id=own, whop_user_id=enrolled).needs_no_enrolment is needs_none


@pytest.mark.parametrize(
    ("digest", "unsettled_until", "has_it"),
    [("name", 0, True), ("other", 0, False), (None, 0, False), ("name", 101, True), ("name", 100, False)],
)
def test_a_name_is_due_again_once_no_earlier_call_can_set_it_back(
    digest: str | None, unsettled_until: int, has_it: bool
) -> None:
    assert record(profile_digest=digest, name_unsettled_until=unsettled_until).has_name("name", 100) is has_it


@pytest.mark.parametrize(
    ("fields", "wanted", "has_it"),
    [
        ({}, None, True),
        ({"picture_at": 9}, None, False),
        ({"picture_digest": "picture"}, "picture", True),
        ({"picture_digest": "other"}, "picture", False),
        ({"picture_digest": "picture", "picture_file_id": "file_1"}, "picture", False),
    ],
)
def test_a_picture_is_due_until_whop_shows_it(fields: dict[str, Any], wanted: str | None, has_it: bool) -> None:
    assert record(**fields).has_picture(wanted) is has_it


def test_a_log_line_with_a_record_has_no_key_and_no_digest_of_an_address() -> None:
    shown = repr(
        record(idempotency_key="hidden", email_digest="hidden", blocked_digest="hidden", picture_digest="hidden")
    )

    assert "hidden" not in shown


def test_who_lost_a_race_may_come_again_in_a_second() -> None:
    assert StaleRecord().retry_after == 1


def test_the_words_for_a_status_are_stored_so_they_stay() -> None:
    assert [*Status] == ["pending", "linked", "blocked", "denied", "disabled", "deleted"]
