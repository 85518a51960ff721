"""SyncAvatar with the simulated Whop: which picture a user has there, and what was asked for it."""

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from local.whop_simulator import Fault, Simulator, as_httpx_transport
from local.whop_simulator.faults import FaultKind
from tests.fakes.clock import Clock
from tests.fakes.memory_users import MemoryUserRepository
from tests.fakes.settings import API_KEY, COMPANY_ID
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.whop import Keys, whop_over
from whop_chat.avatars.fetcher import PictureFetcher
from whop_chat.avatars.neutral import NEUTRAL_PICTURE
from whop_chat.avatars.worker import PictureNotReady, SyncAvatar
from whop_chat.cognito.display_name import profile_digest
from whop_chat.cognito.pool import ListedUser, PoolStatus, PoolUser, UserGone
from whop_chat.cognito.user import UserRef
from whop_chat.pictures.errors import PictureRefused, Reason
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.errors import Retryable
from whop_chat.runtime.metrics import PICTURES_REFUSED
from whop_chat.sync.queue import Source, SyncMessage, UnreadableMessage
from whop_chat.users.lifecycle import suspend, tombstone, without_profile
from whop_chat.users.record import Record, StaleRecord, Status
from whop_chat.whop.errors import WhopForbidden, WhopRateLimited, WhopUnauthorized, WhopUnavailable

NOW = 1_800_000_000
ADA = UserRef(pool_id="eu-west-1_Ab3dEf6Gh", sub="0a1b2c3d-4e5f-6789-abcd-ef0123456789", username="ada")
FACE, HAT = b"\x89PNG\r\n\x1a\n a face", b"\x89PNG\r\n\x1a\n a face with a hat"
ADDRESS, OTHER_ADDRESS = "https://pictures.example/ada.jpg", "https://pictures.example/hat.jpg"
OBJECT = f"s3://pictures/avatars/{ADA.sub}"
NEUTRAL = NEUTRAL_PICTURE


class Pool:
    """The pool, in which Ada has this picture."""

    def __init__(self) -> None:
        self.picture: str | None = ADDRESS
        self.status: PoolStatus = PoolStatus.ACTIVE

    def admin_get(self, user: UserRef, *, deadline: Deadline) -> PoolUser:
        return self.lookup(user, deadline=deadline).require_may_sign_in()

    def lookup(self, user: UserRef, *, deadline: Deadline) -> ListedUser:
        if self.status is PoolStatus.GONE:
            raise UserGone
        pool_user = PoolUser(user.sub, None, email_verified=False, name="Ada", providers=(), picture=self.picture)
        return ListedUser(user, self.status, pool_user)


class Fetcher(PictureFetcher):
    """Has pictures by address, or why there are none; ``asked`` is which it was asked for."""

    def __init__(self) -> None:
        self.pictures: dict[str, bytes | Exception] = {ADDRESS: FACE, OTHER_ADDRESS: HAT, OBJECT: FACE}
        self.asked: list[str] = []

    def fetch(self, address: str, *, deadline: Deadline) -> bytes:
        self.asked.append(address)
        found = self.pictures[address]
        if isinstance(found, Exception):
            raise found
        return found


