"""Cleaning up after a deleted user, on the simulator."""

import contextlib
import dataclasses
from typing import Any

import pytest

from local.whop_simulator import Fault, Readings, Simulator
from local.whop_simulator.httpx_transport import as_httpx_transport
from tests.fakes.clock import Clock
from tests.fakes.memory_users import MemoryUserRepository
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.whop import Keys, circuit, rate_limiter
from whop_chat.cognito.display_name import NEUTRAL_NAME
from whop_chat.cognito.user import UserRef
from whop_chat.enrolment.cleanup import CleanUp, DeletePolicy, OutcomeUnknown
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.http import HttpClient
from whop_chat.users.record import Record, StaleRecord, Status
from whop_chat.whop.client import Whop
from whop_chat.whop.errors import WhopError, WhopForbidden, WhopRateLimited, WhopUnauthorized, WhopUnavailable

COMPANY = "biz_Company"
POOL = "eu-west-1_Pool"
ANN = UserRef(pool_id=POOL, sub="sub-ann", username="ann")
BEN = UserRef(pool_id=POOL, sub="sub-ben", username="ben")
NOW = 1_800_000_000


class Town:
    """A directory, a Whop, and a user who was linked and is deleted."""

    def __init__(self) -> None:
        self.users = MemoryUserRepository()
        self.simulator = Simulator(clock=lambda: NOW)
        self.simulator.add_company(COMPANY)
        self.simulator.add_key("key", company_id=COMPANY)
        self.told = RecordingTelemetry()
        self.clock = Clock(NOW)
        self.whop = Whop(
            HttpClient(as_httpx_transport(self.simulator)),
            Keys("key"),
            base_url="http://127.0.0.1",
            company_id=COMPANY,
            api_version="2026-10-15-1",
            company_field="account_id",
            circuit=circuit(self.clock),
            rate_limiter=rate_limiter(),
            sleep=lambda _seconds: None,
        )

    def account(self, user: UserRef, generation: int = 1, email: str = "ann@home.test") -> tuple[str, str]:
        """The ids of an account made for ``user`` and of its owner."""
        made = self.whop.create_account(
            email=email,
            title="title",
            external_id=f"cognito:{POOL}:{user.sub}:{generation}",
            idempotency_key=f"{user.sub}-{generation}",
            deadline=Deadline(5),
        )
        return made.id, made.user_id

    def buried(self, *, linked: bool = True, **changes: Any) -> Record:
        """Ann's tombstone; ``linked`` after she had an account, a name and a reservation."""
        tombstone = Record(status=Status.DELETED, **changes)
        if linked:
            account_id, user_id = self.account(ANN)
            self.whop.set_profile(user_id, name="Ann", deadline=Deadline(5))
            self.users.reservations[user_id] = (POOL, ANN.sub)
            tombstone = dataclasses.replace(tombstone, whop_user_id=user_id, whop_account_id=account_id)
        return self.users.put(ANN, tombstone, expected=None)

    def clean(self, policy: DeletePolicy = "keep-account", *, now: int = NOW) -> Record:
        record = self.record
        clean_up = CleanUp(self.users, self.whop, self.told, policy, clock=Clock(now))
        clean_up.clean(ANN, record, deadline=Deadline(5))
        return self.record

    @property
    def record(self) -> Record:
        record = self.users.get(ANN)
        assert record is not None
        return record

    @property
    def names(self) -> dict[str, str]:
        """The names that Whop users have in the company."""
        profiles: Any = self.simulator.dump()["profiles"]
        return {each["user_id"]: each["name"] for each in profiles if each["account_id"] == COMPANY}

    @property
    def accounts(self) -> list[str]:
        accounts: Any = self.simulator.dump()["accounts"]
        return [account["id"] for account in accounts if account["parent_id"] == COMPANY]


@pytest.fixture
def town() -> Town:
    return Town()


