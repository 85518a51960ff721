"""The table of a user's life: every status of a record with every standing in the pool."""

import dataclasses
from pathlib import Path

import pytest

from whop_chat.cognito.pool import PoolStatus
from whop_chat.users.lifecycle import (
    Action,
    next_action,
    reinstate,
    suspend,
    tombstone,
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