class Case:
    """SyncAvatar with everything around it, for Ada, who is linked and has no picture yet."""

    def __init__(self) -> None:
        self.clock = Clock(NOW + 0.5)
        self.simulator = Simulator(clock=self.clock)
        self.simulator.add_key(API_KEY, company_id=COMPANY_ID)
        self.keys = Keys(API_KEY)
        self.user_id = self.simulator.add_person("ada@example.test", name="Ada Global")
        self.users = MemoryUserRepository()
        self.pool, self.fetcher, self.telemetry = Pool(), Fetcher(), RecordingTelemetry()
        linked = Record(status=Status.LINKED, whop_user_id=self.user_id)
        pending = self.users.put(ADA, Record(status=Status.PENDING), expected=None)
        self.users.link(ADA, linked, expected=pending)

    def sync(self, source: Source = Source.SIGN_UP, *, user: UserRef = ADA, seconds: float = 45) -> None:
        with self.syncing() as syncing:
            syncing.sync(SyncMessage(user, source), deadline=Deadline(seconds))

    def again(self, times: int, source: Source = Source.SIGN_UP) -> list[int]:
        """Deliver the message ``times``; the wait after each delivery, 0 for one that was done."""
        waits = []
        for _ in range(times):
            try:
                self.sync(source)
                waits.append(0)
            except Retryable as error:
                waits.append(error.retry_after)
        return waits

    @contextmanager
    def syncing(self) -> Iterator[SyncAvatar]:
        transport = as_httpx_transport(self.simulator)
        with whop_over(transport.handle_request, clock=self.clock, keys=self.keys) as whop:
            yield SyncAvatar(
                self.users,
                self.pool,
                self.fetcher,
                whop,
                self.telemetry,
                pool_id=ADA.pool_id,
                clock=self.clock,
                sleep=self.clock.advance,
            )

    @property
    def record(self) -> Record:
        record = self.users.get(ADA)
        assert record is not None
        return record

    def change(self, **fields: Any) -> None:
        self.users.put(ADA, dataclasses.replace(self.record, **fields), expected=self.record)

    def replace(self, record: Record) -> None:
        self.users.put(ADA, record, expected=self.record)

    @property
    def shown(self) -> bytes | None:
        """The picture that the company's chat shows of Ada."""
        state: Any = self.simulator.dump()
        (profile,) = [each for each in state["profiles"] if each["user_id"] == self.user_id] or [{}]
        files = {each["id"]: each["sha256"] for each in state["files"]}
        url = profile.get("picture_url")
        known = {hashlib.sha256(each).hexdigest(): each for each in (FACE, HAT, NEUTRAL)}
        return known[files[url.rpartition("/")[2]]] if url else None

    @property
    def calls(self) -> list[str]:
        return [call.operation for call in self.simulator.calls()]

    def fault(self, operation: str, kind: FaultKind, **fields: Any) -> None:
        self.simulator.add_fault(Fault(operation, kind, **fields))

    def read(self, **readings: object) -> None:
        self.simulator.change_readings(readings)


@pytest.fixture
def case() -> Case:
    return Case()


@pytest.fixture
def shown(case: Case) -> Case:
    """As ``case``, when Ada has her picture already."""
    case.sync()
    assert case.shown == FACE
    case.fetcher.asked.clear()
    return case


WHOLE_WAY = ["files.create", "files.upload", "files.retrieve", "files.retrieve", "users.update"]


def digest(address: str) -> str:
    return profile_digest(ADA.sub, address)


# A picture that can be used


def test_a_picture_is_fetched_uploaded_and_shown_in_the_company_only(case: Case) -> None:
    case.sync()

    assert (case.shown, case.fetcher.asked, case.calls) == (FACE, [ADDRESS], WHOLE_WAY)
    (account,) = {each["account_id"] for each in _profiles(case)}
    assert account == COMPANY_ID
    record = case.record
    assert (record.picture_at, record.picture_file_id, record.picture_reason) == (NOW, None, None)
    assert record.has_picture(digest(ADDRESS))
    assert ("picture set", {"neutral": False}) in case.telemetry.events


def _profiles(case: Case) -> list[Mapping[str, Any]]:
    profiles: Any = case.simulator.dump()["profiles"]
    return list(profiles)


def test_the_api_key_does_not_go_to_storage(case: Case) -> None:
    case.sync()

    (upload,) = case.simulator.calls("files.upload")
    assert "authorization" not in upload.header_names
    assert "api-version-date" not in upload.header_names


def test_an_unchanged_picture_is_neither_fetched_nor_uploaded_again(shown: Case) -> None:
    shown.again(3)
    shown.sync(Source.RECONCILE)

    assert (shown.fetcher.asked, shown.calls) == ([], WHOLE_WAY)


def test_the_same_file_at_another_address_is_not_uploaded_again(shown: Case) -> None:
    shown.pool.picture = OTHER_ADDRESS
    shown.fetcher.pictures[OTHER_ADDRESS] = FACE
    shown.again(2)

    assert (shown.fetcher.asked, shown.calls) == ([OTHER_ADDRESS], WHOLE_WAY)
    assert shown.record.has_picture(digest(OTHER_ADDRESS))


def test_another_picture_replaces_the_last_one(shown: Case) -> None:
    shown.pool.picture = OTHER_ADDRESS
    shown.sync(Source.CHANGE)

    assert shown.shown == HAT
    assert shown.calls == WHOLE_WAY * 2


def test_an_operator_has_the_same_address_fetched_again(shown: Case) -> None:
    shown.fetcher.pictures[ADDRESS] = HAT
    shown.sync(Source.CHANGE)
    assert shown.shown == FACE
    shown.sync(Source.COMMAND)

    assert shown.shown == HAT


def test_an_object_is_looked_at_each_time_and_uploaded_if_it_has_changed(case: Case) -> None:
    case.pool.picture = OBJECT
    case.again(3)
    assert (case.shown, case.fetcher.asked, case.calls) == (FACE, [OBJECT] * 3, WHOLE_WAY)

    case.fetcher.pictures[OBJECT] = HAT
    case.sync(Source.RECONCILE)
    assert case.shown == HAT


