"""Minting: who the token is for, how long it lives, and what happens when the user is not there yet or any more."""

import dataclasses
import functools
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.fakes.clock import Clock
from tests.fakes.enrolment import Enrolling
from tests.fakes.memory_tokens import MemoryTokenCache
from tests.fakes.memory_users import MemoryUserRepository
from tests.fakes.moto_aws import aws_over
from tests.fakes.queue import Queue
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.whop import FakeWhop, whop_over
from whop_chat.api.problems import problem_of
from whop_chat.cognito.pool import UserDisabled, UserGone
from whop_chat.cognito.user import UserRef
from whop_chat.cognito.verifier import Caller, Reason, TokenRefused, TokenVerifier
from whop_chat.enrolment import enrol
from whop_chat.enrolment.errors import Blocked, DeletedMeanwhile, Denied, EnrolmentInProgress, Link
from whop_chat.minting.authorizer import Authorizer
from whop_chat.minting.chat_token import ChatToken
from whop_chat.minting.fallback import TokenFallback
from whop_chat.minting.features import FeatureNotAllowed, FeaturePolicy, GroupDenied
from whop_chat.minting.mint import MintToken
from whop_chat.minting.token_cache import CachedToken, CacheKey
from whop_chat.minting.user_quota import TooManyRequests, UserQuota
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.sync.queue import Source, SyncMessage, decode
from whop_chat.users.record import Record, Status
from whop_chat.whop.api_key import ApiKey, NotConfigured
from whop_chat.whop.client import UserToken, Whop
from whop_chat.whop.errors import (
    NoTimeForAnotherKey,
    WhopConflict,
    WhopError,
    WhopForbidden,
    WhopInvalidResponse,
    WhopNotFound,
    WhopRateLimited,
    WhopRefused,
    WhopUnauthorized,
    WhopUnavailable,
)

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


class Tokens(FakeWhop):
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


MINUTE = timedelta(minutes=1)


class Case:
    """One minting with everything around it; with ``client``, it is that which is asked in place of ``whop``."""

    def __init__(
        self,
        enrolment: Enrolling,
        whop: Tokens,
        *,
        queue: Queue | None = None,
        groups: Collection[str] = (),
        always: bool | None = None,
        client: Whop | None = None,
        clock: Clock | None = None,
        ttl: timedelta = TTL,
    ) -> None:
        self.enrolment = enrolment
        self.whop = whop
        self.queue = queue or Queue()
        self.telemetry = RecordingTelemetry()
        self.clock = clock or Clock(NOW.timestamp() + 0.9)
        self.users = MemoryUserRepository()
        self.kept = MemoryTokenCache()
        reuse = TokenFallback(
            self.kept, self.telemetry, always=bool(always), ttl=timedelta(hours=3), clock=self.clock, jitter=lambda: 0.0
        )
        policy = FeaturePolicy(
            ["channels", "support"], denied_groups=["banned"], group_features={"guests": ["channels"]}
        )
        self.minting = MintToken(
            Authorizer(Verifier(*groups), policy, pool_id=ADA.pool_id),
            UserQuota(self.users, PER_MINUTE, clock=self.clock),
            enrolment.polling(self.users, self.clock.advance),
            client or whop,
            self.queue,
            self.telemetry,
            None if always is None else reuse,
            ttl=ttl,
            clock=self.clock,
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
    assert case.telemetry.users == [ADA.sub]
    assert case.queue.sent == []


def test_a_user_who_was_deleted_while_they_were_enrolled_is_cleaned_up_after() -> None:
    case = Case(Enrolling(DeletedMeanwhile()), Tokens())
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

    assert (case.enrolment.enrolled, case.whop.asked, case.telemetry.users) == ([], [], [])


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
    with pytest.raises(WhopInvalidResponse, match="mint_token: 200 expires_at"):
        linked(expires_in=life).mint()


def test_no_token_is_asked_for_that_whop_would_refuse_for_its_life() -> None:
    """Whop's limit is three hours, by its own clock."""
    case = Case(Enrolling(Link("user_Ada")), Tokens("user_Ada"), ttl=timedelta(hours=4))
    case.mint()

    [(_, _, expires_at)] = case.whop.asked
    assert expires_at == NOW + timedelta(hours=2, minutes=59, seconds=50)


def test_a_token_is_in_no_description_of_it() -> None:
    assert "token-of" not in repr(linked().mint())


# A user who asks too often


def with_record(case: Case) -> Record:
    """A record of the user, which mints are counted on."""
    return case.users.put(ADA, Record(status=Status.LINKED, whop_user_id="user_Ada"), expected=None)


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
    assert [failure for failure, _ in case.telemetry.failures] == [error]


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
        def send_raw(self, body: str, *, correlation_id: str | None = None, deadline: Deadline) -> None:
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
    monkeypatch.setattr(enrol, "Deadline", functools.partial(Deadline, clock=case.clock))
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


@pytest.mark.parametrize("created", [False, True])
def test_a_user_who_was_enrolled_just_now_and_repaired_at_once_gets_their_name_once(created: bool) -> None:
    repaired = Link("user_Ada2", created=created)
    case = Case(Enrolling(Link("user_Ada", created=True), repairs=[repaired]), Tokens("user_Ada2"))
    case.mint()

    assert [decode(body) for body in case.queue.sent] == [SyncMessage(ADA, Source.FIRST_TOKEN)]


def test_any_other_refusal_is_told_as_it_is() -> None:
    error = WhopRateLimited("mint_token", 10)
    case = linked(error=error)
    with pytest.raises(WhopRateLimited):
        case.mint()

    assert (len(case.whop.asked), case.enrolment.repaired) == (1, [])


# The last token again


def keeping(
    *,
    always: bool = False,
    error: Exception | None = None,
    enrolment: Enrolling | None = None,
    age: int = 5,
    client: Whop | None = None,
    clock: Clock | None = None,
) -> Case:
    """A linked user, for whom a token of an hour is kept that is so many minutes old."""
    enrolment = enrolment or Enrolling(Link("user_Ada"))
    case = Case(enrolment, Tokens("user_Ada", error=error), always=always, client=client, clock=clock)
    minted_at = NOW - age * MINUTE
    for scopes in (CHANNELS, ALL):
        token = CachedToken(f"kept-for-{len(scopes)}", minted_at, minted_at + 60 * MINUTE)
        case.kept.kept[CacheKey(ADA, scopes)] = "user_Ada", token
    return case


ALL = (*CHANNELS, "support_chat:message:create", "support_chat:read")
UNAVAILABLE = WhopUnavailable("mint_token", status=500)


@pytest.mark.parametrize("always", [False, True])
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (WhopRateLimited("mint_token", 10), "rate_limited"),
        (UNAVAILABLE, "unavailable"),
        (WhopUnavailable("mint_token"), "unavailable"),
        (DeadlineExceeded(), "unavailable"),
    ],
    ids=["429", "500", "no answer", "no time"],
)
def test_the_last_token_is_answered_while_whop_limits_or_fails(error: Exception, reason: str, always: bool) -> None:
    case = keeping(always=always, error=error, age=40)
    token = case.mint()

    assert (token.token, token.scopes, token.reused) == ("kept-for-4", ALL, reason)
    assert (token.expires_at, token.refresh_after) == (NOW + 20 * MINUTE, NOW + 8 * MINUTE)
    assert [failure for failure, _ in case.telemetry.failures] == [error]


