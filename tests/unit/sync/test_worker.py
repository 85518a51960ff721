"""SyncUser: each message by itself, later if that can help, on record or set aside if it cannot."""

import contextlib
import dataclasses
import hmac
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx
import pytest

from tests.fakes.clock import Clock
from tests.fakes.enrolment import Enrolling
from tests.fakes.functions import event
from tests.fakes.http_server import Server
from tests.fakes.memory_runs import MemoryRuns
from tests.fakes.memory_users import MemoryUserRepository
from tests.fakes.queue import Queue
from tests.fakes.readiness import FixedBacklog
from tests.fakes.settings import COMPANY_ID
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.whop import whop_over
from whop_chat.cognito.pool import ListedUser, PoolStatus, PoolUser, UserDisabled, UserGone, UserInactive
from whop_chat.cognito.user import UserRef
from whop_chat.enrolment.cleanup import CleanUp, OutcomeUnknown
from whop_chat.enrolment.errors import Blocked, DeletedMeanwhile, Denied, EnrolmentInProgress, Link
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.sync.batch import SyncBatch
from whop_chat.sync.queue import Source, SyncMessage, UnreadableMessage, decode, encode
from whop_chat.sync.worker import SECONDS_PER_USER, SyncUser
from whop_chat.users.record import Record, StaleRecord, Status
from whop_chat.users.runs import State
from whop_chat.whop.api_key import NotConfigured
from whop_chat.whop.errors import (
    CircuitOpen,
    OutOfPermits,
    WhopForbidden,
    WhopInvalidResponse,
    WhopNotFound,
    WhopRateLimited,
    WhopUnauthorized,
    WhopUnavailable,
)

NOW = 1_800_000_000
ADA, BOB = (decode(record["body"]).user for record in event("sync_user_batch")["Records"])
LINK = Link("user_Ada")
RUN = "20270115T080000Z-0a1b2c"
RENAMED = httpx.Response(200, json={"id": "user_Ada"})


class Pool:
    """The pool, with one name for everybody; ``asked`` is how it was asked."""

    def __init__(self, name: str | Exception | None = "Ada Lovelace", *, misnamed: bool = False) -> None:
        self.name = name
        self.misnamed = misnamed
        self.status = PoolStatus.ACTIVE
        self.picture: str | None = None
        self.asked: list[str] = []

    def admin_get(self, user: UserRef, *, deadline: Deadline | None = None) -> PoolUser:
        self.asked.append("read")
        if self.misnamed:
            raise UserGone
        return self._answer(user)

    def lookup(self, user: UserRef, *, deadline: Deadline | None = None) -> ListedUser:
        self.asked.append("find")
        return ListedUser(user, self.status, self._answer(user))

    def _answer(self, user: UserRef) -> PoolUser:
        if isinstance(self.name, Exception):
            raise self.name
        return PoolUser(
            sub=user.sub, email=None, email_verified=False, name=self.name, providers=(), picture=self.picture
        )


class Cleaning(CleanUp):
    """Keeps what it is asked to clean."""

    def __init__(self) -> None:
        self.cleaned: list[Record] = []

    def clean(self, user: UserRef, tombstone: Record, *, deadline: Deadline) -> None:
        self.cleaned.append(tombstone)


class OwnAccounts:
    """Links of users to their own accounts, and what is to be revoked."""

    def __init__(self, users: MemoryUserRepository) -> None:
        self.users = users
        self.removed: list[UserRef] = []
        self.revoked: list[UserRef] = []
        self.failing: Exception | None = None

    def remove(self, user: UserRef, *, deadline: Deadline) -> Record | None:
        record = self.users.get(user)
        if record is None or record.own_whop_user_id is None:
            return None
        self.removed.append(user)
        return self.users.put(user, dataclasses.replace(record, own_whop_user_id=None), expected=record)

    def revoke_all(self, user: UserRef, *, deadline: Deadline) -> None:
        if self.failing is not None:
            raise self.failing
        self.revoked.append(user)


class Case:
    """SyncUser with everything around it, for a user who is linked."""

    def __init__(
        self, server: Server, *, pool: Pool | None = None, enrolment: Enrolling | None = None, linked: bool = True
    ) -> None:
        self.server = server
        self.users = MemoryUserRepository()
        self.runs = MemoryRuns()
        self.pool = pool or Pool()
        self.enrolment = enrolment or Enrolling(LINK)
        self.clean_up = Cleaning()
        self.telemetry = RecordingTelemetry()
        self.own_accounts = OwnAccounts(self.users)
        self.avatars: Queue | None = None
        if linked:
            self.write(Record(status=Status.LINKED, whop_user_id="user_Ada"))

    def write(self, record: Record) -> Record:
        return self.users.put(ADA, record, expected=self.users.get(ADA))

    def sync(
        self, times: int = 1, *, user: UserRef = ADA, source: Source = Source.SIGN_UP, run: str | None = None
    ) -> None:
        with self.syncing() as syncing:
            for _ in range(times):
                syncing.sync(SyncMessage(user, source, run=run), deadline=Deadline(5))

    @contextlib.contextmanager
    def syncing(self, client_ids: Sequence[str] = ()) -> Iterator[SyncUser]:
        with whop_over(self.server) as whop:
            yield SyncUser(
                self.users,
                self.pool,
                self.enrolment,
                whop,
                self.clean_up,
                self.telemetry,
                pool_id=ADA.pool_id,
                client_ids=client_ids,
                avatars=self.avatars,
                runs=self.runs,
                own_accounts=self.own_accounts,
                clock=Clock(NOW + 0.9),
            )

    @property
    def record(self) -> Record:
        record = self.users.get(ADA)
        assert record is not None
        return record

    @property
    def counts(self) -> dict[str, int]:
        """What became of the users of the run, without the zeros."""
        counts = self.runs.progress(RUN, deadline=Deadline(5)).counts
        return {state: count for state, count in counts.items() if count}

    @property
    def names(self) -> list[str]:
        return [json.loads(request.content)["name"] for request in self.server.requests]


