"""The directory: what both implementations promise, then what is DynamoDB's own."""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol, cast

import httpx
import pytest
from moto import mock_aws

from tests.fakes.memory_users import MemoryUserRepository
from tests.fakes.moto_aws import AN_HOUR, answer, aws_at_moto, aws_over, table
from whop_chat.cognito.user import UserRef
from whop_chat.minting.user_quota import Counter
from whop_chat.reconcile.ports import Records
from whop_chat.runtime.aws import AwsError
from whop_chat.users.record import AlreadyReserved, QuotaExceeded, Record, StaleRecord, Status
from whop_chat.users.repository import DynamoDBUserRepository, UserRepository

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TABLE = "users"
ANN = UserRef(pool_id="eu-west-1_Pool", sub="sub-ann", username="ann")
BEN = UserRef(pool_id="eu-west-1_Pool", sub="sub-ben", username="ben")
CLAIM = Record(status=Status.PENDING, lease_until=1_700_000_010, idempotency_key="key", key_since=1_700_000_000)


def linked(whop_user_id: str) -> Record:
    return Record(status=Status.LINKED, whop_user_id=whop_user_id, whop_account_id="biz_child")


@pytest.fixture(scope="module")
def region() -> Iterator[None]:
    with mock_aws():
        yield


@pytest.fixture
def dynamodb(region: None) -> "Iterator[DynamoDBClient]":
    with table(TABLE) as made:
        yield made


@pytest.fixture(params=["dynamodb", "memory"])
def users(request: pytest.FixtureRequest) -> UserRepository:
    if request.param == "memory":
        return MemoryUserRepository()
    request.getfixturevalue("dynamodb")
    return DynamoDBUserRepository(aws_at_moto(), TABLE)


def test_a_user_nobody_has_written_has_no_record(users: UserRepository) -> None:
    assert users.get(ANN, deadline=AN_HOUR) is None


def test_a_record_comes_back_as_it_was_written(users: UserRepository) -> None:
    full = Record(
        status=Status.BLOCKED,
        generation=3,
        tried=12,
        lease_until=4,
        idempotency_key="key",
        key_since=5,
        key_generation=13,
        email_digest="digest",
        reason="identity_conflict",
        blocked_digest="digest",
        email_mode="verified",
        retry_at=6,
        whop_user_id="user_1",
        whop_account_id="biz_1",
        own_whop_user_id="user_3",
        conflict_whop_user_id="user_2",
        profile_digest="profile",
        name_unsettled_until=12,
        synced_at=7,
        repairs=1,
        repaired_at=8,
        cleaned_at=9,
        picture_digest="picture",
        picture_content="content",
        picture_file_id="file_1",
        picture_reason="too_large",
        picture_failures=13,
        picture_at=14,
        mints_since=10,
        mints=11,
    )
    assert all(
        getattr(full, field.name) != field.default for field in dataclasses.fields(full) if field.name != "version"
    )
    written = users.put(ANN, full, expected=None, deadline=AN_HOUR)
    assert written == dataclasses.replace(full, version=written.version)
    assert users.get(ANN, deadline=AN_HOUR) == written


def test_every_write_has_an_attempt_of_its_own(users: UserRepository) -> None:
    first = users.put(ANN, CLAIM, expected=None, deadline=AN_HOUR)
    second = users.put(ANN, first, expected=first, deadline=AN_HOUR)
    assert first.version
    assert first.version != second.version


def test_users_of_two_pools_are_two_users(users: UserRepository) -> None:
    users.put(ANN, CLAIM, expected=None, deadline=AN_HOUR)
    assert users.get(dataclasses.replace(ANN, pool_id="eu-west-1_Other"), deadline=AN_HOUR) is None


def test_the_user_name_is_no_part_of_the_identity(users: UserRepository) -> None:
    written = users.put(ANN, CLAIM, expected=None, deadline=AN_HOUR)
    assert users.get(dataclasses.replace(ANN, username="renamed"), deadline=AN_HOUR) == written


