"""Minting: who the token is for, how long it lives, and what happens when the user is not there yet or any more."""

import dataclasses
import functools
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta

import pytest

from tests.protocol.memory_users import MemoryUsers
from tests.unit.fakes import Clock, Enrolling, Queue, Told
from whop_chat import minting
from whop_chat.aws import AwsError
from whop_chat.cognito import Caller, Reason, TokenRefused, TokenVerifier
from whop_chat.deadline import Deadline
from whop_chat.identity import UserRef
from whop_chat.mint_limit import MintLimit, TooManyRequests
from whop_chat.minting import ChatToken, Minting
from whop_chat.outcomes import Blocked, EnrolmentInProgress, Link, LostToDeletion
from whop_chat.pool_users import UserGone
from whop_chat.scopes import FeatureNotAllowed, GroupDenied, ScopePolicy
from whop_chat.sync_queue import Source, SyncMessage, decode
from whop_chat.users import Record, Status
from whop_chat.whop import UserToken, Whop, WhopInvalidResponse, WhopNotFound, WhopRateLimited

NOW = datetime(2027, 1, 15, 8, tzinfo=UTC)
TTL = timedelta(minutes=60)
ADA = UserRef(pool_id="eu-west-1_Ab3dEf6Gh", sub="sub-ada", username="ada")
NOT_FOUND = WhopNotFound("mint_token", status=404)
PER_MINUTE = 3
CHANNELS = ("chat:message:create", "chat:read")


class Verifier(TokenVerifier):
    """Accepts the one good token, of a user who is in ``groups``."""

    def __init__(self, *groups: str) -> None:
        self.groups = groups

    def verify(self, token: str, *, deadline: Deadline) -> Caller:
        if token != "good":
            raise TokenRefused(Reason.SIGNATURE)
        return Caller(ADA.sub, ADA.username, "client", self.groups, frozenset(), 1_900_000_000)


class Tokens(Whop):
    """Mints for the ids it knows, with the life it is told; any other user is a 404."""

    def __init__(self, *known: str, expires_in: timedelta = TTL, error: Exception | None = None) -> None:
        self.known = known
        self.expires_in = expires_in
        self.error = error
        self.asked: list[tuple[str, tuple[str, ...], datetime]] = []

    def mint_token(
        self, user_id: str, scopes: Collection[str], expires_at: datetime, *, deadline: Deadline
    ) -> UserToken:
        deadline.require()
        self.asked.append((user_id, tuple(scopes), expires_at))
        if self.error is not None:
            raise self.error
        if user_id not in self.known:
            raise NOT_FOUND
        return UserToken(f"token-of-{user_id}", NOW + self.expires_in)


class Case:
    """One minting with everything around it."""

    def __init__(
        self, enrolment: Enrolling, whop: Tokens, *, queue: Queue | None = None, groups: Collection[str] = ()
    ) -> None:
        self.enrolment = enrolment
        self.whop = whop
        self.queue = queue or Queue()
        self.told = Told()
        self.clock = Clock(NOW.timestamp() + 0.9)
        self.users = MemoryUsers()
        self.minting = Minting(
            Verifier(*groups),
            MintLimit(self.users, PER_MINUTE, clock=self.clock, jitter=lambda: 0.0),
            self.users,
            enrolment,
            whop,
            ScopePolicy(["channels", "support"], denied_groups=["banned"], group_features={"guests": ["channels"]}),
            self.queue,
            self.told,
            pool_id=ADA.pool_id,
            ttl=TTL,
            clock=self.clock,
            sleep=self.clock.advance,
        )

    def mint(self, token: str = "good", features: Collection[str] | None = None, *, seconds: float = 3.0) -> ChatToken:
        return self.minting.mint(token, features, deadline=Deadline(seconds, clock=self.clock))


def linked(**options: timedelta | Exception) -> Case:
    """A user who is linked already."""
    return Case(Enrolling(Link("user_Ada")), Tokens("user_Ada", **options))  # type: ignore[arg-type]


def test_the_token_is_for_the_user_of_the_cognito_token_and_for_what_the_server_allows() -> None:
    case = linked()

    token = case.mint()

    assert token.token == "token-of-user_Ada"
    assert token.scopes == ("chat:message:create", "chat:read", "support_chat:message:create", "support_chat:read")
    assert case.enrolment.enrolled == [ADA]
    assert case.whop.asked == [("user_Ada", token.scopes, NOW + TTL)]
    assert case.told.users == [ADA]
    assert case.queue.sent == []


def test_a_user_who_was_deleted_while_they_were_enrolled_is_cleaned_up_after() -> None:
    case = Case(Enrolling(LostToDeletion()), Tokens())
    with pytest.raises(UserGone):
        case.mint()

    assert [decode(body) for body in case.queue.sent] == [SyncMessage(ADA, Source.FIRST_TOKEN)]


def test_features_narrow_the_token() -> None:
    case = linked()

    assert case.mint(features=["channels"]).scopes == CHANNELS
    assert case.whop.asked[0][1] == CHANNELS