# One user


def test_a_user_is_enrolled_and_gets_their_name_in_the_company() -> None:
    case = Case(Server(RENAMED))

    case.sync()

    (request,) = case.server.requests
    assert str(request.url) == f"https://api.whop.com/api/v1/users/user_Ada?account_id={COMPANY_ID}"
    assert case.names == ["Ada Lovelace"]
    assert case.enrolment.enrolled == [ADA]
    assert case.telemetry.users == [ADA.sub]
    assert case.telemetry.events == [("user synced", {})]
    assert case.record.profile_digest == hmac.new(ADA.sub.encode(), b"Ada Lovelace", "sha256").hexdigest()
    assert case.record.synced_at == NOW


def test_a_name_that_was_set_is_not_set_again() -> None:
    case = Case(Server(RENAMED))

    case.sync(3)

    assert case.names == ["Ada Lovelace"]


def test_a_new_name_is_set() -> None:
    case = Case(Server(RENAMED, RENAMED))
    case.sync()
    case.pool.name = "Ada King"
    case.sync()

    assert case.names == ["Ada Lovelace", "Ada King"]


def test_a_user_without_a_name_keeps_the_one_they_have() -> None:
    case = Case(Server(), pool=Pool(None))

    case.sync()

    assert case.telemetry.events == [("user synced", {})]


def test_a_user_whose_link_is_gone_meanwhile_is_not_named() -> None:
    case = Case(Server(), linked=False)

    case.sync()

    assert case.server.requests == []


@pytest.mark.parametrize("status", [400, 409, 422])
def test_a_name_that_whop_refuses_is_told_and_not_offered_again(status: int) -> None:
    case = Case(Server(httpx.Response(status, json={})))

    case.sync(2)

    assert case.names == ["Ada Lovelace"]
    assert [message for _, message in case.telemetry.failures] == ["profile refused"]
    assert case.record.status is Status.LINKED


def test_a_user_whom_whop_does_not_find_is_offered_the_name_again() -> None:
    # A wrong company makes every user's name a 404; recorded as done, it would stay undone when that is put right.
    case = Case(Server(httpx.Response(404, json={}), RENAMED), enrolment=Enrolling(LINK, repairs=[None]))
    case.sync(2)

    assert case.enrolment.repaired == [(ADA, "user_Ada")]
    assert len(case.names) == 2


def test_a_user_whose_link_was_repaired_is_brought_up_to_date_by_the_next_delivery() -> None:
    case = Case(Server(httpx.Response(404, json={})), enrolment=Enrolling(LINK, repairs=[Link("user_Ada2")]))
    with pytest.raises(WhopNotFound):
        case.sync()

    assert case.record.profile_digest is None


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        ([httpx.Response(401, json={})], WhopUnauthorized),
        ([httpx.Response(403, json={})], WhopForbidden),
        ([httpx.Response(429, json={})], WhopRateLimited),
        ([httpx.Response(500), httpx.Response(500)], WhopUnavailable),
        ([httpx.Response(200, content=b"<html>")], WhopInvalidResponse),
    ],
    ids=["401", "403", "429", "500", "malformed"],
)
def test_a_failure_that_is_not_about_the_name_is_told_to_the_queue_and_not_recorded(
    answers: list[httpx.Response], kind: type[Exception]
) -> None:
    case = Case(Server(*answers))
    with pytest.raises(kind):
        case.sync()

    assert case.record.profile_digest is None
    assert case.telemetry.events == []


@pytest.mark.parametrize("error", [Blocked("no_verified_email"), Denied(), UserDisabled()], ids=repr)
def test_a_user_who_cannot_be_enrolled_is_done_with(error: Exception) -> None:
    case = Case(Server(), enrolment=Enrolling(error))

    case.sync()

    assert case.telemetry.failures == [(error, "user not enrolled")]
    assert case.telemetry.events == []


@pytest.mark.parametrize("source", Source)
def test_only_who_has_just_acted_is_read_in_the_way_that_counts_for_billing(source: Source) -> None:
    case = Case(Server(RENAMED))

    case.sync(source=source)

    just_acted = source in (Source.SIGN_UP, Source.SIGN_IN, Source.FIRST_TOKEN, Source.REQUEST)
    assert case.pool.asked == ["read" if just_acted else "find"]


@pytest.mark.parametrize("source", [Source.SIGN_UP, Source.CHANGE])
@pytest.mark.parametrize("error", [AwsError("TooManyRequestsException"), DeadlineExceeded()], ids=repr)
def test_a_failure_of_the_pool_changes_nothing(source: Source, error: Exception) -> None:
    case = Case(Server(), pool=Pool(error))
    before = case.record
    with pytest.raises(type(error)):
        case.sync(source=source)

    assert (case.record, case.clean_up.cleaned) == (before, [])


# Disabled, enabled, deleted


def test_a_disabled_user_keeps_all_but_the_way_in_and_gets_it_back_when_enabled() -> None:
    case = Case(Server(RENAMED), pool=Pool(UserDisabled()))
    full = Record(
        status=Status.LINKED, generation=3, whop_user_id="user_Ada", whop_account_id="biz_Ada", profile_digest="x"
    )
    linked = case.write(full)
    case.sync(2, source=Source.CHANGE)

    assert case.record == dataclasses.replace(linked, status=Status.DISABLED, version=case.record.version)
    assert case.enrolment.enrolled == []
    assert [message for message, _ in case.telemetry.events] == ["user disabled", "user left as they are"]

    case.pool.name = "Ada Lovelace"
    case.sync(source=Source.CHANGE)

    assert (case.record.status, case.record.generation, case.record.whop_user_id) == (Status.LINKED, 3, "user_Ada")
    assert case.names == ["Ada Lovelace"]