def test_the_second_to_create_a_record_loses(users: UserRepository) -> None:
    first = users.put(ANN, CLAIM, expected=None, deadline=AN_HOUR)
    with pytest.raises(StaleRecord):
        users.put(ANN, CLAIM, expected=None, deadline=AN_HOUR)
    assert users.get(ANN, deadline=AN_HOUR) == first


def test_a_write_over_a_record_that_has_changed_loses(users: UserRepository) -> None:
    first = users.put(ANN, CLAIM, expected=None, deadline=AN_HOUR)
    second = users.put(ANN, CLAIM, expected=first, deadline=AN_HOUR)
    with pytest.raises(StaleRecord):
        users.put(ANN, CLAIM, expected=first, deadline=AN_HOUR)
    assert users.get(ANN, deadline=AN_HOUR) == second


def test_a_link_writes_the_record(users: UserRepository) -> None:
    claim = users.put(ANN, CLAIM, expected=None, deadline=AN_HOUR)
    record = users.link(ANN, linked("user_1"), expected=claim, deadline=AN_HOUR)
    assert users.get(ANN, deadline=AN_HOUR) == record
    assert record.status is Status.LINKED


def test_a_whop_user_is_reserved_for_one_sub(users: UserRepository) -> None:
    users.link(ANN, linked("user_1"), expected=users.put(ANN, CLAIM, expected=None, deadline=AN_HOUR), deadline=AN_HOUR)
    claim = users.put(BEN, CLAIM, expected=None, deadline=AN_HOUR)
    with pytest.raises(AlreadyReserved):
        users.link(BEN, linked("user_1"), expected=claim, deadline=AN_HOUR)
    assert users.get(BEN, deadline=AN_HOUR) == claim


def test_who_holds_a_whop_user_is_known(users: UserRepository) -> None:
    assert users.holder("user_1", deadline=AN_HOUR) is None
    users.link(ANN, linked("user_1"), expected=users.put(ANN, CLAIM, expected=None, deadline=AN_HOUR), deadline=AN_HOUR)
    holder = users.holder("user_1", deadline=AN_HOUR)
    assert holder is not None
    assert (holder.pool_id, holder.sub) == (ANN.pool_id, ANN.sub)


def ann_linked(users: UserRepository) -> Record:
    claim = users.put(ANN, CLAIM, expected=None, deadline=AN_HOUR)
    return users.link(ANN, linked("user_1"), expected=claim, deadline=AN_HOUR)


def taken_by_ben(users: UserRepository, claim: Record, holder_record: Record | None, left: Record | None) -> Record:
    return users.transfer(
        BEN,
        linked("user_1"),
        expected=claim,
        holder=ANN,
        holder_record=holder_record,
        holder_after=left,
        deadline=AN_HOUR,
    )


def test_a_whop_user_can_be_taken_from_who_has_it(users: UserRepository) -> None:
    held = ann_linked(users)
    claim = users.put(BEN, CLAIM, expected=None, deadline=AN_HOUR)
    left = Record(status=Status.DELETED)
    record = taken_by_ben(users, claim, held, left)

    assert users.get(BEN, deadline=AN_HOUR) == record
    after = users.get(ANN, deadline=AN_HOUR)
    assert after is not None
    assert after == dataclasses.replace(left, version=after.version)
    assert after.version not in ("", held.version)
    holder = users.holder("user_1", deadline=AN_HOUR)
    assert holder is not None
    assert holder.sub == BEN.sub


def test_a_whop_user_can_be_taken_from_one_who_has_no_record(users: UserRepository) -> None:
    ann_linked(users)
    claim = users.put(BEN, CLAIM, expected=None, deadline=AN_HOUR)
    assert taken_by_ben(users, claim, None, None).linked_to == "user_1"


def test_who_takes_a_whop_user_releases_their_old_one(users: UserRepository) -> None:
    held = ann_linked(users)
    claim = users.put(BEN, CLAIM, expected=None, deadline=AN_HOUR)
    before = users.link(BEN, linked("user_2"), expected=claim, deadline=AN_HOUR)
    taken_by_ben(users, before, held, Record(status=Status.DELETED))
    assert users.holder("user_2", deadline=AN_HOUR) is None