def test_the_groups_of_the_cognito_token_narrow_the_token() -> None:
    case = Case(Enrolling(Link("user_Ada")), Tokens("user_Ada"), groups=["guests"])

    assert case.mint().scopes == CHANNELS


def test_a_member_of_a_denied_group_reaches_neither_enrolment_nor_whop() -> None:
    case = Case(Enrolling(Link("user_Ada")), Tokens("user_Ada"), groups=["banned"])
    with pytest.raises(GroupDenied):
        case.mint()

    assert (case.enrolment.enrolled, case.whop.asked) == ([], [])


def test_a_token_that_is_not_accepted_reaches_nobody() -> None:
    case = linked()
    with pytest.raises(TokenRefused):
        case.mint("forged")

    assert (case.enrolment.enrolled, case.whop.asked, case.told.users) == ([], [], [])


def test_a_feature_that_is_not_allowed_reaches_neither_enrolment_nor_whop() -> None:
    case = linked()
    with pytest.raises(FeatureNotAllowed):
        case.mint(features=["dms"])

    assert (case.enrolment.enrolled, case.whop.asked) == ([], [])


@pytest.mark.parametrize(
    ("life", "refresh_after"),
    [(timedelta(minutes=60), timedelta(minutes=48)), (timedelta(seconds=10), timedelta(seconds=8))],
)
def test_a_token_is_to_be_refreshed_after_four_fifths_of_the_life_that_whop_granted(
    life: timedelta, refresh_after: timedelta
) -> None:
    token = linked(expires_in=life).mint()

    assert (token.expires_at, token.refresh_after) == (NOW + life, NOW + refresh_after)


@pytest.mark.parametrize(
    "life", [timedelta(0), timedelta(seconds=-1), timedelta(days=-1), TTL + timedelta(seconds=1), timedelta(days=1)]
)
def test_a_token_that_is_past_or_lives_longer_than_asked_for_is_no_token(life: timedelta) -> None:
    with pytest.raises(WhopInvalidResponse):
        linked(expires_in=life).mint()


def test_a_token_is_in_no_description_of_it() -> None:
    assert "token-of" not in repr(linked().mint())


# A user who asks too often


def with_record(case: Case) -> Record:
    """A record of the user, which mints are counted on."""
    return case.users.put(ADA, Record(status=Status.LINKED, whop_user_id="user_Ada"), seen=None)


def test_the_record_that_a_mint_is_counted_on_is_the_one_that_enrolment_gets() -> None:
    case = linked()
    record = with_record(case)
    case.mint()

    assert case.enrolment.records == [dataclasses.replace(record, mints_since=int(case.clock.now), mints=1)]


def test_a_user_who_asks_too_often_reaches_neither_enrolment_nor_whop() -> None:
    case = linked()
    with_record(case)
    for _ in range(PER_MINUTE):
        case.mint()
    with pytest.raises(TooManyRequests) as refusal:
        case.mint()

    assert refusal.value.retry_after == 60
    assert (len(case.enrolment.enrolled), len(case.whop.asked)) == (PER_MINUTE, PER_MINUTE)
    case.clock.advance(60)
    assert case.mint().token == "token-of-user_Ada"


def test_what_is_not_accepted_or_not_allowed_is_not_counted() -> None:
    case = linked()
    record = with_record(case)
    with pytest.raises(TokenRefused):
        case.mint("forged")
    with pytest.raises(FeatureNotAllowed):
        case.mint(features=["dms"])

    assert case.users.get(ADA) == record


def test_waiting_for_a_claim_counts_once_and_sees_what_comes_of_it() -> None:
    case = Case(Enrolling(EnrolmentInProgress(), EnrolmentInProgress(), Link("user_Ada")), Tokens("user_Ada"))
    with_record(case)
    case.mint()

    assert [record and record.mints for record in case.enrolment.records] == [1, 1, 1]


# A user who is not there yet


def test_a_user_who_was_enrolled_just_now_gets_their_name_later() -> None:
    case = Case(Enrolling(Link("user_Ada", created=True)), Tokens("user_Ada"))

    assert case.mint().token == "token-of-user_Ada"
    assert [decode(body) for body in case.queue.sent] == [SyncMessage(ADA, Source.FIRST_TOKEN)]


def test_a_queue_that_fails_does_not_cost_the_token() -> None:
    error = AwsError("ServiceUnavailable")
    case = Case(Enrolling(Link("user_Ada", created=True)), Tokens("user_Ada"), queue=Queue(error))

    assert case.mint().token == "token-of-user_Ada"
    assert [failure for failure, _ in case.told.failures] == [error]


@pytest.mark.parametrize(
    "enrolment",
    [
        lambda: Enrolling(Link("user_Ada", created=True)),
        lambda: Enrolling(Link("user_Lost"), repairs=[Link("user_Ada", created=True)]),
    ],
    ids=["enrolled", "made anew"],
)
def test_a_queue_that_hangs_does_not_cost_the_token(enrolment: Callable[[], Enrolling]) -> None:
    class Hanging(Queue):
        def send_raw(self, body: str, *, deadline: Deadline) -> None:
            case.clock.advance(4)
            raise AwsError("ReadTimeoutError")

    case = Case(enrolment(), Tokens("user_Ada"), queue=Hanging())

    assert case.mint(seconds=3.0).token == "token-of-user_Ada"