# A picture that cannot be used


def refused(reason: Reason) -> PictureRefused:
    return PictureRefused(reason)


@pytest.mark.parametrize(
    "reason",
    ["url_refused", "address_not_public", "too_many_redirects", "http_status", "too_large", "not_a_picture"],
)
def test_a_picture_that_cannot_be_used_leaves_the_last_one_and_is_not_fetched_again(
    shown: Case, reason: Reason
) -> None:
    shown.pool.picture = OTHER_ADDRESS
    shown.fetcher.pictures[OTHER_ADDRESS] = refused(reason)

    assert shown.again(3) == [0, 0, 0]
    assert (shown.shown, shown.fetcher.asked, shown.calls) == (FACE, [OTHER_ADDRESS], WHOLE_WAY)
    assert shown.record.picture_reason == reason
    assert shown.telemetry.counted(PICTURES_REFUSED) == [{}]
    assert [message for _, message in shown.telemetry.failures] == ["picture refused"]


def test_the_last_picture_comes_back_without_an_upload_after_one_that_could_not_be_used(shown: Case) -> None:
    shown.pool.picture = OTHER_ADDRESS
    shown.fetcher.pictures[OTHER_ADDRESS] = refused("too_large")
    shown.sync()
    shown.pool.picture = ADDRESS
    shown.sync()

    assert shown.record.picture_reason is None
    assert (shown.shown, shown.calls) == (FACE, WHOLE_WAY)


@pytest.mark.parametrize("reason", ["unreachable", "server_error", "fetch_failed"])
def test_what_may_pass_is_tried_five_times_in_a_quarter_of_an_hour(case: Case, reason: Reason) -> None:
    case.fetcher.pictures[ADDRESS] = refused(reason)

    assert case.again(7) == [60, 120, 240, 480, 0, 0, 0]
    assert case.fetcher.asked == [ADDRESS] * 5
    assert (case.record.picture_reason, case.record.picture_failures) == (reason, 0)
    assert (case.shown, case.calls) == (None, [])


def test_a_picture_that_can_be_fetched_later_is_shown(case: Case) -> None:
    case.fetcher.pictures[ADDRESS] = refused("unreachable")
    case.again(2)
    assert case.record.picture_reason == "unreachable"
    case.fetcher.pictures[ADDRESS] = FACE
    case.sync()

    assert case.record.picture_reason is None
    assert (case.shown, case.record.picture_failures) == (FACE, 0)


def test_a_missing_object_leaves_the_last_picture(shown: Case) -> None:
    """S3 also answers that there is none if the role may not read it."""
    shown.pool.picture = OBJECT
    shown.fetcher.pictures[OBJECT] = refused("no_picture")
    shown.sync()

    assert (shown.shown, shown.record.picture_reason) == (FACE, "no_picture")


# No picture any more


def test_who_has_no_picture_any_more_gets_the_neutral_one(shown: Case) -> None:
    shown.pool.picture = ""
    shown.again(2)

    assert (shown.shown, shown.fetcher.asked) == (NEUTRAL, [])
    assert (shown.record.picture_at, shown.calls) == (None, WHOLE_WAY * 2)


def test_who_never_had_a_picture_gets_none(case: Case) -> None:
    case.pool.picture = ""
    case.again(2)

    assert (case.shown, case.calls) == (None, [])


def test_who_has_a_picture_again_gets_it(shown: Case) -> None:
    shown.pool.picture = ""
    shown.sync()
    shown.pool.picture = ADDRESS
    shown.sync()

    assert shown.shown == FACE
    assert shown.record.picture_at is not None


def test_a_deleted_user_gets_the_neutral_picture(shown: Case) -> None:
    shown.replace(tombstone(shown.record, NOW))
    shown.pool.status = PoolStatus.GONE
    shown.again(2)

    assert (shown.shown, shown.calls) == (NEUTRAL, WHOLE_WAY * 2)
    assert shown.record.picture_at is None
    assert shown.record.status is Status.DELETED


def test_a_deleted_user_without_a_picture_costs_no_call(case: Case) -> None:
    case.replace(tombstone(case.record, NOW))
    case.sync()

    assert case.calls == []


def test_the_picture_of_whoever_has_the_whop_user_now_stays(shown: Case) -> None:
    shown.replace(tombstone(shown.record, NOW))
    shown.users.reservations[shown.user_id] = (ADA.pool_id, "somebody-else")
    shown.sync()

    assert (shown.shown, shown.calls) == (FACE, WHOLE_WAY)