def test_a_user_who_was_disabled_before_they_were_linked_is_enrolled_when_enabled() -> None:
    case = Case(Server(), pool=Pool(UserDisabled()), linked=False)
    case.write(Record(status=Status.PENDING, lease_until=NOW + 5, idempotency_key="key"))
    case.sync()
    assert (case.record.status, case.record.idempotency_key) == (Status.DISABLED, "key")

    case.pool.name = "Ada"
    case.sync()
    assert (case.record.status, case.record.lease_until, case.record.idempotency_key) == (Status.PENDING, 0, "key")
    assert case.enrolment.enrolled == [ADA]
    assert case.enrolment.records == [case.record]


@pytest.mark.parametrize("name", [UserDisabled(), UserInactive(), "Ada Lovelace"], ids=repr)
def test_what_an_operator_said_stands_whatever_the_pool_says(name: str | Exception) -> None:
    case = Case(Server(), pool=Pool(name))
    denied = case.write(Record(status=Status.DENIED, whop_user_id="user_Ada"))
    case.sync(source=Source.CHANGE)

    assert case.record == denied
    assert (case.enrolment.enrolled, case.clean_up.cleaned) == ([], [])


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.DELETED])
def test_a_user_who_is_gone_leaves_a_tombstone_which_is_cleaned(status: Status) -> None:
    case = Case(Server(), pool=Pool(UserGone()))
    case.write(
        Record(
            status=status,
            generation=2,
            whop_user_id="user_Ada",
            whop_account_id="biz_Ada",
            email_digest="digest",
            email_mode="verified",
            profile_digest="digest",
            reason="identity_conflict",
            synced_at=NOW,
        )
    )
    case.sync(source=Source.CHANGE)

    assert case.record == Record(
        status=Status.DELETED,
        version=case.record.version,
        generation=2,
        whop_user_id="user_Ada",
        whop_account_id="biz_Ada",
    )
    assert case.clean_up.cleaned == [case.record]


@pytest.mark.parametrize("source", Source)
def test_a_message_that_names_a_user_wrongly_deletes_nobody(source: Source) -> None:
    case = Case(Server(RENAMED), pool=Pool(misnamed=True))
    case.sync(source=source)

    assert case.record.status is Status.LINKED
    assert case.names == ["Ada Lovelace"]


def test_a_tombstone_whose_create_may_still_land_says_until_when() -> None:
    case = Case(Server(), pool=Pool(UserGone()))
    case.write(Record(status=Status.PENDING, idempotency_key="key"))
    case.sync()

    assert (case.record.retry_at, case.record.idempotency_key) == (NOW + 900, None)


def test_a_tombstone_is_cleaned_whenever_a_message_comes() -> None:
    case = Case(Server(), pool=Pool(UserGone()))
    buried = case.write(Record(status=Status.DELETED, cleaned_at=NOW))
    case.sync(2)

    assert case.clean_up.cleaned == [buried, buried]


@pytest.mark.parametrize("error", [UserGone(), UserDisabled(), UserInactive()], ids=repr)
def test_a_user_who_was_never_here_and_is_not_active_leaves_nothing(error: Exception) -> None:
    case = Case(Server(), pool=Pool(error), linked=False)
    case.sync()

    assert case.users.get(ADA) is None
    assert (case.enrolment.enrolled, case.clean_up.cleaned) == ([], [])


def test_a_user_who_cannot_sign_in_for_now_stays_as_they_are() -> None:
    case = Case(Server(), pool=Pool(UserInactive()))
    before = case.record
    case.sync(source=Source.RECONCILE)

    assert case.record == before
    assert case.telemetry.events == [("user left as they are", {"pool_status": "inactive"})]


@pytest.mark.parametrize("source", [Source.SIGN_UP, Source.SIGN_IN])
@pytest.mark.parametrize(
    ("client_id", "is_enrolled"),
    [("web", True), ("admin-tool", False), ("", False), (None, True), ("CLIENT_ID_NOT_APPLICABLE", True)],
)
def test_only_a_client_whose_users_may_chat_brings_a_new_user(
    source: Source, client_id: str | None, is_enrolled: bool
) -> None:
    case = Case(Server(), linked=False)
    with case.syncing(["web", "mobile"]) as syncing:
        syncing.sync(SyncMessage(ADA, source, client_id), deadline=Deadline(5))

    assert case.enrolment.enrolled == ([ADA] if is_enrolled else [])


def test_a_change_enrols_nobody_who_has_no_record() -> None:
    # CloudTrail does not say through which app client the user signed up.
    case = Case(Server(), linked=False)
    case.sync(source=Source.CHANGE)

    assert case.enrolment.enrolled == []
    assert case.telemetry.events == [("user left as they are", {"pool_status": "active", "not_linked_by": "change"})]


@pytest.mark.parametrize("status", [Status.PENDING, Status.BLOCKED])
def test_a_change_resumes_an_enrolment_that_was_allowed(status: Status) -> None:
    # Such as after a sign-up with an address that is only verified now.
    case = Case(Server(), linked=False)
    case.write(Record(status=status))
    case.sync(source=Source.CHANGE)

    assert case.enrolment.enrolled == [ADA]


@pytest.mark.parametrize("status", [Status.PENDING, Status.BLOCKED, Status.DISABLED])
def test_another_client_neither_finishes_nor_restores_an_enrolment(status: Status) -> None:
    case = Case(Server(), linked=False)
    before = case.write(Record(status=status))
    with case.syncing(["web"]) as syncing:
        syncing.sync(SyncMessage(ADA, Source.SIGN_IN, "admin-tool"), deadline=Deadline(5))

    assert (case.record, case.enrolment.enrolled) == (before, [])