def test_nothing_is_taken_from_one_whose_record_has_changed(users: UserRepository) -> None:
    held = ann_linked(users)
    claim = users.put(BEN, CLAIM, expected=None, deadline=AN_HOUR)
    current = users.put(ANN, held, expected=held, deadline=AN_HOUR)
    with pytest.raises(AlreadyReserved):
        taken_by_ben(users, claim, held, Record(status=Status.DELETED))
    assert (users.get(ANN, deadline=AN_HOUR), users.get(BEN, deadline=AN_HOUR)) == (current, claim)


def test_nothing_is_taken_from_one_who_does_not_have_it(users: UserRepository) -> None:
    claim = users.put(BEN, CLAIM, expected=None, deadline=AN_HOUR)
    with pytest.raises(AlreadyReserved):
        taken_by_ben(users, claim, None, None)
    assert users.get(BEN, deadline=AN_HOUR) == claim


def test_nothing_is_taken_without_the_claim(users: UserRepository) -> None:
    held = ann_linked(users)
    old = users.put(BEN, CLAIM, expected=None, deadline=AN_HOUR)
    users.put(BEN, CLAIM, expected=old, deadline=AN_HOUR)
    with pytest.raises(StaleRecord):
        taken_by_ben(users, old, held, Record(status=Status.DELETED))
    assert users.get(ANN, deadline=AN_HOUR) == held


def test_a_link_without_the_claim_is_lost_and_reserves_nothing(users: UserRepository) -> None:
    old = users.put(ANN, CLAIM, expected=None, deadline=AN_HOUR)
    users.put(ANN, CLAIM, expected=old, deadline=AN_HOUR)
    with pytest.raises(StaleRecord):
        users.link(ANN, linked("user_1"), expected=old, deadline=AN_HOUR)
    assert (
        users.link(
            BEN, linked("user_1"), expected=users.put(BEN, CLAIM, expected=None, deadline=AN_HOUR), deadline=AN_HOUR
        ).whop_user_id
        == "user_1"
    )


def test_a_user_can_be_linked_again_to_their_own_whop_user(users: UserRepository) -> None:
    first = users.link(
        ANN, linked("user_1"), expected=users.put(ANN, CLAIM, expected=None, deadline=AN_HOUR), deadline=AN_HOUR
    )
    assert users.link(ANN, linked("user_1"), expected=first, deadline=AN_HOUR).whop_user_id == "user_1"


def test_a_new_link_releases_the_whop_user_of_the_old_one(users: UserRepository) -> None:
    first = users.link(
        ANN, linked("user_1"), expected=users.put(ANN, CLAIM, expected=None, deadline=AN_HOUR), deadline=AN_HOUR
    )
    users.link(ANN, linked("user_2"), expected=first, deadline=AN_HOUR)
    assert (
        users.link(
            BEN, linked("user_1"), expected=users.put(BEN, CLAIM, expected=None, deadline=AN_HOUR), deadline=AN_HOUR
        ).whop_user_id
        == "user_1"
    )
    with pytest.raises(AlreadyReserved):
        users.link(BEN, linked("user_2"), expected=users.get(BEN, deadline=AN_HOUR) or CLAIM, deadline=AN_HOUR)


def test_a_link_names_its_whop_user(users: UserRepository) -> None:
    claim = users.put(ANN, CLAIM, expected=None, deadline=AN_HOUR)
    with pytest.raises(ValueError, match="names its Whop user"):
        users.link(ANN, Record(status=Status.LINKED), expected=claim, deadline=AN_HOUR)


# Counting mints

NOW = 1_700_000_000


def count(users: UserRepository, *, now: int = NOW, limit: int = 3) -> Record | None:
    return cast(Counter, users).count_mint(ANN, limit=limit, now=now, deadline=AN_HOUR)


