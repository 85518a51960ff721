"""A user who asks to be brought up to date: who may, how often, and what is put on the queue."""

import pytest

from tests.fakes.clock import Clock
from tests.fakes.memory_users import MemoryUserRepository
from tests.fakes.queue import Queue
from tests.fakes.telemetry import RecordingTelemetry
from whop_chat.cognito.user import UserRef
from whop_chat.cognito.verifier import Caller, Reason, TokenRefused, TokenVerifier
from whop_chat.minting.authorizer import Authorizer
from whop_chat.minting.features import FeaturePolicy, GroupDenied
from whop_chat.minting.request_sync import RequestSync
from whop_chat.minting.user_quota import TooManyRequests, UserQuota
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline
from whop_chat.sync.queue import Source, SyncMessage, decode
from whop_chat.users.record import Record, Status

ADA = UserRef(pool_id="eu-west-1_Pool", sub="1b0a6f3e-0000-4000-8000-00000000ada0", username="ada")
PER_MINUTE = 3


class Verifier(TokenVerifier):
    """Knows one good token, that of Ada in ``groups``."""

    def __init__(self, *groups: str) -> None:
        self._groups = groups

    def verify(self, token: str, *, deadline: Deadline) -> Caller:
        if token != "good":
            raise TokenRefused(Reason.SIGNATURE)
        return Caller(ADA.sub, ADA.username, "client", self._groups, frozenset(), 0)


class Table(MemoryUserRepository):
    """Counts the calls."""

    calls = 0

    def count_mint(self, user: UserRef, *, limit: int, now: int, deadline: Deadline | None = None) -> Record | None:
        self.calls += 1
        return super().count_mint(user, limit=limit, now=now)


class Case:
    """Requests of one user, who has a record unless ``enrolled`` is false."""

    def __init__(self, *groups: str, enrolled: bool = True, error: AwsError | None = None) -> None:
        self.queue = Queue(error)
        self.clock = Clock(1_800_000_000.0)
        users = self.users = Table()
        if enrolled:
            users.put(ADA, Record(status=Status.LINKED, whop_user_id="user_1"), expected=None)
        self.telemetry = RecordingTelemetry()
        policy = FeaturePolicy(["channels"], denied_groups=["banned"], group_features={})
        self.telemetry = RecordingTelemetry()
        self._sync = RequestSync(
            Authorizer(Verifier(*groups), policy, pool_id=ADA.pool_id),
            UserQuota(users, PER_MINUTE, clock=self.clock),
            self.queue,
            self.telemetry,
        )

    def request(self, token: str = "good") -> None:
        self._sync.request(token, deadline=Deadline(3))

    @property
    def enqueued(self) -> list[SyncMessage]:
        return [decode(body) for body in self.queue.sent]


def test_the_user_of_the_token_is_enqueued() -> None:
    case = Case()
    case.request()

    assert case.enqueued == [SyncMessage(ADA, Source.REQUEST)]
    assert case.telemetry.users == [ADA.sub]


def test_the_lines_about_the_sync_bear_the_id_of_the_request() -> None:
    case = Case()
    case.telemetry.bind_correlation("request-1")
    case.request()

    assert case.queue.correlation_ids == ["request-1"]


def test_a_token_that_is_not_good_enqueues_nobody() -> None:
    case = Case()
    with pytest.raises(TokenRefused):
        case.request("forged")

    assert case.enqueued == []


def test_a_member_of_a_denied_group_enqueues_nobody() -> None:
    case = Case("banned")
    with pytest.raises(GroupDenied):
        case.request()

    assert case.enqueued == []


def test_one_user_can_only_ask_so_often() -> None:
    case = Case()
    for _ in range(PER_MINUTE):
        case.request()
    with pytest.raises(TooManyRequests):
        case.request()

    assert len(case.enqueued) == PER_MINUTE
    calls = case.users.calls
    with pytest.raises(TooManyRequests):
        case.request()
    assert case.users.calls == calls, "who was refused is refused without a call"
    case.clock.advance(60)
    case.request()
    assert len(case.enqueued) == PER_MINUTE + 1


def test_a_user_without_a_record_cannot_fill_the_queue() -> None:
    case = Case(enrolled=False)
    for _ in range(PER_MINUTE + 1):
        case.request()

    assert case.enqueued == []


def test_a_queue_that_fails_is_an_error() -> None:
    with pytest.raises(AwsError):
        Case(error=AwsError("ThrottlingException")).request()
