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


class World:
    """A directory, a Whop, and a user who was linked and is deleted."""

    def __init__(self) -> None:
        self.users = MemoryUserRepository()
        self.simulator = Simulator(clock=lambda: NOW)
        self.simulator.add_company(COMPANY)
        self.simulator.add_key("key", company_id=COMPANY)
        self.telemetry = RecordingTelemetry()
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
            telemetry=self.telemetry,
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
        clean_up = CleanUp(self.users, self.whop, self.telemetry, policy, clock=Clock(now))
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
def world() -> World:
    return World()


def test_the_name_is_overwritten_and_the_tombstone_says_when(world: World) -> None:
    buried = world.buried()

    after = world.clean()

    assert world.names == {buried.whop_user_id: NEUTRAL_NAME}
    assert after == dataclasses.replace(buried, cleaned_at=NOW, version=after.version)
    assert world.users.holder(str(buried.whop_user_id)) is not None
    assert world.accounts == [buried.whop_account_id]
    assert world.telemetry.events == [("user cleaned up", {})]


def test_only_the_policy_deletes_the_account(world: World) -> None:
    world.buried()
    world.clean("delete-account")

    assert world.accounts == []
    assert (world.record.cleaned_at, world.record.reason) == (NOW, None)


def test_unrecorded_accounts_are_found_in_every_generation(world: World) -> None:
    world.buried(linked=False, generation=3)
    owners = [world.account(ANN, generation, f"{generation}@home.test")[1] for generation in (1, 3)]
    world.clean()
    assert world.names == dict.fromkeys(owners, NEUTRAL_NAME)

    world.clean("delete-account")
    assert world.accounts == []


def test_another_users_account_and_name_are_left_alone(world: World) -> None:
    world.buried()
    account_id, user_id = world.account(BEN, email="ben@home.test")
    world.whop.set_profile(user_id, name="Ben", deadline=Deadline(5))
    world.clean("delete-account")

    assert world.accounts == [account_id]
    assert world.names[user_id] == "Ben"


def test_a_whop_user_of_somebody_else_keeps_their_name(world: World) -> None:
    buried = world.buried()
    world.users.reservations[str(buried.whop_user_id)] = (POOL, BEN.sub)
    world.clean()

    assert world.names == {buried.whop_user_id: "Ann"}


def test_one_of_several_that_is_somebody_else_s_by_now_does_not_keep_the_others_from_losing_theirs(
    world: World,
) -> None:
    world.buried(linked=False, generation=3)
    first, *others = sorted(world.account(ANN, generation, f"{generation}@home.test")[1] for generation in (1, 2, 3))
    world.users.reservations[first] = (POOL, BEN.sub)
    world.clean()

    assert world.names == dict.fromkeys(others, NEUTRAL_NAME)


@pytest.mark.parametrize("policy", ["keep-account", "delete-account"])
def test_it_can_be_done_twice(world: World, policy: DeletePolicy) -> None:
    world.buried()
    world.clean(policy)
    world.clean(policy, now=NOW + 9)

    assert (world.record.cleaned_at, world.record.reason) == (NOW + 9, None)


def test_a_tombstone_is_not_done_while_it_is_done_again(world: World) -> None:
    world.buried()
    world.clean()
    world.simulator.add_fault(Fault("users.update", "status", status=500, count=2))
    with pytest.raises(WhopUnavailable):
        world.clean()

    assert world.record.cleaned_at is None


def test_a_refusal_is_recorded_and_not_tried_again(world: World) -> None:
    buried = world.buried()
    world.simulator.block_deletion(str(buried.whop_account_id), "This account has a balance.")
    after = world.clean("delete-account")

    assert after.cleaned_at == NOW
    assert after.reason is not None
    assert after.reason.startswith("delete_account: 400")
    assert [message for _, message in world.telemetry.failures] == ["clean-up refused"]
    assert world.names == {buried.whop_user_id: NEUTRAL_NAME}


def test_each_of_two_refusals_is_recorded(world: World) -> None:
    world.buried()
    world.simulator.add_fault(Fault("users.update", "status", status=400))
    world.simulator.add_fault(Fault("accounts.delete", "status", status=403))
    renamed, deleted = str(world.clean("delete-account").reason).split("; ")

    assert renamed.startswith("update_user: 400")
    assert deleted.startswith("delete_account: 403")


