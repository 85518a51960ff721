"""The table of a user's life: every status of a record with every standing in the pool."""

import dataclasses
from pathlib import Path

import pytest

from whop_chat.cognito.pool import PoolStatus
from whop_chat.users.lifecycle import (
    Action,
    after_naming,
    before_naming,
    blocked,
    keep_link,
    next_action,
    next_generation,
    reinstate,
    replacement_of,
    suspend,
    tombstone,
    unused_generations,
    without_identity,
    without_profile,
)
from whop_chat.users.record import Record, Status

DOCUMENT = Path(__file__).parents[3] / "docs" / "architecture.md"

#            active        password due    disabled      inactive    gone
TABLE: dict[Status | None, tuple[Action, ...]] = {
    None: (Action.ENROL, Action.LEAVE, Action.LEAVE, Action.LEAVE, Action.LEAVE),
    Status.PENDING: (Action.ENROL, Action.ENROL, Action.DISABLE, Action.LEAVE, Action.DELETE),
    Status.LINKED: (Action.ENROL, Action.ENROL, Action.DISABLE, Action.LEAVE, Action.DELETE),
    Status.BLOCKED: (Action.ENROL, Action.ENROL, Action.DISABLE, Action.LEAVE, Action.DELETE),
    Status.DENIED: (Action.LEAVE, Action.LEAVE, Action.LEAVE, Action.LEAVE, Action.DELETE),
    Status.DISABLED: (Action.RESTORE, Action.RESTORE, Action.LEAVE, Action.LEAVE, Action.DELETE),
    Status.DELETED: (Action.CLEAN_UP,) * 5,
}
COLUMNS = (PoolStatus.ACTIVE, PoolStatus.PASSWORD_DUE, PoolStatus.DISABLED, PoolStatus.INACTIVE, PoolStatus.GONE)
CELLS = [
    (status, standing, wanted) for status, row in TABLE.items() for standing, wanted in zip(COLUMNS, row, strict=True)
]


@pytest.mark.parametrize(("status", "pool_status", "wanted"), CELLS)
def test_each_pair_has_its_step(status: Status | None, pool_status: PoolStatus, wanted: Action) -> None:
    assert next_action(status, pool_status) is wanted


def test_every_pair_is_in_the_table() -> None:
    assert set(TABLE) == {None, *Status}
    assert set(COLUMNS) == set(PoolStatus)