@pytest.mark.parametrize("status", [Status.LINKED, Status.DISABLED])
def test_another_client_keeps_a_linked_user_up_to_date(status: Status) -> None:
    case = Case(Server(RENAMED))
    case.write(dataclasses.replace(case.record, status=status))
    with case.syncing(["web"]) as syncing:
        syncing.sync(SyncMessage(ADA, Source.SIGN_IN, "admin-tool"), deadline=Deadline(5))

    assert (case.record.status, case.names) == (Status.LINKED, ["Ada Lovelace"])


PROOFS = (Source.SIGN_UP, Source.SIGN_IN, Source.FIRST_TOKEN, Source.REQUEST, Source.PASSWORDLESS)


@pytest.mark.parametrize("source", Source)
def test_whose_password_is_due_is_enrolled_once_something_makes_up_for_it(source: Source) -> None:
    case = Case(Server(), linked=False)
    case.pool.status = PoolStatus.PASSWORD_DUE
    case.sync(source=source)

    assert case.enrolment.enrolled == ([ADA] if source in PROOFS else [])


@pytest.mark.parametrize("source", Source)
def test_whose_password_is_due_is_kept_up_to_date_and_restored_by_every_message(source: Source) -> None:
    case = Case(Server(RENAMED))
    case.pool.status = PoolStatus.PASSWORD_DUE
    case.write(dataclasses.replace(case.record, status=Status.DISABLED))
    case.sync(source=source)

    assert (case.record.status, case.names) == (Status.LINKED, ["Ada Lovelace"])


def test_a_user_who_is_deleted_while_they_are_enrolled_is_looked_at_again() -> None:
    case = Case(Server(), enrolment=Enrolling(DeletedMeanwhile()))
    with pytest.raises(StaleRecord):
        case.sync()


@pytest.mark.parametrize("error", [WhopUnavailable("create_account"), AwsError("x"), EnrolmentInProgress()], ids=repr)
def test_a_failure_of_enrolment_that_may_pass_is_told_to_the_queue(error: Exception) -> None:
    case = Case(Server(), enrolment=Enrolling(error))
    with pytest.raises(type(error)):
        case.sync()


def test_a_record_that_somebody_else_wrote_meanwhile_stays_as_it_is() -> None:
    case = Case(Server(RENAMED))
    theirs: list[Record] = []

    def write_first(request: httpx.Request) -> httpx.Response:
        theirs.append(case.users.put(ADA, dataclasses.replace(case.record, status=Status.DENIED), expected=case.record))
        return RENAMED

    with whop_over(write_first) as whop:
        syncing = SyncUser(
            case.users,
            case.pool,
            case.enrolment,
            whop,
            case.clean_up,
            case.telemetry,
            pool_id=ADA.pool_id,
            client_ids=(),
        )
        # The name may have been set after the clean-up of a deletion.
        with pytest.raises(StaleRecord):
            syncing.sync(SyncMessage(ADA, Source.SIGN_UP), deadline=Deadline(5))

    assert case.record == theirs[0]


def test_a_user_of_another_pool_is_nobody_here() -> None:
    case = Case(Server())
    with pytest.raises(UnreadableMessage):
        case.sync(user=dataclasses.replace(ADA, pool_id="eu-west-1_Other"))

    assert case.enrolment.enrolled == []


# A message of a run

TO_ENROL = [Source.ENROL, Source.PASSWORDLESS]


@pytest.mark.parametrize("source", TO_ENROL)
def test_a_user_whom_a_run_enrolled_is_counted_once_however_often_the_message_comes(source: Source) -> None:
    case = Case(Server(RENAMED))
    case.sync(3, source=source, run=RUN)

    assert case.counts == {"to_enrol": 1, "enrolled": 1}


def test_a_worker_that_was_killed_before_it_counted_leaves_that_to_the_next_delivery() -> None:
    case = Case(Server(RENAMED), linked=False)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    case.runs.advance, advance = killed, case.runs.advance  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        case.sync(source=Source.ENROL, run=RUN)
    assert (case.enrolment.enrolled, case.counts) == ([ADA], {})
    case.runs.advance = advance  # type: ignore[method-assign]
    case.write(Record(status=Status.LINKED, whop_user_id="user_Ada"))
    case.runs.stop(RUN, deadline=Deadline(5))
    case.sync(source=Source.ENROL, run=RUN)

    assert case.counts == {"to_enrol": 1, "enrolled": 1}


def test_a_user_is_enrolled_as_soon_as_they_have_a_whop_user_whatever_becomes_of_the_name() -> None:
    case = Case(Server(httpx.Response(429, json={})))
    with pytest.raises(WhopRateLimited):
        case.sync(source=Source.ENROL, run=RUN)

    assert case.counts == {"to_enrol": 1, "enrolled": 1}


def test_an_update_is_counted_once_the_name_is_set() -> None:
    case = Case(Server(httpx.Response(429, json={}), RENAMED))
    with pytest.raises(WhopRateLimited):
        case.sync(source=Source.RECONCILE, run=RUN)
    assert case.counts == {}
    case.sync(source=Source.RECONCILE, run=RUN)

    assert case.counts == {"to_update": 1, "updated": 1}


@pytest.mark.parametrize("error", [Blocked("no_verified_email"), Denied(), UserDisabled()], ids=repr)
def test_who_cannot_be_enrolled_is_counted_as_left(error: Exception) -> None:
    case = Case(Server(), enrolment=Enrolling(error), linked=False)
    case.sync(2, source=Source.ENROL, run=RUN)

    assert case.counts == {"to_enrol": 1, "left": 1}