def test_a_neutral_picture_that_waited_does_not_replace_that_of_whoever_has_the_whop_user_now(shown: Case) -> None:
    """A user who signs up again can get the same Whop user once the deletion is cleaned up."""
    shown.replace(tombstone(shown.record, NOW))
    shown.read(file_processing="after_a_minute")
    assert shown.again(1) == [10]
    shown.users.reservations[shown.user_id] = (ADA.pool_id, "somebody-else")
    shown.clock.advance(60)
    shown.sync()

    assert shown.shown == FACE


def test_a_deletion_during_the_upload_removes_what_was_shown_after_it(case: Case) -> None:
    case.read(file_processing="after_a_minute")
    with pytest.raises(PictureNotReady):
        case.sync()
    in_flight = case.record
    # Another instance shows the picture while the deletion is written and cleaned up.
    case.clock.advance(60)
    case.read(file_processing="at_once")
    transport = as_httpx_transport(case.simulator)

    def deleted_meanwhile(request: httpx.Request) -> httpx.Response:
        if request.method == "PATCH" and case.record == in_flight:
            case.replace(dataclasses.replace(tombstone(in_flight, NOW), picture_at=None))
        return transport.handle_request(request)

    with whop_over(deleted_meanwhile, clock=case.clock) as whop:
        syncing = SyncAvatar(
            case.users, case.pool, case.fetcher, whop, case.telemetry, pool_id=ADA.pool_id, clock=case.clock
        )
        with pytest.raises(StaleRecord):
            syncing.sync(SyncMessage(ADA, Source.SIGN_UP), deadline=Deadline(45))
    assert case.shown == FACE
    case.sync()

    assert case.shown == NEUTRAL
    assert case.record.status is Status.DELETED