def test_the_name_in_the_company_is_overwritten_and_the_tombstone_says_when(town: Town) -> None:
    buried = town.buried()

    after = town.clean()

    assert town.names == {buried.whop_user_id: NEUTRAL_NAME}
    assert after == dataclasses.replace(buried, cleaned_at=NOW, version=after.version)
    assert town.users.holder(str(buried.whop_user_id)) is not None
    assert town.accounts == [buried.whop_account_id]
    assert town.told.counts == [("UserCleanedUp", {})]


def test_only_the_policy_deletes_the_account(town: Town) -> None:
    town.buried()
    town.clean("delete-account")

    assert town.accounts == []
    assert (town.record.cleaned_at, town.record.reason) == (NOW, None)


def test_what_a_worker_could_not_record_is_found_in_every_generation(town: Town) -> None:
    town.buried(linked=False, generation=3)
    owners = [town.account(ANN, generation, f"{generation}@home.test")[1] for generation in (1, 3)]
    town.clean()
    assert town.names == dict.fromkeys(owners, NEUTRAL_NAME)

    town.clean("delete-account")
    assert town.accounts == []


def test_another_users_account_and_name_are_left_alone(town: Town) -> None:
    town.buried()
    account_id, user_id = town.account(BEN, email="ben@home.test")
    town.whop.set_profile(user_id, name="Ben", deadline=Deadline(5))
    town.clean("delete-account")

    assert town.accounts == [account_id]
    assert town.names[user_id] == "Ben"


def test_a_whop_user_whom_somebody_else_has_by_now_keeps_their_name(town: Town) -> None:
    buried = town.buried()
    town.users.reservations[str(buried.whop_user_id)] = (POOL, BEN.sub)
    town.clean()

    assert town.names == {buried.whop_user_id: "Ann"}


@pytest.mark.parametrize("policy", ["keep-account", "delete-account"])
def test_it_can_be_done_twice(town: Town, policy: DeletePolicy) -> None:
    town.buried()
    town.clean(policy)
    town.clean(policy, now=NOW + 9)

    assert (town.record.cleaned_at, town.record.reason) == (NOW + 9, None)


def test_while_it_is_done_again_the_tombstone_does_not_say_that_it_is_done(town: Town) -> None:
    town.buried()
    town.clean()
    town.simulator.add_fault(Fault("users.update", "status", status=500, count=2))
    with pytest.raises(WhopUnavailable):
        town.clean()

    assert town.record.cleaned_at is None


def test_what_whop_refuses_is_recorded_and_told_and_not_tried_again_by_itself(town: Town) -> None:
    buried = town.buried()
    town.simulator.block_deletion(str(buried.whop_account_id), "This account has a balance.")
    after = town.clean("delete-account")

    assert after.cleaned_at == NOW
    assert after.reason is not None
    assert after.reason.startswith("delete_account: 400")
    assert [metric for _, metric in town.told.failures] == ["CleanUpRefused"]
    assert town.names == {buried.whop_user_id: NEUTRAL_NAME}


def test_a_key_without_the_permission_is_a_refusal_too(town: Town) -> None:
    town.buried()
    town.simulator.add_fault(Fault("accounts.delete", "status", status=403))

    assert str(town.clean("delete-account").reason).startswith("delete_account: 403")


def test_a_key_that_may_not_set_names_does_not_keep_the_account(town: Town) -> None:
    town.buried()
    town.simulator.add_fault(Fault("users.update", "status", status=403))
    with pytest.raises(WhopForbidden):
        town.clean("delete-account")

    assert (town.accounts, town.record.cleaned_at) == ([], None)


def test_a_name_that_whop_refuses_does_not_keep_the_account(town: Town) -> None:
    town.buried()
    town.simulator.add_fault(Fault("users.update", "status", status=400))

    assert str(town.clean("delete-account").reason).startswith("update_user: 400")
    assert town.accounts == []