def test_a_user_who_was_enrolled_gets_their_name_even_if_whop_mints_nothing() -> None:
    # No later mint will ask for it: the user is linked from now on.
    limited = WhopRateLimited("mint_token", 10)
    case = Case(Enrolling(Link("user_Ada", created=True)), Tokens(error=limited))
    with pytest.raises(WhopRateLimited):
        case.mint()

    assert [decode(body) for body in case.queue.sent] == [SyncMessage(ADA, Source.FIRST_TOKEN)]


def test_a_claim_that_another_holds_is_waited_for() -> None:
    held = [EnrolmentInProgress() for _ in range(5)]
    case = Case(Enrolling(*held, Link("user_Ada")), Tokens("user_Ada"))
    started = case.clock.now

    assert case.mint().token == "token-of-user_Ada"
    assert len(case.enrolment.enrolled) == 6
    assert case.clock.now - started == pytest.approx(0.5)


def test_a_request_of_ours_at_whop_is_not_waited_for() -> None:
    """It can take the time of a lease, and asking the table tells nothing new about it."""
    case = Case(Enrolling(EnrolmentInProgress(at_whop=True), Link("user_Ada")), Tokens("user_Ada"))
    with pytest.raises(EnrolmentInProgress):
        case.mint()

    assert len(case.enrolment.enrolled) == 1


@pytest.mark.parametrize(
    ("seconds", "longest"), [(3.0, 1.5), (0.55, 0.55), (0.05, 0.0)], ids=["patience", "deadline", "no-time"]
)
def test_a_claim_is_not_waited_for_longer_than_patience_and_deadline_allow(
    monkeypatch: pytest.MonkeyPatch, seconds: float, longest: float
) -> None:
    case = Case(Enrolling(EnrolmentInProgress()), Tokens())
    monkeypatch.setattr(minting, "Deadline", functools.partial(Deadline, clock=case.clock))
    started = case.clock.now

    with pytest.raises(EnrolmentInProgress):
        case.mint(seconds=seconds)

    assert longest - 0.2 <= case.clock.now - started <= longest
    assert case.whop.asked == []


def test_a_user_who_cannot_be_enrolled_gets_no_token_at_once() -> None:
    case = Case(Enrolling(Blocked("no_verified_email")), Tokens())
    with pytest.raises(Blocked):
        case.mint()

    assert (len(case.enrolment.enrolled), case.whop.asked) == (1, [])


# A user who is not there any more


@pytest.mark.parametrize(
    ("repairs", "minted_for"),
    [
        ([Link("user_Ada2")], ["user_Ada", "user_Ada2"]),
        ([Link("user_Lost"), Link("user_Ada2")], ["user_Ada", "user_Lost", "user_Ada2"]),
    ],
    ids=["resolved again", "made anew"],
)
def test_a_user_whom_whop_does_not_know_is_enrolled_again(repairs: list[Link], minted_for: list[str]) -> None:
    case = Case(Enrolling(Link("user_Ada"), repairs=repairs), Tokens("user_Ada2"))

    assert case.mint().token == "token-of-user_Ada2"
    assert [asked[0] for asked in case.whop.asked] == minted_for
    assert case.enrolment.repaired == [(ADA, unknown) for unknown in minted_for[:-1]]


@pytest.mark.parametrize(
    ("repairs", "mints"),
    [([None], 1), ([Link("user_B"), None], 2), ([Link("user_B"), Link("user_C")], 3)],
    ids=["used up", "used up after one", "still unknown"],
)
def test_a_user_whom_whop_goes_on_not_knowing_is_a_refusal_in_the_end(repairs: list[Link | None], mints: int) -> None:
    case = Case(Enrolling(Link("user_Ada"), repairs=repairs), Tokens())
    with pytest.raises(WhopNotFound):
        case.mint()

    assert len(case.whop.asked) == mints
    assert case.enrolment.repairs == []


def test_a_repair_that_fails_is_what_is_told() -> None:
    case = Case(Enrolling(Link("user_Ada"), repairs=[EnrolmentInProgress()]), Tokens())
    with pytest.raises(EnrolmentInProgress):
        case.mint()


def test_a_user_who_was_made_anew_gets_their_name_too() -> None:
    case = Case(Enrolling(Link("user_Ada"), repairs=[Link("user_Ada2", created=True)]), Tokens("user_Ada2"))
    case.mint()

    assert [decode(body) for body in case.queue.sent] == [SyncMessage(ADA, Source.FIRST_TOKEN)]


def test_any_other_refusal_is_told_as_it_is() -> None:
    error = WhopRateLimited("mint_token", 10)
    case = linked(error=error)
    with pytest.raises(WhopRateLimited):
        case.mint()

    assert (len(case.whop.asked), case.enrolment.repaired) == (1, [])