@pytest.mark.parametrize("source", [Source.ENROL, Source.RECONCILE])
def test_who_is_gone_meanwhile_is_counted_too(source: Source) -> None:
    case = Case(Server(), pool=Pool(UserGone()))
    case.sync(source=source, run=RUN)

    assert case.record.status is Status.DELETED
    assert case.counts == ({"to_enrol": 1, "left": 1} if source is Source.ENROL else {"to_update": 1, "updated": 1})


@pytest.mark.parametrize("source", [*TO_ENROL, Source.RECONCILE])
@pytest.mark.parametrize(
    ("record", "end"),
    [
        (None, State.STOPPED),
        (Record(status=Status.BLOCKED, reason="identity_conflict"), State.STOPPED),
        (Record(status=Status.DISABLED), State.STOPPED),
        (Record(status=Status.PENDING, idempotency_key="key"), State.UNKNOWN),
    ],
    ids=["new", "blocked", "disabled", "create without an answer"],
)
def test_a_stopped_run_enrols_nobody(source: Source, record: Record | None, end: State) -> None:
    case = Case(Server(), linked=False)
    before = case.write(record) if record else None
    case.runs.stop(RUN, deadline=Deadline(5))
    case.sync(2, source=source, run=RUN)

    assert (case.enrolment.enrolled, case.server.requests) == ([], [])
    assert case.users.get(ADA) == before
    assert case.counts == ({"to_update": 1, "updated": 1} if source is Source.RECONCILE else {"to_enrol": 1, end: 1})


def test_a_copy_that_found_the_run_stopped_does_not_hide_the_enrolment_of_the_other() -> None:
    case = Case(Server(RENAMED), linked=False)

    def stopped_meanwhile(*_: object, **__: object) -> Link:
        case.runs.stop(RUN, deadline=Deadline(5))
        case.sync(source=Source.ENROL, run=RUN)
        assert case.counts == {"to_enrol": 1, "stopped": 1}
        return LINK

    case.enrolment.enrol = stopped_meanwhile  # type: ignore[method-assign]
    case.sync(source=Source.ENROL, run=RUN)

    assert case.counts == {"to_enrol": 1, "enrolled": 1}


def test_a_stopped_run_still_keeps_linked_users_up_to_date() -> None:
    case = Case(Server(RENAMED))
    case.runs.stop(RUN, deadline=Deadline(5))
    case.sync(source=Source.RECONCILE, run=RUN)

    assert (case.names, case.counts) == (["Ada Lovelace"], {"to_update": 1, "updated": 1})


def test_a_message_without_the_run_is_none_of_its_business() -> None:
    case = Case(Server(RENAMED))
    case.runs.stop(RUN, deadline=Deadline(5))
    case.sync(source=Source.FIRST_TOKEN)

    assert (case.enrolment.enrolled, case.counts) == ([ADA], {})


def test_a_count_that_cannot_be_written_brings_the_message_back() -> None:
    case = Case(Server(RENAMED))

    def failing(*_: object, **__: object) -> None:
        raise AwsError("ProvisionedThroughputExceededException")

    case.runs.advance = failing  # type: ignore[method-assign]
    with pytest.raises(AwsError):
        case.sync(source=Source.ENROL, run=RUN)


# One delivery


class Outcomes(SyncUser):
    """Ends as it is told for each user, well for the others."""

    def __init__(self, outcomes: dict[str, Exception] | None = None) -> None:
        self.outcomes = outcomes or {}
        self.synced: list[str] = []
        self.seconds: list[float] = []

    def sync(self, message: SyncMessage, *, deadline: Deadline) -> None:
        username = message.user.username
        self.seconds.append(deadline.remaining())
        if username in self.outcomes:
            raise self.outcomes[username]
        self.synced.append(username)


class Delivery:
    """One delivery of the queue to a `SyncBatch`."""

    def __init__(
        self,
        outcomes: dict[str, Exception] | None = None,
        *,
        queue: Queue | None = None,
        dead_letters: Queue | None = None,
        backlog: FixedBacklog | None = None,
        jitter: float = 0.0,
    ) -> None:
        self.backlog = backlog or FixedBacklog()
        self.syncing = Outcomes(outcomes)
        self.queue = queue or Queue()
        self.dead_letters = dead_letters or Queue()
        self.telemetry = RecordingTelemetry()
        self.slept: list[float] = []
        self.batch = SyncBatch(
            self.syncing,
            self.queue,
            self.dead_letters,
            self.backlog,
            self.telemetry,
            seconds=SECONDS_PER_USER,
            clock=Clock(NOW),
            jitter=lambda: jitter,
            sleep=self.slept.append,
        )

    def handle(self, name: str, remaining: Callable[[], float] = lambda: 60.0) -> list[str]:
        """The message ids that are to be delivered again."""
        return self.handle_records(event(name)["Records"], remaining)

    def handle_records(self, records: Sequence[dict[str, Any]], remaining: Callable[[], float]) -> list[str]:
        answer = self.batch.handle(records, remaining)
        assert answer.keys() == {"batchItemFailures"}
        return [item["itemIdentifier"] for item in answer["batchItemFailures"]]


def record_of(user: UserRef, *, deliveries: int | None = 1, age: int | None = 0) -> dict[str, Any]:
    """A message. ``age`` is how many seconds ago the queue first delivered it."""
    (record, *_) = event("sync_user_batch")["Records"]
    attributes = {} if deliveries is None else {"ApproximateReceiveCount": str(deliveries)}
    if age is not None:
        attributes["ApproximateFirstReceiveTimestamp"] = str((NOW - age) * 1000)
    return {**record, "body": encode(user, Source.SIGN_UP), "attributes": attributes}


FIRST, SECOND = (record["messageId"] for record in event("sync_user_batch")["Records"])