def test_a_key_without_the_permission_is_a_refusal_too(world: World) -> None:
    world.buried()
    world.simulator.add_fault(Fault("accounts.delete", "status", status=403))

    assert str(world.clean("delete-account").reason).startswith("delete_account: 403")


def test_a_key_that_may_not_set_names_does_not_keep_the_account(world: World) -> None:
    world.buried()
    world.simulator.add_fault(Fault("users.update", "status", status=403))
    with pytest.raises(WhopForbidden):
        world.clean("delete-account")

    assert (world.accounts, world.record.cleaned_at) == ([], None)


def test_a_name_that_whop_refuses_does_not_keep_the_account(world: World) -> None:
    world.buried()
    world.simulator.add_fault(Fault("users.update", "status", status=400))

    assert str(world.clean("delete-account").reason).startswith("update_user: 400")
    assert world.accounts == []


def test_a_user_who_is_gone_with_the_account_is_done(world: World) -> None:
    world.buried()
    world.simulator.set_readings(Readings(profile_of_stranger="not_found"))
    world.clean("delete-account")

    assert (world.clean("delete-account").cleaned_at, world.record.reason) == (NOW, None)
    assert world.telemetry.failures == []


def test_nor_is_one_that_was_interrupted_after_the_deletion(world: World) -> None:
    world.buried(retry_at=NOW + 60)
    world.simulator.set_readings(Readings(profile_of_stranger="not_found"))
    with pytest.raises(OutcomeUnknown):
        world.clean("delete-account")

    assert world.clean("delete-account", now=NOW + 60).reason is None
    assert world.telemetry.failures == []


@pytest.mark.parametrize(
    "fault",
    [Fault("accounts.delete", "drop_after"), Fault("accounts.delete", "crash_after"), None],
    ids=["answer lost", "crash", "unsettled"],
)
def test_a_wrong_company_shows_after_an_interruption_too(world: World, fault: Fault | None) -> None:
    world.buried(retry_at=None if fault else NOW + 60)
    world.whop.company_id = "biz_Typo"
    if fault:
        world.simulator.add_fault(fault)
    with contextlib.suppress(OutcomeUnknown, WhopUnavailable):
        world.clean("delete-account")

    assert "update_user: 404" in str(world.clean("delete-account", now=NOW + 60).reason)
    assert world.accounts == []


@pytest.mark.parametrize("policy", ["keep-account", "delete-account"])
def test_a_wrong_company_never_passes_for_a_clean_up(world: World, policy: DeletePolicy) -> None:
    buried = world.buried()
    world.whop.company_id = "biz_Typo"
    for _ in range(2):
        assert "update_user: 404" in str(world.clean(policy).reason)
    assert {message for _, message in world.telemetry.failures} == {"clean-up refused"}

    world.whop.company_id = COMPANY
    assert world.clean(policy).reason is None
    assert world.names == {buried.whop_user_id: NEUTRAL_NAME}


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
def test_what_may_pass_is_tried_again_and_then_done(world: World, fault: Fault, error: type[WhopError]) -> None:
    world.buried()
    world.simulator.add_fault(fault)
    with pytest.raises(error):
        world.clean("delete-account")
    assert world.record.cleaned_at is None

    world.clock.advance(60)  # more than a 429 tells to wait
    after = world.clean("delete-account")
    assert world.accounts == []
    assert after.cleaned_at == NOW


def test_while_a_create_may_still_land_it_is_done_and_stays_open(world: World) -> None:
    world.buried(linked=False, retry_at=NOW + 60)
    with pytest.raises(OutcomeUnknown, match="for 60 s") as unsettled:
        world.clean("delete-account")
    assert unsettled.value.retry_after == 60

    world.account(ANN)
    after = world.clean("delete-account", now=NOW + 60)
    assert world.accounts == []
    assert (after.cleaned_at, after.retry_at) == (NOW + 60, None)


def test_a_tombstone_written_meanwhile_is_not_marked_as_done(world: World) -> None:
    buried = world.buried()
    theirs = world.users.put(ANN, buried, expected=buried)
    clean_up = CleanUp(world.users, world.whop, world.telemetry, "keep-account", clock=Clock(NOW))
    with pytest.raises(StaleRecord):
        clean_up.clean(ANN, buried, deadline=Deadline(5))

    assert world.record == theirs