def test_a_mint_is_counted_on_the_record_and_nothing_else_of_it_changes(users: UserRepository) -> None:
    record = ann_linked(users)

    assert count(users) == dataclasses.replace(record, mints_since=NOW, mints=1)
    assert count(users, now=NOW + 59) == dataclasses.replace(record, mints_since=NOW, mints=2)
    assert users.get(ANN, deadline=AN_HOUR) == dataclasses.replace(record, mints_since=NOW, mints=2)


def test_nobody_without_a_record_gets_one_by_being_counted(users: UserRepository) -> None:
    assert count(users) is None
    assert users.get(ANN, deadline=AN_HOUR) is None


def test_counting_does_not_disturb_a_claim(users: UserRepository) -> None:
    claim = users.put(ANN, CLAIM, expected=None, deadline=AN_HOUR)
    count(users)

    assert users.link(ANN, linked("user_1"), expected=claim, deadline=AN_HOUR).linked_to == "user_1"


def test_who_has_used_up_their_mints_has_new_ones_a_minute_after_the_first(users: UserRepository) -> None:
    ann_linked(users)
    for second in (0, 20, 40):
        count(users, now=NOW + second)
    with pytest.raises(QuotaExceeded) as used_up:
        count(users, now=NOW + 59)

    assert used_up.value.until == NOW + 60
    record = count(users, now=NOW + 60)
    assert record is not None
    assert (record.mints_since, record.mints) == (NOW + 60, 1)


def test_a_limit_of_one_is_one(users: UserRepository) -> None:
    ann_linked(users)
    count(users, limit=1)
    with pytest.raises(QuotaExceeded):
        count(users, limit=1)


def test_two_clocks_that_differ_a_little_count_in_one_window(users: UserRepository) -> None:
    ann_linked(users)
    count(users, now=NOW + 5)
    record = count(users, now=NOW)
    assert record is not None
    assert (record.mints_since, record.mints) == (NOW + 5, 2)
    count(users, now=NOW + 5)
    with pytest.raises(QuotaExceeded) as used_up:
        count(users, now=NOW)
    assert used_up.value.until == NOW + 60


def test_two_clocks_that_differ_by_a_minute_count_in_one_window(users: UserRepository) -> None:
    ann_linked(users)
    count(users, now=NOW + 60)
    record = count(users, now=NOW)

    assert record is not None
    assert (record.mints_since, record.mints) == (NOW + 60, 2)


def test_a_clock_that_was_wrong_by_hours_shuts_nobody_out(users: UserRepository) -> None:
    ann_linked(users)
    for _ in range(3):
        count(users, now=NOW + 3600)
    record = count(users)
    assert record is not None
    assert (record.mints_since, record.mints) == (NOW, 1)