def test_when_every_user_is_synced_nothing_is_delivered_again() -> None:
    delivery = Delivery()

    assert delivery.handle("sync_user_batch") == []
    assert delivery.syncing.synced == ["ada", "bob"]
    assert (delivery.queue.postponed, delivery.dead_letters.sent) == ({}, [])


def test_a_queue_of_another_kind_has_a_time_of_its_own_and_reports_no_wait() -> None:
    syncing, telemetry = Outcomes({"bob": StaleRecord()}), RecordingTelemetry()
    batch = SyncBatch(syncing, Queue(), Queue(), None, telemetry, seconds=45.0, clock=Clock(NOW))
    records = event("sync_user_batch")["Records"]

    assert batch.handle(records, lambda: 46.0)["batchItemFailures"] == [
        {"itemIdentifier": each} for each in (FIRST, SECOND)
    ]
    assert syncing.seconds == []
    assert batch.handle(records, lambda: 60.0)["batchItemFailures"] == [{"itemIdentifier": SECOND}]
    assert syncing.seconds == [pytest.approx(45.0, abs=0.1)] * 2
    assert telemetry.counts == []


def test_the_age_of_each_message_is_counted() -> None:
    delivery = Delivery()
    records = [record_of(ADA), *event("sync_user_batch")["Records"]]

    delivery.handle_records(records, lambda: 60.0)

    assert [(name, value) for name, value, _ in delivery.telemetry.counts] == [("SyncAge", age) for age in (0, 10, 10)]


def test_a_message_that_waits_is_reported_with_the_time_it_was_sent() -> None:
    delivery = Delivery({"ada": WhopUnavailable("create_account")})

    delivery.handle("sync_user_batch")

    assert delivery.backlog.reported == [NOW - 10]


def test_a_backlog_that_cannot_be_reported_changes_nothing() -> None:
    delivery = Delivery({"ada": WhopUnavailable("create_account")}, backlog=FixedBacklog(AwsError("x")))

    assert delivery.handle("sync_user_batch") == [FIRST]
    assert delivery.telemetry.failures[-1][1] == "backlog not reported"


@pytest.mark.parametrize(
    ("attributes", "correlation_id"),
    [
        ({"correlation_id": {"dataType": "String", "stringValue": "request-1"}}, "request-1"),
        ({"correlation_id": {"stringValue": "x" * 129}}, FIRST),
        ({"correlation_id": {"stringValue": ""}}, FIRST),
        ({"correlation_id": {"binaryValue": "eA=="}}, FIRST),
        ({}, FIRST),
        (None, FIRST),
    ],
    ids=["request", "too long", "empty", "binary", "none", "no attributes"],
)
def test_the_lines_of_a_message_bear_the_id_of_the_request_that_sent_it(attributes: Any, correlation_id: str) -> None:
    delivery = Delivery(dead_letters=Queue())
    record = {**record_of(ADA), "messageId": FIRST, "messageAttributes": attributes, "body": "not ours"}

    delivery.handle_records([record, record_of(BOB)], lambda: 60.0)

    assert delivery.telemetry.correlation_ids == [correlation_id, FIRST]
    assert delivery.dead_letters.correlation_ids == [correlation_id]


def test_of_five_messages_exactly_the_two_that_failed_are_delivered_again() -> None:
    """One that is left out of the answer is lost: SQS deletes it."""
    names = ["ann", "ben", "cid", "dee", "eve"]
    users = [UserRef(pool_id=ADA.pool_id, sub=f"sub-{name}", username=name) for name in names]
    records = [{**record_of(user), "messageId": user.username, "receiptHandle": user.sub} for user in users]
    delivery = Delivery({"ben": WhopUnavailable("create_account"), "dee": RuntimeError("a defect")})

    assert delivery.handle_records(records, lambda: 60.0) == ["ben", "dee"]
    assert delivery.syncing.synced == ["ann", "cid", "eve"]
    assert delivery.queue.postponed.keys() == {"sub-ben", "sub-dee"}


def test_an_empty_delivery_is_done() -> None:
    assert Delivery().handle_records([], lambda: 60.0) == []


PASSING = [
    WhopUnavailable("create_account"),
    WhopUnauthorized("create_account", status=401),
    WhopInvalidResponse("create_account", status=200),
    AwsError("ThrottlingException"),
    DeadlineExceeded(),
    EnrolmentInProgress(),
    StaleRecord(),
    OutcomeUnknown(900),
    NotConfigured("the secret has no value"),
]


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
def test_what_may_pass_is_delivered_again_and_its_neighbour_is_done(error: Exception) -> None:
    delivery = Delivery({"ada": error})

    assert delivery.handle("sync_user_batch") == [FIRST]
    assert delivery.syncing.synced == ["bob"]
    assert delivery.queue.postponed.keys() == {"receipt-handle-1"}
    assert delivery.telemetry.failures == [(error, "sync postponed")]
    assert delivery.telemetry.defects == 0


@pytest.mark.parametrize("error", [RuntimeError("a defect"), KeyError("x")], ids=repr)
def test_a_defect_is_told_as_one_and_harms_no_neighbour(error: Exception) -> None:
    delivery = Delivery({"ada": error})

    assert delivery.handle("sync_user_batch") == [FIRST]
    assert delivery.syncing.synced == ["bob"]
    assert (delivery.telemetry.defects, delivery.telemetry.failures) == (1, [])


def test_a_message_that_is_not_ours_is_set_aside_at_once_and_harms_no_neighbour() -> None:
    delivery = Delivery()

    assert delivery.handle("sync_user_poison") == []
    assert delivery.syncing.synced == ["ada", "bob"]
    assert delivery.dead_letters.sent == ["not a message of ours"]
    assert [message for _, message in delivery.telemetry.failures] == ["unreadable message set aside"]