def test_a_user_who_is_gone_from_whop_with_the_account_is_done_with(town: Town) -> None:
    town.buried()
    town.simulator.set_readings(Readings(profile_of_stranger="not_found"))
    town.clean("delete-account")

    assert (town.clean("delete-account").cleaned_at, town.record.reason) == (NOW, None)
    assert town.told.failures == []


def test_nor_is_a_clean_up_that_was_interrupted_after_it_had_deleted_the_account(town: Town) -> None:
    town.buried(retry_at=NOW + 60)
    town.simulator.set_readings(Readings(profile_of_stranger="not_found"))
    with pytest.raises(OutcomeUnknown):
        town.clean("delete-account")

    assert town.clean("delete-account", now=NOW + 60).reason is None
    assert town.told.failures == []


@pytest.mark.parametrize(
    "fault",
    [Fault("accounts.delete", "drop_after"), Fault("accounts.delete", "crash_after"), None],
    ids=["answer lost", "crash", "unsettled"],
)
def test_a_wrong_company_shows_also_when_the_clean_up_is_interrupted_after_the_deletion(
    town: Town, fault: Fault | None
) -> None:
    town.buried(retry_at=None if fault else NOW + 60)
    town.whop.company_id = "biz_Typo"
    if fault:
        town.simulator.add_fault(fault)
    with contextlib.suppress(OutcomeUnknown, WhopUnavailable):
        town.clean("delete-account")

    assert "update_user: 404" in str(town.clean("delete-account", now=NOW + 60).reason)
    assert town.accounts == []


@pytest.mark.parametrize("policy", ["keep-account", "delete-account"])
def test_a_wrong_company_does_not_pass_for_a_clean_up_however_often(town: Town, policy: DeletePolicy) -> None:
    buried = town.buried()
    town.whop.company_id = "biz_Typo"
    for _ in range(2):
        assert "update_user: 404" in str(town.clean(policy).reason)
    assert {metric for _, metric in town.told.failures} == {"CleanUpRefused"}

    town.whop.company_id = COMPANY
    assert town.clean(policy).reason is None
    assert town.names == {buried.whop_user_id: NEUTRAL_NAME}


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("accounts.list", "status", status=429), WhopRateLimited),
        (Fault("users.update", "status", status=401), WhopUnauthorized),
        (Fault("users.update", "status", status=503, count=2), WhopUnavailable),
        (Fault("accounts.delete", "status", status=401), WhopUnauthorized),
        (Fault("accounts.delete", "drop_before", count=2), WhopUnavailable),
    ],
    ids=lambda value: getattr(value, "operation", None),
)
def test_what_may_pass_is_tried_again_and_then_done(town: Town, fault: Fault, error: type[WhopError]) -> None:
    town.buried()
    town.simulator.add_fault(fault)
    with pytest.raises(error):
        town.clean("delete-account")
    assert town.record.cleaned_at is None

    town.clock.advance(60)  # more than a 429 tells to wait
    after = town.clean("delete-account")
    assert town.accounts == []
    assert after.cleaned_at == NOW


def test_while_a_create_may_still_land_it_is_done_and_stays_open(town: Town) -> None:
    town.buried(linked=False, retry_at=NOW + 60)
    with pytest.raises(OutcomeUnknown) as unsettled:
        town.clean("delete-account")
    assert unsettled.value.retry_after == 60

    town.account(ANN)
    after = town.clean("delete-account", now=NOW + 60)
    assert town.accounts == []
    assert (after.cleaned_at, after.retry_at) == (NOW + 60, None)


def test_a_tombstone_that_somebody_else_wrote_meanwhile_is_not_marked_as_done(town: Town) -> None:
    buried = town.buried()
    theirs = town.users.put(ANN, buried, expected=buried)
    clean_up = CleanUp(town.users, town.whop, town.told, "keep-account", clock=Clock(NOW))
    with pytest.raises(StaleRecord):
        clean_up.clean(ANN, buried, deadline=Deadline(5))

    assert town.record == theirs