@pytest.mark.usefixtures("dynamodb")
@pytest.mark.parametrize(("mints_before", "calls"), [(0, 1), (1, 2), (3, 1)], ids=["first", "next", "used up"])
def test_the_first_mint_of_a_minute_is_one_call(mints_before: int, calls: int) -> None:
    asked = []

    def noted(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return answer(request)

    users = interrupted("UpdateItem", noted)
    ann_linked(users)
    for _ in range(mints_before):
        count(users)
    asked.clear()
    with contextlib.suppress(QuotaExceeded):
        count(users)

    assert len(asked) == calls


def overtaken(by: Callable[[DynamoDBUserRepository], object]) -> DynamoDBUserRepository:
    """A directory in which ``by`` happens once, between the two calls of a count."""

    def respond(request: httpx.Request) -> httpx.Response:
        answered = answer(request)
        if answered.status_code == 400 and not overtaking:
            overtaking.append(True)
            by(users)
        return answered

    overtaking: list[bool] = []
    users = interrupted("UpdateItem", respond)
    ann_linked(users)
    return users


@pytest.mark.usefixtures("dynamodb")
def test_a_window_that_another_mint_begins_meanwhile_is_the_one_that_counts() -> None:
    users = overtaken(lambda users: count(users, now=NOW + 60))
    count(users)
    record = count(users, now=NOW + 59)

    assert record is not None
    assert (record.mints_since, record.mints) == (NOW + 60, 2)


@pytest.mark.usefixtures("dynamodb")
def test_the_last_place_in_a_window_goes_to_one_of_two_mints() -> None:
    users = overtaken(lambda users: count(users, limit=2))
    count(users, limit=2)
    with pytest.raises(QuotaExceeded):
        count(users, limit=2)


@pytest.mark.usefixtures("dynamodb")
def test_a_mint_that_others_overtake_again_and_again_is_let_through_uncounted() -> None:
    item = {"status": {"S": "pending"}, "mints": {"N": "1"}, "mints_since": {"N": str(NOW)}}
    kind = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException"
    users = interrupted("UpdateItem", lambda _: httpx.Response(400, json={"__type": kind, "Item": item}))

    assert count(users) == Record(status=Status.PENDING, mints=1, mints_since=NOW)


def test_a_record_from_before_mints_were_counted_is_counted_on(dynamodb: "DynamoDBClient") -> None:
    key = {"pk": {"S": f"USER#{ANN.pool_id}#{ANN.sub}"}}
    dynamodb.put_item(TableName=TABLE, Item={**key, "status": {"S": "linked"}, "whop_user_id": {"S": "user_1"}})

    record = count(DynamoDBUserRepository(aws_at_moto(), TABLE))
    assert record == Record(status=Status.LINKED, whop_user_id="user_1", mints_since=NOW, mints=1)


# Reading many, as reconcile does.


class ReadableDirectory(UserRepository, Records, Protocol):
    """What both implementations are."""


@pytest.fixture
def directory(users: UserRepository) -> ReadableDirectory:
    return cast(ReadableDirectory, users)


def people(count: int) -> list[UserRef]:
    return [UserRef(pool_id=ANN.pool_id, sub=f"sub-{number}", username=f"name-{number}") for number in range(count)]


def test_many_are_read_at_once_and_who_has_no_record_is_left_out(directory: ReadableDirectory) -> None:
    users = people(60)
    written = {user: directory.put(user, CLAIM, expected=None, deadline=AN_HOUR) for user in users[::2]}

    assert directory.get_many(users, deadline=AN_HOUR) == written
    assert directory.get_many([], deadline=AN_HOUR) == {}


def everybody(directory: Records) -> list[str]:
    known = directory.scan(ANN.pool_id, None, deadline=AN_HOUR)
    subs = list(known.keys)
    while known.next_key is not None:
        known = directory.scan(ANN.pool_id, known.next_key, deadline=AN_HOUR)
        subs += known.keys
    return subs


@pytest.mark.thorough
def test_all_who_have_a_record_are_known_once_but_for_other_pools_and_tombstones_done_with(
    directory: ReadableDirectory,
) -> None:
    users = people(1_100)
    for user in users:
        directory.put(user, CLAIM, expected=None, deadline=AN_HOUR)
    directory.link(
        BEN, linked("user_1"), expected=directory.put(BEN, CLAIM, expected=None, deadline=AN_HOUR), deadline=AN_HOUR
    )
    dan, eve = (dataclasses.replace(ANN, sub=sub) for sub in ("sub-dan", "sub-eve"))
    directory.put(dan, Record(status=Status.DELETED, cleaned_at=1), expected=None, deadline=AN_HOUR)
    directory.put(eve, Record(status=Status.DELETED), expected=None, deadline=AN_HOUR)
    directory.put(dataclasses.replace(ANN, pool_id="eu-west-1_PoolTwo"), CLAIM, expected=None, deadline=AN_HOUR)

    assert sorted(everybody(directory)) == sorted([BEN.sub, eve.sub, *(user.sub for user in users)])


def test_reading_goes_on_behind_any_of_those_who_are_known(directory: ReadableDirectory) -> None:
    for user in people(5):
        directory.put(user, CLAIM, expected=None, deadline=AN_HOUR)
    places = directory.scan(ANN.pool_id, None, deadline=AN_HOUR).keys
    subs = list(places)

    assert list(directory.scan(ANN.pool_id, places[subs[2]], deadline=AN_HOUR).keys) == subs[3:]


@pytest.mark.usefixtures("dynamodb")
def test_what_an_answer_had_no_room_for_is_asked_for_again() -> None:
    consistent = []

    def one_at_a_time(request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)["RequestItems"][TABLE]
        consistent.append(asked["ConsistentRead"])
        first, rest = {**asked, "Keys": asked["Keys"][:1]}, {**asked, "Keys": asked["Keys"][1:]}
        content = json.dumps({"RequestItems": {TABLE: first}}).encode()
        arrived = answer(httpx.Request("POST", request.url, headers=request.headers, content=content))
        unprocessed = {TABLE: rest} if rest["Keys"] else {}
        return httpx.Response(200, json={**arrived.json(), "UnprocessedKeys": unprocessed})

    users = interrupted("BatchGetItem", one_at_a_time)
    written = {user: users.put(user, CLAIM, expected=None, deadline=AN_HOUR) for user in people(3)}

    assert users.get_many(people(3), deadline=AN_HOUR) == written
    assert consistent == [True] * 3


def test_a_record_that_cannot_be_understood_does_not_hide_the_others(dynamodb: "DynamoDBClient") -> None:
    users = DynamoDBUserRepository(aws_at_moto(), TABLE)
    written = users.put(BEN, CLAIM, expected=None, deadline=AN_HOUR)
    dynamodb.put_item(
        TableName=TABLE, Item={"pk": {"S": f"USER#{ANN.pool_id}#{ANN.sub}"}, "status": {"S": "on holiday"}}
    )

    assert users.get_many([ANN, BEN], deadline=AN_HOUR) == {ANN: None, BEN: written}


def test_an_attribute_of_another_type_makes_a_record_unreadable(dynamodb: "DynamoDBClient") -> None:
    key = {"pk": {"S": f"USER#{ANN.pool_id}#{ANN.sub}"}}
    dynamodb.put_item(TableName=TABLE, Item={**key, "status": {"S": "linked"}, "generation": {"S": "two"}})

    with pytest.raises(AwsError, match="GetItem: InvalidResponse"):
        DynamoDBUserRepository(aws_at_moto(), TABLE).get(ANN, deadline=AN_HOUR)


def interrupted(operation: str, behave: Callable[[httpx.Request], httpx.Response]) -> DynamoDBUserRepository:
    """A directory whose calls of one operation are answered by ``behave``, which may pass them on."""

    def respond(request: httpx.Request) -> httpx.Response:
        return behave(request) if request.headers["X-Amz-Target"].endswith(f".{operation}") else answer(request)

    return DynamoDBUserRepository(aws_over(httpx.MockTransport(respond)), TABLE)


def cancelled() -> httpx.Response:
    return httpx.Response(400, json={"__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException"})


@pytest.mark.usefixtures("dynamodb")
def test_a_write_that_was_repeated_after_it_had_arrived_is_not_lost() -> None:
    def arrives_without_an_answer(request: httpx.Request) -> httpx.Response:
        arrived = answer(request)
        if arrived.status_code == 200:
            raise httpx.ReadTimeout("the answer is lost")
        return arrived

    users = interrupted("PutItem", arrives_without_an_answer)
    written = users.put(ANN, CLAIM, expected=None, deadline=AN_HOUR)
    assert users.get(ANN, deadline=AN_HOUR) == written


@pytest.mark.usefixtures("dynamodb")
def test_a_cancelled_link_that_had_landed_is_a_link() -> None:
    def lands_and_reports_a_conflict(request: httpx.Request) -> httpx.Response:
        answer(request)
        return cancelled()

    users = interrupted("TransactWriteItems", lands_and_reports_a_conflict)
    record = link_ann(users)
    assert users.get(ANN, deadline=AN_HOUR) == record


@pytest.mark.usefixtures("dynamodb")
def test_a_link_cancelled_by_a_passing_conflict_is_tried_again() -> None:
    failures = iter([cancelled()] * 2)
    users = interrupted("TransactWriteItems", lambda request: next(failures, None) or answer(request))
    record = link_ann(users)
    assert users.get(ANN, deadline=AN_HOUR) == record


@pytest.mark.usefixtures("dynamodb")
def test_so_is_a_transfer_if_the_holder_has_not_changed() -> None:
    failures = iter([cancelled()] * 2)
    held = ann_linked(DynamoDBUserRepository(aws_at_moto(), TABLE))
    users = interrupted("TransactWriteItems", lambda request: next(failures, None) or answer(request))
    claim = users.put(BEN, CLAIM, expected=None, deadline=AN_HOUR)

    assert taken_by_ben(users, claim, held, Record(status=Status.DELETED)).linked_to == "user_1"


@pytest.mark.usefixtures("dynamodb")
def test_a_link_that_is_cancelled_again_and_again_is_reported() -> None:
    attempts = []

    def cancel(request: httpx.Request) -> httpx.Response:
        attempts.append(request)
        return cancelled()

    users = interrupted("TransactWriteItems", cancel)
    claim = users.put(ANN, CLAIM, expected=None, deadline=AN_HOUR)
    with pytest.raises(AwsError):
        users.link(ANN, linked("user_1"), expected=claim, deadline=AN_HOUR)
    assert users.get(ANN, deadline=AN_HOUR) == claim
    assert len(attempts) == 3


def link_ann(users: DynamoDBUserRepository) -> Record:
    claim = users.put(ANN, CLAIM, expected=None, deadline=AN_HOUR)
    return users.link(ANN, linked("user_1"), expected=claim, deadline=AN_HOUR)


# A Whop user that the user linked themselves


def put_own(
    users: DynamoDBUserRepository,
    own: str | None,
    expected: Record | None,
    *items: Any,
    user: UserRef = ANN,
    **changes: Any,
) -> Record:
    record = dataclasses.replace(expected or Record(status=Status.PENDING), own_whop_user_id=own, **changes)
    return users.put_own(user, record, expected=expected, items=items, deadline=AN_HOUR)


def holder(users: UserRepository, whop_user_id: str) -> str | None:
    found = users.holder(whop_user_id, deadline=AN_HOUR)
    return found.sub if found else None


@pytest.fixture
def stored(dynamodb: "DynamoDBClient") -> DynamoDBUserRepository:
    return DynamoDBUserRepository(aws_at_moto(), TABLE)


@pytest.mark.parametrize("linked_before", [False, True])
def test_a_whop_user_of_their_own_is_reserved_too(stored: DynamoDBUserRepository, linked_before: bool) -> None:
    before = ann_linked(stored) if linked_before else None
    record = put_own(stored, "user_own", before)

    assert stored.get(ANN, deadline=AN_HOUR) == record
    assert record.version not in ("", before and before.version)
    assert holder(stored, "user_own") == ANN.sub
    assert holder(stored, "user_1") == (ANN.sub if linked_before else None)


def test_the_whop_user_of_another_cannot_become_ones_own(stored: DynamoDBUserRepository) -> None:
    ann_linked(stored)
    with pytest.raises(AlreadyReserved):
        put_own(stored, "user_1", None, user=BEN)

    assert stored.get(BEN, deadline=AN_HOUR) is None
    assert holder(stored, "user_1") == ANN.sub


def test_another_whop_user_of_their_own_releases_the_former_one(stored: DynamoDBUserRepository) -> None:
    first = put_own(stored, "user_own", None)
    second = put_own(stored, "user_new", first)
    assert (holder(stored, "user_own"), holder(stored, "user_new")) == (None, ANN.sub)

    put_own(stored, None, second)
    assert holder(stored, "user_new") is None


def test_a_whop_user_that_they_are_enrolled_as_too_stays_theirs(stored: DynamoDBUserRepository) -> None:
    linked_twice = put_own(stored, "user_1", ann_linked(stored))
    put_own(stored, None, linked_twice)

    assert holder(stored, "user_1") == ANN.sub


def test_a_new_link_does_not_release_the_whop_user_of_their_own(stored: DynamoDBUserRepository) -> None:
    linked_twice = put_own(stored, "user_1", ann_linked(stored))
    stored.link(ANN, dataclasses.replace(linked_twice, whop_user_id="user_2"), expected=linked_twice, deadline=AN_HOUR)

    assert (holder(stored, "user_1"), holder(stored, "user_2")) == (ANN.sub, ANN.sub)


def test_a_link_of_their_own_over_a_record_that_has_changed_loses(stored: DynamoDBUserRepository) -> None:
    first = ann_linked(stored)
    current = stored.put(ANN, first, expected=first, deadline=AN_HOUR)
    for before in (first, None):
        with pytest.raises(StaleRecord):
            put_own(stored, "user_own", before)

    assert (stored.get(ANN, deadline=AN_HOUR), holder(stored, "user_own")) == (current, None)


@pytest.mark.parametrize(
    ("condition", "written"), [("attribute_not_exists(pk)", True), ("attribute_exists(pk)", False)]
)
def test_what_goes_with_the_link_is_written_with_it_or_neither_is(
    stored: DynamoDBUserRepository, dynamodb: "DynamoDBClient", condition: str, written: bool
) -> None:
    key = {"pk": {"S": "ELSE"}}
    item = {"Put": {"TableName": TABLE, "Item": key, "ConditionExpression": condition}}
    with contextlib.nullcontext() if written else pytest.raises(StaleRecord):
        put_own(stored, "user_own", None, item)

    assert (stored.get(ANN, deadline=AN_HOUR) is not None) is written
    assert ("Item" in dynamodb.get_item(TableName=TABLE, Key=key)) is written


@pytest.mark.usefixtures("dynamodb")
def test_a_link_of_their_own_whose_answer_is_lost_is_a_link() -> None:
    def arrives_without_an_answer(request: httpx.Request) -> httpx.Response:
        answer(request)
        raise httpx.ReadTimeout("the answer is lost")

    users = interrupted("TransactWriteItems", arrives_without_an_answer)
    record = put_own(users, "user_own", None)

    assert users.get(ANN, deadline=AN_HOUR) == record


@pytest.mark.usefixtures("dynamodb")
def test_a_link_of_their_own_that_aws_does_not_answer_is_not_stale() -> None:
    def is_lost(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(AwsError) as failure:
        put_own(interrupted("TransactWriteItems", is_lost), "user_own", None)
    assert failure.value.code != "TransactionCanceledException"


@pytest.mark.usefixtures("dynamodb")
def test_another_failure_of_aws_is_reported_with_its_code() -> None:
    with pytest.raises(AwsError) as failure:
        DynamoDBUserRepository(aws_at_moto(), "no-such-table").get(ANN, deadline=AN_HOUR)
    assert failure.value.code == "ResourceNotFoundException"


@pytest.mark.usefixtures("dynamodb")
def test_every_read_is_strongly_consistent() -> None:
    asked: list[httpx.Request] = []

    def noted(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return answer(request)

    users = interrupted("GetItem", noted)
    users.get(ANN, deadline=AN_HOUR)
    assert [json.loads(request.content)["ConsistentRead"] for request in asked] == [True]


def test_a_record_holds_no_attribute_that_expires_it(dynamodb: "DynamoDBClient") -> None:
    DynamoDBUserRepository(aws_at_moto(), TABLE).put(ANN, CLAIM, expected=None, deadline=AN_HOUR)
    [item] = dynamodb.scan(TableName=TABLE)["Items"]
    assert "ttl" not in item
    assert (item["pool"], item["sub"]) == ({"S": ANN.pool_id}, {"S": ANN.sub})


def test_what_an_operator_wrote_by_hand_is_read_as_far_as_it_is_understood(dynamodb: "DynamoDBClient") -> None:
    item: Any = {"status": {"S": "denied"}, "reason": {"NULL": True}, "generation": {"N": "2"}, "note": {"SS": ["a"]}}
    dynamodb.put_item(TableName=TABLE, Item={"pk": {"S": f"USER#{ANN.pool_id}#{ANN.sub}"}, **item})
    record = DynamoDBUserRepository(aws_at_moto(), TABLE).get(ANN, deadline=AN_HOUR)
    assert record == Record(status=Status.DENIED, generation=2)