def test_the_document_has_the_same_table() -> None:
    rows = [
        [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        for line in DOCUMENT.read_text().splitlines()
        if line.startswith("|")
    ]
    written = {row[0]: tuple(row[1:]) for row in rows if row[0] in {"no record", *Status} and len(row) == 6}
    assert written == {status or "no record": steps for status, steps in TABLE.items()}


FULL = Record(
    status=Status.LINKED,
    version="attempt",
    generation=2,
    lease_until=9,
    idempotency_key="key",
    key_since=8,
    email_digest="digest",
    whop_user_id="user_Ann",
    whop_account_id="biz_Ann",
    profile_digest="digest",
    synced_at=7,
)
UNLINKED = dataclasses.replace(FULL, whop_user_id=None, whop_account_id=None)


@pytest.mark.parametrize("status", [Status.DENIED, Status.DISABLED])
@pytest.mark.parametrize(
    "before",
    [
        FULL,
        dataclasses.replace(UNLINKED, status=Status.PENDING),
        dataclasses.replace(UNLINKED, status=Status.BLOCKED, reason="identity_conflict", retry_at=5),
    ],
    ids=lambda record: record.status,
)
def test_who_is_let_in_again_has_what_was_there_before(status: Status, before: Record) -> None:
    closed = suspend(before, status)
    assert closed.status is status
    assert reinstate(closed) == dataclasses.replace(before, lease_until=0)


def test_a_tombstone_keeps_the_ids_and_nothing_of_the_attributes() -> None:
    assert tombstone(dataclasses.replace(FULL, idempotency_key=None, reason="x", email_mode="verified"), 100) == Record(
        status=Status.DELETED, generation=2, whop_user_id="user_Ann", whop_account_id="biz_Ann"
    )


PICTURED = dataclasses.replace(
    FULL,
    picture_digest="digest",
    picture_content="content",
    picture_file_id="file_1",
    picture_reason="too_large",
    picture_failures=2,
    picture_at=9,
)


def test_a_tombstone_remembers_that_there_is_a_picture_to_remove_and_nothing_made_of_it() -> None:
    assert tombstone(PICTURED, 100) == dataclasses.replace(tombstone(FULL, 100), picture_at=9)


def test_another_whop_user_has_no_name_and_no_picture_of_ours() -> None:
    assert without_profile(PICTURED) == dataclasses.replace(FULL, profile_digest=None)


@pytest.mark.parametrize("before", [PICTURED, tombstone(PICTURED, 100)], ids=["linked", "deleted"])
def test_who_loses_their_whop_user_loses_its_picture(before: Record) -> None:
    after = without_identity(before, email_mode="verified", blocked_digest="address")

    assert (after.picture_at, after.picture_digest, after.picture_content, after.picture_file_id) == (None,) * 4


def test_a_tombstone_of_an_enrolment_under_way_waits_for_its_end() -> None:
    assert tombstone(FULL, 100).retry_at == 1000


@pytest.mark.parametrize(("unsettled_until", "retry_at"), [(100, None), (101, 101), (0, None)])
def test_a_tombstone_waits_for_a_name_that_may_still_be_set(unsettled_until: int, retry_at: int | None) -> None:
    settled = dataclasses.replace(FULL, idempotency_key=None, name_unsettled_until=unsettled_until)

    assert tombstone(settled, 100).retry_at == retry_at


def test_the_next_generation_is_the_next_number() -> None:
    assert next_generation(FULL) == dataclasses.replace(FULL, generation=3)


@pytest.mark.parametrize(
    ("generation", "tried", "unused"), [(1, 0, []), (3, 0, [1, 2]), (1, 3, [2, 3]), (2, 3, [1, 3]), (3, 3, [1, 2])]
)
def test_every_generation_but_the_present_one_is_unused(generation: int, tried: int, unused: list[int]) -> None:
    assert unused_generations(dataclasses.replace(FULL, generation=generation, tried=tried)) == unused


@pytest.mark.parametrize(("generation", "tried", "next_one"), [(1, 0, 2), (1, 2, 2), (1, 5, 5), (4, 3, 5)])
def test_a_replacement_asks_again_for_the_generation_that_was_tried_last(
    generation: int, tried: int, next_one: int
) -> None:
    link = dataclasses.replace(FULL, idempotency_key=None, generation=generation, tried=tried)

    assert replacement_of(link) == dataclasses.replace(link, generation=next_one)


def test_a_replacement_resumes_the_create_whose_outcome_is_unknown() -> None:
    link = dataclasses.replace(FULL, key_generation=4, tried=6)

    assert replacement_of(link) == dataclasses.replace(link, generation=4)


def test_a_block_ends_the_lease_and_says_why_and_until_when() -> None:
    assert blocked(FULL, "no_verified_email", email_mode="alias", retry_at=60) == dataclasses.replace(
        FULL, status=Status.BLOCKED, lease_until=0, reason="no_verified_email", email_mode="alias", retry_at=60
    )


@pytest.mark.parametrize(("digest", "kept"), [("new", "new"), (None, "old")])
def test_a_link_that_is_kept_remembers_what_the_attempt_asked_for(digest: str | None, kept: str) -> None:
    link = dataclasses.replace(FULL, idempotency_key=None, tried=3, blocked_digest="old")
    attempt = dataclasses.replace(
        UNLINKED, idempotency_key="other", key_since=1, key_generation=4, email_digest="e", blocked_digest=digest
    )

    assert keep_link(link, attempt) == dataclasses.replace(
        link, tried=4, blocked_digest=kept, idempotency_key="other", key_since=1, key_generation=4, email_digest="e"
    )
    assert keep_link(dataclasses.replace(link, tried=5), attempt).tried == 5


def test_a_name_is_due_until_the_call_that_sets_it_is_answered() -> None:
    during = before_naming(FULL, 100)
    after = after_naming(FULL, "new", 200, settled=True)

    assert during == dataclasses.replace(FULL, profile_digest=None, name_unsettled_until=1000)
    assert after == dataclasses.replace(FULL, profile_digest="new", synced_at=200)
    assert after_naming(FULL, "new", 200, settled=False).name_unsettled_until == 1100


@pytest.mark.parametrize(("before", "after"), [(199, 0), (200, 0), (201, 201)])
def test_an_earlier_call_that_may_still_take_effect_is_remembered(before: int, after: int) -> None:
    record = dataclasses.replace(FULL, name_unsettled_until=before)

    assert after_naming(record, "new", 200, settled=True).name_unsettled_until == after


@pytest.mark.parametrize("status", [Status.DENIED, Status.DISABLED, Status.PENDING])
def test_who_loses_a_whop_user_without_being_linked_keeps_their_status(status: Status) -> None:
    after = without_identity(dataclasses.replace(FULL, status=status), email_mode="verified", blocked_digest="address")

    assert (after.status, after.whop_user_id, after.reason, after.blocked_digest) == (status, None, None, None)


def test_who_loses_the_whop_user_of_their_link_is_blocked_for_the_conflict() -> None:
    linked = dataclasses.replace(FULL, idempotency_key=None, name_unsettled_until=5)
    after = without_identity(linked, email_mode="verified", blocked_digest="address")

    assert after == dataclasses.replace(
        without_profile(UNLINKED),
        status=Status.BLOCKED,
        idempotency_key=None,
        generation=3,
        reason="identity_conflict",
        conflict_whop_user_id="user_Ann",
        blocked_digest="address",
        email_mode="verified",
    )