def test_a_message_about_another_pool_is_set_aside_as_it_is() -> None:
    body = encode(dataclasses.replace(ADA, pool_id="eu-west-1_Other"), Source.SIGN_UP)
    queue, dead_letters, telemetry = Queue(), Queue(), RecordingTelemetry()
    with Case(Server()).syncing() as syncing:
        answer = SyncBatch(syncing, queue, dead_letters, FixedBacklog(), telemetry, seconds=SECONDS_PER_USER).handle(
            [{**record_of(ADA), "body": body}], lambda: 60.0
        )

    assert answer == {"batchItemFailures": []}
    assert dead_letters.sent == [body]


def test_a_message_that_cannot_be_set_aside_is_delivered_again() -> None:
    delivery = Delivery(dead_letters=Queue(AwsError("ServiceUnavailable")))

    assert len(delivery.handle("sync_user_poison")) == 1
    assert delivery.queue.postponed.keys() == {"receipt-handle-2"}


def test_a_message_that_cannot_be_postponed_is_delivered_again_all_the_same() -> None:
    delivery = Delivery({"bob": WhopUnavailable("create_account")}, queue=Queue(AwsError("ReceiptHandleIsInvalid")))

    assert delivery.handle("sync_user_batch") == [SECOND]


def test_a_wait_that_was_told_is_waited() -> None:
    delivery = Delivery({"ada": WhopRateLimited("create_account", 120)})
    delivery.handle("sync_user_batch")

    assert delivery.queue.postponed == {"receipt-handle-1": 120}


@pytest.mark.parametrize("changes", [{"body": None}, {"body": 7}, {"body": None, "receiptHandle": None}])
def test_a_message_without_a_text_is_set_aside_like_any_that_cannot_be_read(changes: dict[str, Any]) -> None:
    delivery = Delivery()

    assert delivery.handle_records([{**record_of(ADA), **changes}], lambda: 60.0) == []
    assert delivery.dead_letters.sent == [""]


@pytest.mark.parametrize("attributes", [None, [], {"ApproximateReceiveCount": None}, {"ApproximateReceiveCount": "-1"}])
def test_a_message_that_does_not_say_how_often_it_was_delivered_counts_as_new(attributes: Any) -> None:
    delivery = Delivery({"ada": WhopUnavailable("create_account")})

    delivery.handle_records([{**record_of(ADA), "attributes": attributes}], lambda: 60.0)

    assert list(delivery.queue.postponed.values()) == [2]


@pytest.mark.parametrize(
    ("deliveries", "age", "jitter", "seconds"),
    [
        (1, 0, 0.0, 2),
        (2, 2, 0.0, 4),
        (5, 62, 0.0, 32),
        (6, 126, 0.0, 60),
        (1000, 1920, 0.0, 60),
        (1000, 3200, 0.0, 100),
        (1000, 28800, 0.0, 900),
        (1000, 86400, 0.0, 900),
        (None, None, 0.0, 2),
        # Two clocks that differ.
        (1, -5, 0.0, 2),
        (6, 126, 0.5, 45),
        (1000, 28800, 1.0, 450),
        (1, 0, 1.0, 1),
    ],
)
def test_a_failure_is_backed_off_from_by_deliveries_and_then_by_age_less_up_to_a_half(
    deliveries: int | None, age: int | None, jitter: float, seconds: int
) -> None:
    delivery = Delivery({"ada": WhopUnavailable("create_account")}, jitter=jitter)
    delivery.handle_records([record_of(ADA, deliveries=deliveries, age=age)], lambda: 60.0)

    assert delivery.queue.postponed == {"receipt-handle-1": seconds}


SHARED_WAITS = (WhopRateLimited("create_account", 20), OutOfPermits("update_user", 20), CircuitOpen("update_user", 20))


@pytest.mark.parametrize("error", SHARED_WAITS, ids=repr)
@pytest.mark.parametrize(("age", "seconds"), [(0, 20), (640, 20), (1280, 40), (86400, 900)])
def test_a_wait_that_applies_to_all_messages_is_no_failure_of_the_one_that_meets_it(
    error: Exception, age: int, seconds: int
) -> None:
    """Else those that have met many waits are away while Whop may be called."""
    delivery = Delivery({"ada": error})
    delivery.handle_records([record_of(ADA, deliveries=12, age=age)], lambda: 60.0)

    assert delivery.queue.postponed == {"receipt-handle-1": seconds}


@pytest.mark.parametrize(
    "error",
    [
        WhopRateLimited("create_account", 1),
        OutOfPermits("create_account", 1),
        CircuitOpen("create_account", 1),
        WhopUnavailable("create_account"),
        WhopUnauthorized("create_account"),
        StaleRecord(),
        ValueError(),
    ],
    ids=repr,
)
@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_a_day_of_failures_takes_fewer_deliveries_than_the_queue_allows(error: Exception, jitter: float) -> None:
    delivery = Delivery({"ada": error}, jitter=jitter)
    age, deliveries = 0, 0
    while age < 24 * 3600:
        deliveries += 1
        delivery.handle_records([record_of(ADA, deliveries=deliveries, age=age)], lambda: 60.0)
        age += delivery.queue.postponed["receipt-handle-1"]

    assert deliveries < 500


def test_whoever_cannot_be_finished_in_time_is_not_begun() -> None:
    left = iter([10.0, 9.9])
    delivery = Delivery()

    assert delivery.handle("sync_user_batch", lambda: next(left)) == [SECOND]
    assert delivery.syncing.synced == ["ada"]
    assert delivery.queue.postponed == {"receipt-handle-2": 1}


def test_each_user_has_a_deadline_of_their_own() -> None:
    delivery = Delivery()
    delivery.handle("sync_user_batch")

    assert delivery.syncing.seconds == [pytest.approx(8.0, abs=0.1)] * 2