def test_a_deletion_during_the_fetch_leaves_nothing_of_the_picture_on_the_tombstone(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deleted_meanwhile(address: str, *, deadline: Deadline) -> bytes:
        case.replace(tombstone(case.record, NOW))
        raise refused("not_a_picture")

    monkeypatch.setattr(case.fetcher, "fetch", deleted_meanwhile)
    with pytest.raises(StaleRecord):
        case.sync()
    case.sync()

    assert (case.record.picture_digest, case.record.picture_reason) == (None, None)
    assert case.telemetry.counted(PICTURES_REFUSED) == []


# Whop takes its time, or does not take the picture


def test_after_two_looks_the_message_waits_with_the_file_in_the_record(case: Case) -> None:
    case.read(file_processing="after_a_minute")
    assert case.again(2) == [10, 10]
    assert case.record.picture_file_id is not None
    assert not case.record.has_picture(digest(ADDRESS))
    case.clock.advance(60)
    case.sync()

    assert case.record.picture_file_id is None
    assert (case.shown, case.fetcher.asked) == (FACE, [ADDRESS])
    assert case.calls == ["files.create", "files.upload", *["files.retrieve"] * 5, "users.update"]


def test_another_picture_overtakes_one_that_is_not_ready(case: Case) -> None:
    case.read(file_processing="after_a_minute")
    case.again(1)
    case.pool.picture = OTHER_ADDRESS
    case.read(file_processing="at_once")
    case.sync()

    assert case.shown == HAT


def test_removing_overtakes_a_picture_that_is_not_ready(case: Case) -> None:
    case.read(file_processing="after_a_minute")
    case.again(1)
    case.pool.picture = ""
    case.read(file_processing="at_once")
    case.sync()

    assert case.shown == NEUTRAL


def test_a_neutral_picture_that_is_not_ready_is_shown_later(shown: Case) -> None:
    shown.pool.picture = ""
    shown.read(file_processing="after_a_minute")
    assert shown.again(1) == [10]
    shown.clock.advance(60)
    shown.sync()

    assert shown.shown == NEUTRAL
    assert shown.calls.count("files.create") == 2


def test_a_file_that_whop_cannot_process_is_tried_five_times(case: Case) -> None:
    case.read(file_processing="failed")

    assert case.again(6) == [60, 120, 240, 480, 0, 0]
    assert case.record.picture_reason == "find_file: 200 failed"
    assert case.calls.count("files.create") == 5
    assert case.record.picture_content is None


def test_a_file_of_a_former_key_is_uploaded_again(case: Case) -> None:
    case.read(file_processing="after_a_minute")
    case.again(1)
    case.simulator.add_key("newer", company_id=COMPANY_ID)
    case.simulator.revoke_key(API_KEY)
    case.keys = Keys(API_KEY, "newer")
    case.read(file_processing="at_once")

    assert case.again(2) == [60, 0]
    assert case.shown == FACE


def test_a_picture_that_whop_refuses_is_tried_five_times_and_the_last_one_stays(shown: Case) -> None:
    shown.pool.picture = OTHER_ADDRESS
    shown.fault("users.update", "status", status=422, count=None)

    assert shown.again(6) == [60, 120, 240, 480, 0, 0]
    assert shown.shown == FACE
    assert shown.record.picture_reason == "update_user: 422 unprocessable_entity"
    # Nobody knows what Whop shows, so the last picture is uploaded again.
    shown.simulator.clear_faults()
    shown.pool.picture = ADDRESS
    shown.sync()
    assert shown.shown == FACE
    assert shown.record.picture_reason is None


def test_an_address_for_uploads_that_is_over_gets_a_new_file(case: Case) -> None:
    case.fault("files.upload", "status", status=403)

    assert case.again(2) == [60, 0]
    assert (case.shown, case.calls.count("files.create")) == (FACE, 2)


@pytest.mark.parametrize(
    ("operation", "status", "error"),
    [
        ("files.create", 401, WhopUnauthorized),
        ("files.create", 403, WhopForbidden),
        ("users.update", 403, WhopForbidden),
        ("files.create", 429, WhopRateLimited),
        ("users.update", 429, WhopRateLimited),
        ("files.create", 500, WhopUnavailable),
        ("files.upload", 503, WhopUnavailable),
        ("files.retrieve", 500, WhopUnavailable),
        ("users.update", 500, WhopUnavailable),
    ],
)
def test_what_is_not_about_the_picture_waits_as_a_sync_does(
    case: Case, operation: str, status: int, error: type[Exception]
) -> None:
    case.fault(operation, "status", status=status, count=None)
    with pytest.raises(error):
        case.sync()
    assert case.record.picture_reason is None
    case.simulator.clear_faults()
    case.clock.advance(120)
    case.sync()

    assert case.shown == FACE


def test_a_rate_limit_of_whop_stops_the_next_picture_before_the_call(case: Case) -> None:
    case.fault("files.create", "status", status=429, wait=30)
    with case.syncing() as syncing:
        for _ in range(2):
            with pytest.raises(WhopRateLimited) as limited:
                syncing.sync(SyncMessage(ADA, Source.SIGN_UP), deadline=Deadline(45))

    assert limited.value.retry_after in range(28, 31)
    assert case.calls == ["files.create"]


def test_an_answer_that_is_lost_sets_the_same_file_again(case: Case) -> None:
    case.fault("users.update", "drop_after", count=2)
    with pytest.raises(WhopUnavailable):
        case.sync()
    case.sync()

    assert (case.shown, case.calls.count("files.create")) == (FACE, 1)
    assert case.record.picture_file_id is None


@pytest.mark.parametrize("error", [AwsError("TooManyRequestsException"), AwsError("ReadTimeout")])
def test_a_fetcher_that_does_not_answer_is_asked_later(case: Case, error: Exception) -> None:
    case.fetcher.pictures[ADDRESS] = error
    with pytest.raises(AwsError):
        case.sync()

    assert case.record.picture_failures == 0


# Whose picture is not looked at


@pytest.mark.parametrize("status", [Status.PENDING, Status.BLOCKED, Status.DENIED, Status.DISABLED])
def test_who_has_no_chat_gets_no_picture(case: Case, status: Status) -> None:
    case.replace(suspend(case.record, status))
    case.sync()

    assert (case.fetcher.asked, case.calls) == ([], [])


@pytest.mark.parametrize("status", [PoolStatus.DISABLED, PoolStatus.INACTIVE, PoolStatus.GONE])
def test_who_cannot_sign_in_keeps_their_picture(shown: Case, status: PoolStatus) -> None:
    shown.pool.status = status
    shown.pool.picture = OTHER_ADDRESS
    shown.sync(Source.RECONCILE)

    assert (shown.shown, shown.fetcher.asked) == (FACE, [])


def test_nobody_without_a_record_gets_a_picture(case: Case) -> None:
    case.users.records.clear()
    case.sync()

    assert (case.fetcher.asked, case.calls) == ([], [])


def test_a_message_about_another_pool_is_unreadable(case: Case) -> None:
    with pytest.raises(UnreadableMessage):
        case.sync(user=dataclasses.replace(ADA, pool_id="eu-west-1_Other"))


def test_another_whop_user_gets_the_picture_as_well(shown: Case) -> None:
    """A repair can give a user another Whop user, who has none of our pictures."""
    shown.user_id = shown.simulator.add_person("ada-2@example.test")
    shown.replace(dataclasses.replace(without_profile(shown.record), whop_user_id=shown.user_id))
    shown.sync()

    assert shown.shown == FACE