@pytest.mark.parametrize(
    "error",
    [
        WhopUnauthorized("mint_token", status=401),
        WhopForbidden("mint_token", status=403),
        NOT_FOUND,
        WhopConflict("mint_token", status=409),
        WhopRefused("mint_token", status=422),
        WhopInvalidResponse("mint_token", status=200),
        AwsError("ThrottlingException"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_no_refusal_of_whop_is_answered_with_the_last_token(error: Exception) -> None:
    case = keeping(error=error, enrolment=Enrolling(Link("user_Ada"), repairs=[None]), age=40)
    with pytest.raises(type(error)):
        case.mint()


@dataclass
class Rotated:
    """Whop, which refuses the old key after ``slowness`` seconds and fails with the new one, and the secret since."""

    clock: Clock
    secret: httpx.Response
    slowness: float = 0.0
    secrets_asked: int = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.host.startswith("secretsmanager"):
            self.secrets_asked += 1
            return OLD_KEY if self.secrets_asked == 1 else self.secret
        if request.headers["Authorization"] == "Bearer new-key":
            return httpx.Response(500)
        self.clock.advance(self.slowness)
        return httpx.Response(401)


def secret_value(text: str) -> httpx.Response:
    return httpx.Response(200, json={"SecretString": text, "VersionId": "1"})


OLD_KEY = secret_value("old-key")


def after_a_401(secret: httpx.Response, *, slowness: float = 0.0) -> ChatToken:
    """What the user of a kept token gets, by the real client and the real key, when Whop refuses the key."""
    clock = Clock(NOW.timestamp())
    neighbours = Rotated(clock, secret, slowness)
    aws = aws_over(httpx.MockTransport(neighbours), sleep=clock.advance)
    with whop_over(neighbours, keys=ApiKey(aws, "arn", clock=clock), clock=clock) as client:
        return keeping(age=40, client=client, clock=clock).mint()


@pytest.mark.parametrize(
    ("secret", "slowness", "error", "code"),
    [
        (OLD_KEY, 0.0, WhopUnauthorized, "whop_unauthorized"),
        (secret_value("new-key"), 3.0, NoTimeForAnotherKey, "temporarily_unavailable"),
        (httpx.Response(500), 0.0, AwsError, "temporarily_unavailable"),
        (secret_value("{}"), 0.0, NotConfigured, "not_configured"),
    ],
    ids=["no other key", "no time to read it", "the secret cannot be read", "no key at all"],
)
def test_a_refused_key_is_not_answered_with_the_last_token_whatever_becomes_of_the_next(
    secret: httpx.Response, slowness: float, error: type[Exception], code: str
) -> None:
    with pytest.raises(error) as caught:
        after_a_401(secret, slowness=slowness)

    problem = problem_of(caught.value)
    assert problem is not None
    assert problem.code == code


def test_a_failure_of_whop_under_a_newer_key_is_answered_with_the_last_token() -> None:
    assert after_a_401(secret_value("new-key")).reused == "unavailable"


def test_after_whop_did_not_know_the_user_the_last_token_is_not_answered() -> None:
    class Failing(Tokens):
        def mint_token(
            self, user_id: str, scopes: Collection[str], expires_at: datetime, *, deadline: Deadline
        ) -> UserToken:
            self.error = None if user_id == "user_Ada" else UNAVAILABLE
            return super().mint_token(user_id, scopes, expires_at, deadline=deadline)

    case = keeping(enrolment=Enrolling(Link("user_Ada"), repairs=[Link("user_Ada2")]), client=Failing())
    case.kept.kept[CacheKey(ADA, ALL)] = "user_Ada2", CachedToken("kept", NOW, NOW + 60 * MINUTE)
    with pytest.raises(WhopUnavailable):
        case.mint()


def test_a_repair_that_meets_the_limit_is_not_answered_with_the_last_token() -> None:
    limited = WhopRateLimited("find_accounts", 10)
    case = keeping(error=NOT_FOUND, enrolment=Enrolling(Link("user_Ada"), repairs=[limited]))
    with pytest.raises(WhopRateLimited):
        case.mint()


@pytest.mark.parametrize("always", [False, True])
@pytest.mark.parametrize("error", [Denied(), UserDisabled(), UserGone(), Blocked("identity_conflict")])
def test_who_may_not_chat_any_more_does_not_get_the_last_token_either(error: Exception, always: bool) -> None:
    case = keeping(always=always, error=UNAVAILABLE, enrolment=Enrolling(error))
    with pytest.raises(type(error)):
        case.mint()


def test_who_asks_too_often_does_not_get_the_last_token_either() -> None:
    case = keeping(always=True)
    with_record(case)
    for _ in range(PER_MINUTE):
        assert case.mint().reused == "fresh"
    with pytest.raises(TooManyRequests):
        case.mint()
    reads = len(case.kept.seconds)
    with pytest.raises(TooManyRequests):
        case.mint()

    assert len(case.kept.seconds) == reads


@pytest.mark.parametrize("always", [False, True])
def test_the_last_token_of_another_whop_user_is_not_answered(always: bool) -> None:
    case = keeping(always=always, error=UNAVAILABLE, enrolment=Enrolling(Link("user_Another")))
    with pytest.raises(WhopError):
        case.mint()


def test_the_last_token_that_is_answered_is_for_what_was_asked() -> None:
    assert keeping(error=UNAVAILABLE).mint(features=["channels"]).token == "kept-for-2"
    with pytest.raises(WhopUnavailable):
        keeping(error=UNAVAILABLE).mint(features=["support"])


def test_with_always_whop_is_not_asked_while_the_last_token_is_young() -> None:
    case = keeping(always=True)
    token = case.mint()

    assert (token.token, token.reused, case.whop.asked) == ("kept-for-4", "fresh", [])
    assert (token.expires_at, token.refresh_after) == (NOW + 55 * MINUTE, NOW + 43 * MINUTE)
    assert keeping(always=True, age=31).mint().token == "token-of-user_Ada"


def test_with_on_error_whop_is_asked_while_it_answers() -> None:
    token = keeping().mint()

    assert (token.token, token.reused) == ("token-of-user_Ada", None)


@pytest.mark.parametrize(("age", "kept"), [(5, "kept-for-4"), (31, "token-of-user_Ada")])
def test_a_new_token_is_kept_when_the_last_is_past_half_of_its_life(age: int, kept: str) -> None:
    case = keeping(age=age)
    case.mint()

    assert case.kept.kept[CacheKey(ADA, ALL)][1].token == kept


def test_a_table_that_fails_costs_neither_the_new_token_nor_the_error() -> None:
    case = keeping(age=31)
    case.kept.reading = case.kept.writing = AwsError("InternalServerError")
    assert case.mint().token == "token-of-user_Ada"
    case.whop.error = UNAVAILABLE
    with pytest.raises(WhopUnavailable):
        case.mint()


def test_no_token_is_kept_unless_asked_for() -> None:
    case = Case(Enrolling(Link("user_Ada")), Tokens("user_Ada"))
    case.mint()

    assert (case.kept.kept, case.kept.seconds) == ({}, [])