def test_not_all_messages_that_were_told_the_same_wait_return_at_the_same_moment() -> None:
    waits: list[int] = []
    for jitter in (0.0, 0.5, 1.0):
        delivery = Delivery({"ada": WhopRateLimited("create_account", 30)}, jitter=jitter)
        delivery.handle("sync_user_batch")
        waits += delivery.queue.postponed.values()

    assert waits == [30, 35, 40]


def test_a_worker_that_found_no_place_takes_no_other_message_until_there_are_some() -> None:
    """Else it would go through the whole queue within each five seconds, and ask the pool about everybody in it."""
    delivery = Delivery({"ada": OutOfPermits("create_account", 4)})
    delivery.handle("sync_user_batch")

    assert delivery.slept == [4]
    assert delivery.syncing.synced == ["bob"]


@pytest.mark.parametrize(
    ("error", "remaining"),
    [
        (WhopRateLimited("create_account", 4), 60.0),
        (OutOfPermits("create_account", 4), 13.9),
    ],
    ids=["told by Whop", "too little time"],
)
def test_and_does_not_wait_for_anything_else_or_beyond_its_own_time(error: WhopRateLimited, remaining: float) -> None:
    delivery = Delivery({"ada": error})
    delivery.handle("sync_user_batch", lambda: remaining)

    assert delivery.slept == []


def test_a_whop_that_is_left_alone_is_waited_for() -> None:
    delivery = Delivery({"ada": CircuitOpen("create_account", 20)})
    delivery.handle("sync_user_batch")

    assert list(delivery.queue.postponed.values()) == [20]


def test_after_a_429_the_rest_of_the_batch_waits_without_asking_again() -> None:
    server = Server(httpx.Response(429, json={}, headers={"Retry-After": "30"}))
    case = Case(server)
    case.users.put(BOB, Record(status=Status.LINKED, whop_user_id="user_Bob"), expected=None)
    queue = Queue()
    with case.syncing() as syncing:
        SyncBatch(
            syncing, queue, Queue(), FixedBacklog(), case.telemetry, seconds=SECONDS_PER_USER, jitter=lambda: 0.0
        ).handle(event("sync_user_batch")["Records"], lambda: 60.0)

    assert len(server.requests) == 1
    assert queue.postponed == {"receipt-handle-1": 30, "receipt-handle-2": 30}


@contextlib.contextmanager
def _waiting(case: Case) -> Iterator[SyncUser]:
    """Whop has just told to wait with creates. The case's server needs that answer first."""
    create = {"email": "ada@home.test", "title": "ada", "external_id": "ada", "idempotency_key": "one"}
    with case.syncing(["app"]) as syncing:
        with pytest.raises(WhopRateLimited):
            syncing._whop.create_account(**create, deadline=Deadline(5))
        yield syncing


WAIT = httpx.Response(429, json={}, headers={"Retry-After": "30"})


@pytest.mark.parametrize(("linked", "asked"), [(False, []), (True, ["read"])])
def test_while_nobody_may_be_created_the_pool_is_not_asked_about_who_has_to_be(linked: bool, asked: list[str]) -> None:
    case = Case(Server(WAIT, RENAMED), linked=linked)
    with _waiting(case) as syncing, contextlib.nullcontext() if linked else pytest.raises(WhopRateLimited):
        syncing.sync(SyncMessage(ADA, Source.SIGN_UP), deadline=Deadline(5))

    assert case.pool.asked == asked


@pytest.mark.parametrize(
    "message",
    [SyncMessage(ADA, Source.ENROL, run=RUN), SyncMessage(ADA, Source.SIGN_UP, client_id="of another app")],
    ids=["of a stopped run", "of another app client"],
)
def test_a_message_that_creates_nothing_is_handled_also_while_nobody_may_be_created(message: SyncMessage) -> None:
    case = Case(Server(WAIT), linked=False)
    case.runs.stop(RUN, deadline=Deadline(5))
    with _waiting(case) as syncing:
        syncing.sync(message, deadline=Deadline(5))

    assert case.users.get(ADA) is None


# Users with a Whop account of their own

OWN = Record(status=Status.PENDING, own_whop_user_id="user_Own")


@pytest.mark.parametrize("status", [Status.PENDING, Status.BLOCKED])
def test_who_chats_as_their_own_account_is_not_enrolled_by_a_sync(status: Status) -> None:
    case = Case(Server(), linked=False)
    case.write(dataclasses.replace(OWN, status=status))
    case.sync()
    assert (case.enrolment.enrolled, case.record.status) == ([], status)
    assert case.own_accounts.revoked == [ADA]


def test_who_chats_as_their_own_account_is_disabled_and_enabled_with_the_pool() -> None:
    case = Case(Server(), linked=False)
    case.write(OWN)
    case.pool.name = UserDisabled()
    case.sync(source=Source.RECONCILE)
    assert case.record.status is Status.DISABLED
    case.pool.name = "Ada"
    case.sync(source=Source.RECONCILE)
    assert (case.record.status, case.record.own_whop_user_id) == (Status.PENDING, "user_Own")


def test_a_deleted_user_loses_their_own_account_before_the_clean_up() -> None:
    case = Case(Server(), pool=Pool(UserGone()), linked=False)
    case.write(dataclasses.replace(OWN, status=Status.LINKED, whop_user_id="user_Ada"))
    case.pool.status = PoolStatus.GONE
    case.sync(source=Source.RECONCILE)
    assert case.own_accounts.removed == [ADA]
    assert case.clean_up.cleaned == [case.record]
    assert case.record.own_whop_user_id is None


def test_what_cannot_be_revoked_yet_brings_the_message_back() -> None:
    case = Case(Server(RENAMED))
    case.own_accounts.failing = WhopUnavailable("oauth_revoke", status=503)
    with pytest.raises(WhopUnavailable):
        case.sync()
