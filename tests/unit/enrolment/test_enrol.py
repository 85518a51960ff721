"""One enrolment at a time, on the simulator; what several do to each other is in tests/protocol."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from local.whop_simulator import Fault, Readings, Simulator
from local.whop_simulator.httpx_transport import as_httpx_transport
from tests.fakes.memory_users import MemoryUserRepository
from tests.fakes.whop import circuit, rate_limiter
from whop_chat.cognito.pool import PoolUser, UserDisabled, UserGone
from whop_chat.cognito.user import UserRef
from whop_chat.enrolment.email_policy import AliasEmail, EmailPolicy, VerifiedEmail
from whop_chat.enrolment.enrol import EmailReuse, Enrolment
from whop_chat.enrolment.errors import Blocked, DeletedMeanwhile, Denied, EnrolmentInProgress, Link
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.runtime.http import HttpClient
from whop_chat.users.lease import LEASE_SECONDS
from whop_chat.users.lifecycle import SETTLING_SECONDS, reinstate, suspend, tombstone
from whop_chat.users.record import Record, Status
from whop_chat.whop.api_key import NotConfigured
from whop_chat.whop.client import Account, Whop
from whop_chat.whop.errors import WhopForbidden, WhopInvalidResponse, WhopRateLimited, WhopRefused, WhopUnavailable

COMPANY = "biz_Company"
POOL = "eu-west-1_Pool"
ANN = UserRef(pool_id=POOL, sub="sub-ann", username="ann")
BEN = UserRef(pool_id=POOL, sub="sub-ben", username="ben")
HOUR = 3600
DAY = 24 * HOUR


class Town:
    """A pool, a directory and a Whop, and the enrolment between them."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.users = MemoryUserRepository()
        self.people = {user.sub: person(user.sub) for user in (ANN, BEN)}
        self.simulator = Simulator(clock=lambda: self.now)
        self.simulator.add_company(COMPANY)
        self.simulator.add_key("key", company_id=COMPANY)
        self.addresses: EmailPolicy = VerifiedEmail(frozenset())
        self.reuse: EmailReuse = "refuse"
        self.old_answers: list[httpx.Response] = []
        self.keyless: Exception | None = None

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if self.old_answers and request.method == "POST":
            return self.old_answers.pop()
        return as_httpx_transport(self.simulator).handle_request(request)

    def admin_get(self, user: UserRef, *, deadline: Deadline | None = None) -> PoolUser:
        if user.sub not in self.people:
            raise UserGone
        return self.people[user.sub]

    lookup = admin_get

    def current(self, *, deadline: Deadline) -> str:
        if self.keyless is not None:
            raise self.keyless
        return "key"

    def after_refusal(self, refused: str, *, deadline: Deadline) -> str | None:
        return None

    @property
    def enrolment(self) -> Enrolment:
        """A new worker: nothing is remembered from the last one but what the directory and Whop hold."""
        whop = Whop(
            HttpClient(httpx.MockTransport(self._answer)),
            self,
            base_url="http://127.0.0.1",
            company_id=COMPANY,
            api_version="2026-10-15-1",
            company_field="account_id",
            circuit=circuit(),
            rate_limiter=rate_limiter(),
            sleep=lambda _seconds: None,
        )
        return Enrolment(self.users, self, whop, self.addresses, reuse=self.reuse, clock=lambda: self.now)

    def enrol(self, user: UserRef = ANN) -> Link:
        return self.enrolment.enrol(user, self.users.get(user), deadline=Deadline(3))

    def record(self, user: UserRef = ANN) -> Record:
        record = self.users.get(user)
        assert record is not None
        return record

    def write(self, record: Record, user: UserRef = ANN) -> Record:
        return self.users.put(user, record, expected=self.users.get(user))

    def accounts(self) -> list[dict[str, Any]]:
        accounts: Any = self.simulator.dump()["accounts"]
        return [account for account in accounts if account["parent_id"] == COMPANY]

    def creates(self) -> list[str | None]:
        """The Idempotency-Keys of the creates so far, hashed."""
        return [call.idempotency_key_hash for call in self.simulator.calls("accounts.create")]


def person(sub: str, **changes: Any) -> PoolUser:
    return dataclasses.replace(
        PoolUser(sub=sub, email=f"{sub}@home.test", email_verified=True, name=None, providers=()), **changes
    )


@pytest.fixture
def town() -> Town:
    return Town()


def test_a_new_user_gets_an_account_and_is_linked_to_its_owner(town: Town) -> None:
    link = town.enrol()
    [account] = town.accounts()
    assert link == Link(account["owner_id"], created=True)
    assert account["email"] == "sub-ann@home.test"
    assert account["external_id"] == account["metadata"]["external_id"] == "cognito:eu-west-1_Pool:sub-ann:1"
    record = town.record()
    assert (record.status, record.whop_user_id, record.whop_account_id) == (
        Status.LINKED,
        account["owner_id"],
        account["id"],
    )
    assert record.idempotency_key is None
    assert record.email_digest is None


def test_a_linked_user_costs_no_call(town: Town) -> None:
    first = town.enrol()
    before = len(town.simulator.calls())
    town.people.clear()
    assert town.enrol() == Link(first.whop_user_id)
    assert len(town.simulator.calls()) == before


def test_the_account_is_titled_by_nothing_personal(town: Town) -> None:
    town.people[ANN.sub] = person(ANN.sub, name="Ann Smith")
    town.enrol()
    assert town.accounts()[0]["title"] == "cognito:eu-west-1_Pool:sub-ann:1"


def test_a_user_whose_name_is_another_persons_now_leaves_nothing_behind(town: Town) -> None:
    del town.people[ANN.sub]
    with pytest.raises(UserGone):
        town.enrol()
    assert town.users.get(ANN) is None
    assert town.accounts() == []


def test_a_record_without_the_address_keeps_no_address(town: Town) -> None:
    town.simulator.add_fault(Fault("accounts.create", "drop_after", count=2))
    with pytest.raises(WhopUnavailable):
        town.enrol()
    assert "home.test" not in repr(town.record())


# Which address


def test_an_unverified_address_blocks_and_is_looked_at_again_after_a_minute(town: Town) -> None:
    town.people[ANN.sub] = person(ANN.sub, email_verified=False)
    with pytest.raises(Blocked, match="no_verified_email"):
        town.enrol()
    town.people[ANN.sub] = person(ANN.sub)
    town.now += 59
    with pytest.raises(Blocked, match="no_verified_email"):
        town.enrol()
    town.now += 1
    assert town.enrol().created
    assert town.record().reason is None


def test_a_block_ends_when_the_team_switches_to_aliases(town: Town) -> None:
    town.people[ANN.sub] = person(ANN.sub, email=None, email_verified=False)
    with pytest.raises(Blocked):
        town.enrol()
    town.addresses = AliasEmail("chat+{sub}@team.test")
    assert town.enrol().created
    assert town.accounts()[0]["email"] == "chat+sub-ann@team.test"


def test_an_address_that_changed_while_an_outcome_is_unknown_starts_a_new_generation(town: Town) -> None:
    town.simulator.add_fault(Fault("accounts.create", "drop_after"))
    town.simulator.add_fault(Fault("accounts.create", "status", status=503))
    with pytest.raises(WhopUnavailable):
        town.enrol()
    town.people[ANN.sub] = person(ANN.sub, email="new@home.test")
    link = town.enrol()
    assert town.record().generation == 2
    [account] = [a for a in town.accounts() if a["owner_id"] == link.whop_user_id]
    assert (account["email"], account["external_id"]) == ("new@home.test", "cognito:eu-west-1_Pool:sub-ann:2")


# The claim and its key


def test_a_claim_that_is_held_is_not_entered(town: Town) -> None:
    town.write(Record(status=Status.PENDING, lease_until=int(town.now) + 1))
    with pytest.raises(EnrolmentInProgress):
        town.enrol()
    assert town.creates() == []


def test_a_claim_whose_lease_ran_out_is_taken_over(town: Town) -> None:
    town.write(Record(status=Status.PENDING, lease_until=int(town.now)))
    assert town.enrol().created


def test_a_claim_lasts_at_most_ten_seconds(town: Town) -> None:
    leases: list[int] = []
    put = town.users.put

    def watched(user: UserRef, record: Record, *, expected: Record | None, deadline: Deadline | None = None) -> Record:
        leases.append(record.lease_until - int(town.now))
        return put(user, record, expected=expected)

    town.users.put = watched  # type: ignore[method-assign]
    town.enrol()
    assert leases == [LEASE_SECONDS]
    assert LEASE_SECONDS <= 10


@pytest.mark.parametrize(("kind", "count"), [("drop_before", 2), ("drop_after", 2), ("truncated", 2), ("malformed", 1)])
def test_while_the_outcome_is_unknown_the_same_key_is_sent_again(town: Town, kind: Any, count: int) -> None:
    town.simulator.add_fault(Fault("accounts.create", kind, count=count))
    with pytest.raises(Exception, match="create_account"):
        town.enrol()
    assert town.record().lease_until == 0
    town.enrol()
    assert len(set(town.creates())) == 1
    assert len(town.accounts()) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_definitive_refusal_retires_the_key_and_leaves_the_claim_open(town: Town, status: int) -> None:
    town.simulator.add_fault(Fault("accounts.create", "status", status=status))
    with pytest.raises(Exception, match=f"create_account: {status}"):
        town.enrol()
    assert town.record().lease_until == 0
    assert town.record().idempotency_key is None
    town.enrol()
    assert len(set(town.creates())) == 2


@pytest.mark.parametrize(("status", "error"), [(422, Blocked), (403, WhopForbidden)])
def test_a_refusal_of_a_request_sent_twice_keeps_the_key_because_the_first_may_still_run(
    town: Town, status: int, error: type[Exception]
) -> None:
    town.simulator.add_fault(Fault("accounts.create", "delay", seconds=60))
    town.simulator.add_fault(Fault("accounts.create", "status", status=status))

    with pytest.raises(error):
        town.enrol()

    assert town.record().idempotency_key is not None
    assert tombstone(town.record(), int(town.now)).retry_at is not None


@pytest.mark.parametrize("status", [400, 403, 409, 422, 500])
def test_an_old_answer_repeated_for_the_key_gets_a_new_key_at_once(town: Town, status: int) -> None:
    town.old_answers = [httpx.Response(status, headers={"Idempotent-Replayed": "true"}, json={"error": {}})]
    assert town.enrol().created
    assert town.record().generation == 1


def test_a_key_that_went_with_another_request_gets_a_new_one_at_once(town: Town) -> None:
    """As after a deployment with another API version: the version is part of what a key stands for."""
    error = {"error": {"type": "invalid_request_error", "code": "idempotency_key_mismatch"}}
    town.old_answers = [httpx.Response(400, json=error)]
    assert town.enrol().created


def test_answers_that_are_always_old_end_the_attempt(town: Town) -> None:
    town.old_answers = [httpx.Response(403, headers={"Idempotent-Replayed": "true"}, json={"error": {}})] * 9
    with pytest.raises(WhopForbidden):
        town.enrol()
    assert len(town.old_answers) == 6
    town.old_answers = []
    assert town.enrol().created


def test_a_server_error_that_whop_keeps_repeating_gets_a_new_key(town: Town) -> None:
    town.simulator.set_readings(Readings(server_error="replayed"))
    town.simulator.add_fault(Fault("accounts.create", "status_after", status=500))
    town.simulator.add_fault(Fault("accounts.create", "unreachable"))
    with pytest.raises(WhopUnavailable):
        town.enrol()
    assert town.enrol().created
    assert len(town.accounts()) == 1


def test_a_rate_limit_keeps_the_claim_open_and_is_told(town: Town) -> None:
    town.simulator.add_fault(Fault("accounts.create", "status", status=429, wait=12))
    with pytest.raises(WhopRateLimited) as refusal:
        town.enrol()
    assert refusal.value.retry_after == 12
    assert town.record().lease_until == 0
    assert town.enrol().created


def test_no_time_left_leaves_the_claim_open(town: Town) -> None:
    with pytest.raises(DeadlineExceeded):
        town.enrolment.enrol(ANN, None, deadline=Deadline(0))
    assert town.record().lease_until == 0
    assert town.enrol().created


# 409


def test_a_conflict_with_ones_own_account_finds_it(town: Town) -> None:
    town.simulator.add_fault(Fault("accounts.create", "crash_after"))
    link = town.enrol()
    assert [account["owner_id"] for account in town.accounts()] == [link.whop_user_id]


def test_a_request_that_is_still_running_is_given_the_time_of_a_lease(town: Town) -> None:
    town.simulator.add_fault(Fault("accounts.create", "crash_before"))
    with pytest.raises(EnrolmentInProgress):
        town.enrol()
    town.now += LEASE_SECONDS - 1
    with pytest.raises(EnrolmentInProgress):
        town.enrol()
    town.now += 1
    assert town.enrol().created
    assert len(town.accounts()) == 1
    assert len(set(town.creates())) == 2


def test_an_external_id_bound_to_another_address_starts_a_new_generation(town: Town) -> None:
    first = town.enrol()
    town.write(Record(status=Status.PENDING))
    town.people[ANN.sub] = person(ANN.sub, email="new@home.test")
    second = town.enrol()
    assert second.whop_user_id != first.whop_user_id
    assert town.record().generation == 2
    old, new = sorted(town.accounts(), key=lambda account: account["created_at"])
    assert (old["external_id"], new["external_id"]) == (
        "cognito:eu-west-1_Pool:sub-ann:1",
        "cognito:eu-west-1_Pool:sub-ann:2",
    )


def test_a_conflict_nobody_can_explain_starts_a_new_generation(town: Town) -> None:
    town.simulator.add_fault(Fault("accounts.create", "status", status=409))
    assert town.enrol().created
    assert town.record().generation == 2


# Whose account is it


def forged(**changes: Any) -> Callable[[Town], str]:
    def body(_town: Town) -> str:
        account = {
            "id": "biz_Other",
            "email": "sub-ann@home.test",
            "external_id": "cognito:eu-west-1_Pool:sub-ann:1",
            "owner": {"id": "user_Other"},
            "parent_account": {"id": COMPANY},
            **changes,
        }
        return json.dumps(account)

    return body


def test_the_forged_answer_is_taken_when_nothing_is_wrong_with_it(town: Town) -> None:
    """So that the refusals below are for the one thing that each of them changes."""
    town.simulator.add_fault(Fault("accounts.create", "malformed", body=forged()(town)))
    assert town.enrol().whop_user_id == "user_Other"


@pytest.mark.parametrize(
    "changes",
    [
        {"external_id": "cognito:eu-west-1_Pool:sub-ben:1"},
        {"external_id": "cognito:eu-west-1_Pool:sub-ann:2"},
        {"external_id": None, "metadata": None},
        {"external_id": "COGNITO:eu-west-1_Pool:sub-ann:1"},
        {"email": "stranger@home.test"},
        {"email": None},
    ],
)
def test_an_account_that_is_not_exactly_the_one_asked_for_is_a_mismatch(town: Town, changes: dict[str, Any]) -> None:
    town.simulator.add_fault(Fault("accounts.create", "malformed", body=forged(**changes)(town)))
    with pytest.raises(Blocked, match="identity_mismatch"):
        town.enrol()
    assert town.record().status is Status.BLOCKED
    town.now += DAY
    with pytest.raises(Blocked, match="identity_mismatch"):
        town.enrol()
    assert len(town.creates()) == 1


@pytest.mark.parametrize("parent", [{"id": "biz_Stranger"}, None])
def test_an_account_of_another_company_is_nobodys_fault_but_the_keys(town: Town, parent: Any) -> None:
    """With a wrong key every user would get one; a block would outlast the mistake."""
    town.simulator.add_fault(Fault("accounts.create", "malformed", body=forged(parent_account=parent)(town)))
    with pytest.raises(WhopInvalidResponse, match="parent_account"):
        town.enrol()
    assert (town.record().status, town.record().lease_until) == (Status.PENDING, 0)
    assert town.enrol().created
    assert len(town.accounts()) == 1


def test_one_address_for_two_users_is_a_conflict_and_never_a_shared_identity(town: Town) -> None:
    town.people[BEN.sub] = person(BEN.sub, email="SUB-ANN@home.test")
    first = town.enrol(ANN)
    with pytest.raises(Blocked, match="identity_conflict"):
        town.enrol(BEN)
    assert town.record(ANN).whop_user_id == first.whop_user_id
    ben = town.record(BEN)
    assert (ben.status, ben.generation, ben.whop_user_id) == (Status.BLOCKED, 2, None)
    [given_up] = [a for a in town.accounts() if a["metadata"]["external_id"].endswith("sub-ben:1")]
    assert given_up["external_id"], "the clean-up after Ben has to find it"


def test_an_account_given_up_is_the_one_that_an_earlier_create_finds_when_it_lands(town: Town) -> None:
    town.people[BEN.sub] = person(BEN.sub, email="sub-ann@home.test")
    town.enrol(ANN)
    for _ in range(2):
        town.simulator.add_fault(Fault("accounts.create", "delay", seconds=60))
    with pytest.raises(WhopUnavailable):
        town.enrol(BEN)
    town.now += LEASE_SECONDS + 1

    with pytest.raises(Blocked, match="identity_conflict"):
        town.enrol(BEN)
    town.now += 60
    town.simulator.advance(0)

    assert len([a for a in town.accounts() if a["metadata"]["external_id"].endswith("sub-ben:1")]) == 1


def test_a_conflict_stays_until_somebody_acts(town: Town) -> None:
    town.people[BEN.sub] = person(BEN.sub, email="sub-ann@home.test")
    town.enrol(ANN)
    with pytest.raises(Blocked):
        town.enrol(BEN)
    creates = len(town.creates())
    town.now += 365 * DAY
    with pytest.raises(Blocked, match="identity_conflict"):
        town.enrol(BEN)
    assert len(town.creates()) == creates
    town.addresses = AliasEmail("chat+{sub}@team.test")
    assert town.enrol(BEN).created


# The address of one who is deleted


def deleted(town: Town, *, cleaned: bool = True) -> Link:
    """The link that Ann had before she was deleted; Ben has her address."""
    link = town.enrol(ANN)
    buried = tombstone(town.record(ANN), int(town.now))
    town.write(dataclasses.replace(buried, cleaned_at=int(town.now) if cleaned else None), ANN)
    town.people[BEN.sub] = person(BEN.sub, email="sub-ann@home.test")
    return link


def test_the_identity_of_a_deleted_user_goes_to_nobody_by_itself(town: Town) -> None:
    link = deleted(town)
    with pytest.raises(Blocked, match="identity_conflict"):
        town.enrol(BEN)
    assert town.users.reservations == {link.whop_user_id: (POOL, ANN.sub)}


def test_where_the_team_says_so_it_is_inherited(town: Town) -> None:
    town.reuse = "inherit"
    link = deleted(town)
    assert town.enrol(BEN) == Link(link.whop_user_id, created=True)
    assert town.users.reservations == {link.whop_user_id: (POOL, BEN.sub)}
    left = town.record(ANN)
    assert (left.status, left.whop_user_id, left.whop_account_id) == (Status.DELETED, None, None)
    assert left.cleaned_at is not None
    assert town.enrol(BEN) == Link(link.whop_user_id)


def test_it_is_not_inherited_before_the_clean_up_is_done(town: Town) -> None:
    town.reuse = "inherit"
    link = deleted(town, cleaned=False)
    with pytest.raises(Blocked, match="identity_conflict"):
        town.enrol(BEN)
    assert town.users.reservations == {link.whop_user_id: (POOL, ANN.sub)}

    town.write(dataclasses.replace(town.record(ANN), cleaned_at=int(town.now)), ANN)
    town.now += 60
    assert town.enrol(BEN).whop_user_id == link.whop_user_id
    assert len([account for account in town.accounts() if account["external_id"].endswith(":sub-ben:1")]) == 1


@pytest.mark.parametrize("status", [Status.LINKED, Status.DENIED, Status.DISABLED])
def test_nobody_inherits_from_one_who_is_not_deleted(town: Town, status: Status) -> None:
    town.reuse = "inherit"
    link = town.enrol(ANN)
    town.write(dataclasses.replace(town.record(ANN), status=status), ANN)
    town.people[BEN.sub] = person(BEN.sub, email="sub-ann@home.test")
    with pytest.raises(Blocked, match="identity_conflict"):
        town.enrol(BEN)
    assert town.users.reservations == {link.whop_user_id: (POOL, ANN.sub)}


def test_a_clean_up_that_begins_again_while_the_identity_is_inherited_comes_first(town: Town) -> None:
    town.reuse = "inherit"
    link = deleted(town)
    take = town.users.transfer

    def reopened_meanwhile(*args: Any, **options: Any) -> Record:
        town.write(dataclasses.replace(town.record(ANN), cleaned_at=None), ANN)
        return take(*args, **options)

    town.users.transfer = reopened_meanwhile  # type: ignore[method-assign]
    with pytest.raises(Blocked, match="identity_conflict"):
        town.enrol(BEN)
    assert town.record(BEN).retry_at == town.now + 60
    assert town.users.reservations == {link.whop_user_id: (POOL, ANN.sub)}


# By an operator's order


def relink(town: Town, user: UserRef = BEN) -> Link:
    return town.enrolment.relink(user, town.people[user.sub], deadline=Deadline(3))


def test_an_operator_can_give_a_whop_user_to_whoever_has_the_address_now(town: Town) -> None:
    town.people[BEN.sub] = person(BEN.sub, email="sub-ann@home.test")
    link = town.enrol(ANN)
    with pytest.raises(Blocked):
        town.enrol(BEN)

    assert relink(town) == Link(link.whop_user_id, created=True)
    assert town.users.reservations == {link.whop_user_id: (POOL, BEN.sub)}
    assert town.enrol(BEN) == Link(link.whop_user_id)
    with pytest.raises(Blocked, match="identity_conflict"):
        town.enrol(ANN)


def test_what_was_said_of_who_had_it_stands(town: Town) -> None:
    town.people[BEN.sub] = person(BEN.sub, email="sub-ann@home.test")
    town.enrol(ANN)
    town.write(dataclasses.replace(town.record(ANN), status=Status.DENIED), ANN)
    relink(town)
    left = town.record(ANN)
    assert (left.status, left.whop_user_id, left.profile_digest) == (Status.DENIED, None, None)


def test_who_had_it_may_have_been_in_another_pool_or_have_no_record(town: Town) -> None:
    link = town.enrol(ANN)
    town.users.records[("eu-west-1_Old", "sub-old")] = town.users.records.pop((POOL, ANN.sub))
    town.people[BEN.sub] = person(BEN.sub, email="sub-ann@home.test")
    town.users.reservations[link.whop_user_id] = ("eu-west-1_Old", "sub-old")
    assert relink(town).whop_user_id == link.whop_user_id
    assert town.users.records[("eu-west-1_Old", "sub-old")].status is Status.BLOCKED

    town.users.reservations[link.whop_user_id] = (POOL, "sub-nobody")
    del town.users.records[(POOL, BEN.sub)]
    assert relink(town).whop_user_id == link.whop_user_id


def test_an_order_waits_for_a_clean_up_as_well(town: Town) -> None:
    deleted(town, cleaned=False)
    with pytest.raises(Blocked, match="identity_conflict"):
        relink(town)


def test_an_order_for_one_who_is_linked_changes_nothing(town: Town) -> None:
    link = town.enrol(ANN)
    assert relink(town, ANN) == Link(link.whop_user_id)


@pytest.mark.parametrize(("status", "error"), [(Status.DENIED, Denied), (Status.DELETED, UserGone)])
def test_an_order_lets_nobody_in_who_is_shut_out(town: Town, status: Status, error: type[Exception]) -> None:
    town.write(Record(status=status), BEN)
    with pytest.raises(error):
        relink(town)


def test_an_existing_person_at_whop_keeps_their_user(town: Town) -> None:
    """Whoever proves the address to Cognito is its owner, at Whop as well."""
    user_id = town.simulator.add_person("sub-ann@home.test")
    assert town.enrol().whop_user_id == user_id


def test_an_address_that_whop_refuses_blocks_for_an_hour(town: Town) -> None:
    town.simulator.add_fault(Fault("accounts.create", "status", status=422))
    with pytest.raises(Blocked, match="enrolment_rejected"):
        town.enrol()
    town.now += HOUR - 1
    with pytest.raises(Blocked, match="enrolment_rejected"):
        town.enrol()
    town.now += 1
    assert town.enrol().created


def test_a_missing_permission_is_nobodys_fault_but_the_keys(town: Town) -> None:
    town.simulator.add_fault(Fault("accounts.create", "status", status=403))
    with pytest.raises(WhopForbidden):
        town.enrol()
    assert town.record().status is Status.PENDING


def test_who_has_looked_at_the_pool_already_can_say_what_they_saw(town: Town) -> None:
    del town.people[ANN.sub]
    town.enrolment.enrol(ANN, None, person("sub-ann", email="seen@home.test"), deadline=Deadline(3))
    assert [account["email"] for account in town.accounts()] == ["seen@home.test"]


# What an operator said


def test_a_denied_user_is_not_enrolled(town: Town) -> None:
    town.write(Record(status=Status.DENIED))
    with pytest.raises(Denied):
        town.enrol()


def test_a_disabled_user_is_not_enrolled(town: Town) -> None:
    town.write(Record(status=Status.DISABLED, whop_user_id="user_Ann"))
    with pytest.raises(UserDisabled):
        town.enrol()


def test_a_deleted_user_is_not_enrolled(town: Town) -> None:
    town.write(Record(status=Status.DELETED))
    with pytest.raises(UserGone) as gone:
        town.enrol()
    assert not isinstance(gone.value, DeletedMeanwhile)


@pytest.mark.parametrize(
    ("status", "error"),
    [(Status.DENIED, Denied), (Status.DISABLED, UserDisabled), (Status.DELETED, DeletedMeanwhile)],
)
def test_a_decision_that_falls_during_an_enrolment_stands(town: Town, status: Status, error: type[Exception]) -> None:
    link = town.users.link

    def decided_meanwhile(
        user: UserRef, record: Record, *, expected: Record, deadline: Deadline | None = None
    ) -> Record:
        town.write(Record(status=status))
        return link(user, record, expected=expected)

    town.users.link = decided_meanwhile  # type: ignore[method-assign]
    with pytest.raises(error):
        town.enrol()
    assert town.record().status is status
    assert town.users.reservations == {}


# Repair


def repair(town: Town, unknown: str) -> Link | None:
    return town.enrolment.repair(ANN, unknown, deadline=Deadline(3))


def test_a_user_whom_whop_does_not_know_is_resolved_to_the_same_account_first(town: Town) -> None:
    link = town.enrol()
    assert repair(town, link.whop_user_id) == Link(link.whop_user_id)
    assert town.record().generation == 1
    assert len(town.creates()) == 1


def test_a_link_follows_the_account_to_its_new_owner(town: Town) -> None:
    link = town.enrol()
    town.users.link(ANN, dataclasses.replace(town.record(), whop_user_id="user_Before"), expected=town.record())
    assert repair(town, "user_Before") == Link(link.whop_user_id)
    assert town.users.reservations == {link.whop_user_id: (POOL, ANN.sub)}
    assert len(town.creates()) == 1


def test_the_second_repair_makes_a_new_account(town: Town) -> None:
    link = town.enrol()
    repair(town, link.whop_user_id)
    repair(town, link.whop_user_id)
    assert town.record().generation == 2
    assert len(town.accounts()) == 2


def test_a_third_repair_has_to_wait_a_day(town: Town) -> None:
    link = town.enrol()
    repair(town, link.whop_user_id)
    repair(town, link.whop_user_id)
    town.now += DAY - 1
    assert repair(town, link.whop_user_id) is None
    assert len(town.accounts()) == 2
    town.now += 1
    assert repair(town, link.whop_user_id) is not None


def test_a_link_that_somebody_has_repaired_meanwhile_is_used(town: Town) -> None:
    link = town.enrol()
    assert repair(town, "user_Before") == Link(link.whop_user_id)
    assert len(town.creates()) == 1


def test_a_repaired_user_gives_up_the_whop_user_they_had(town: Town) -> None:
    link = town.enrol()
    repair(town, link.whop_user_id)
    town.people[ANN.sub] = person(ANN.sub, email="new@home.test")
    repaired = repair(town, link.whop_user_id)
    assert repaired is not None
    assert town.users.reservations == {repaired.whop_user_id: (POOL, ANN.sub)}


def _unverified(town: Town) -> None:
    town.people[ANN.sub] = person(ANN.sub, email_verified=False)


def _refused_address(town: Town) -> None:
    town.simulator.add_fault(Fault("accounts.create", "status", status=422))


def _taken(town: Town) -> None:
    town.people[ANN.sub] = person(ANN.sub, email="sub-ben@home.test")
    town.enrol(BEN)


@pytest.mark.parametrize("obstacle", [_unverified, _refused_address, _taken])
def test_a_repair_that_leads_nowhere_keeps_the_link(town: Town, obstacle: Callable[[Town], None]) -> None:
    link = town.enrol()
    repair(town, link.whop_user_id)
    obstacle(town)
    assert repair(town, link.whop_user_id) is None
    assert town.enrol() == Link(link.whop_user_id)
    assert town.record().generation == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault("accounts.create", "unreachable", count=2),
        Fault("accounts.create", "status", status=429, wait=1),
        Fault("accounts.create", "crash_before"),
    ],
    ids=["unreachable", "429", "in flight"],
)
def test_a_repair_that_whop_does_not_answer_keeps_the_link_and_does_not_count(town: Town, fault: Fault) -> None:
    link = town.enrol()
    repair(town, link.whop_user_id)
    town.simulator.add_fault(fault)
    with pytest.raises((WhopUnavailable, WhopRateLimited, EnrolmentInProgress)):
        repair(town, link.whop_user_id)
    assert town.enrol() == Link(link.whop_user_id)
    town.now += LEASE_SECONDS
    repaired = repair(town, link.whop_user_id)
    assert repaired is not None
    assert repaired.created


def test_a_repair_that_whop_refuses_counts(town: Town) -> None:
    link = town.enrol()
    repair(town, link.whop_user_id)
    town.simulator.add_fault(Fault("accounts.create", "status", status=403))
    with pytest.raises(WhopForbidden):
        repair(town, link.whop_user_id)
    assert repair(town, link.whop_user_id) is None


def test_a_look_up_that_whop_refuses_counts_too(town: Town) -> None:
    link = town.enrol()
    town.simulator.add_fault(Fault("accounts.list", "status", status=403))
    with pytest.raises(WhopForbidden):
        repair(town, link.whop_user_id)

    repaired = repair(town, link.whop_user_id)
    assert repaired is not None
    assert repaired.created


def _whop_hears_a_repair_late(town: Town, user: UserRef, link: Link) -> None:
    """The second of two repairs, which asks for a new account; its answer does not come in time."""
    town.enrolment.repair(user, link.whop_user_id, deadline=Deadline(3))
    for _ in range(2):
        town.simulator.add_fault(Fault("accounts.create", "delay", seconds=60))
    with pytest.raises(WhopUnavailable):
        town.enrolment.repair(user, link.whop_user_id, deadline=Deadline(3))
    town.now += LEASE_SECONDS + 1


def test_a_repair_goes_on_with_the_create_of_the_last_one(town: Town) -> None:
    link = town.enrol()
    _whop_hears_a_repair_late(town, ANN, link)
    town.now += 60
    town.simulator.advance(0)
    repaired = repair(town, link.whop_user_id)

    assert repaired is not None
    assert len(set(town.creates())) == 2  # the keys of the enrolment and of both repairs
    assert (town.record().generation, town.record().idempotency_key) == (2, None)
    assert len(town.accounts()) == 2


def test_a_repair_with_another_address_asks_for_another_generation_than_the_last_one(town: Town) -> None:
    link = town.enrol()
    _whop_hears_a_repair_late(town, ANN, link)
    town.people[ANN.sub] = person(ANN.sub, email="new@home.test")

    assert repair(town, link.whop_user_id) is not None
    assert town.record().generation == 3


def test_a_tombstone_knows_of_a_repair_that_may_still_land(town: Town) -> None:
    link = town.enrol()
    _whop_hears_a_repair_late(town, ANN, link)
    buried = tombstone(town.record(), int(town.now))

    assert (buried.generation, buried.retry_at) == (2, town.now + SETTLING_SECONDS)


@pytest.mark.parametrize("obstacle", ["the address is Ann's", "no address"])
def test_repairs_that_lead_nowhere_day_after_day_use_up_no_more_than_the_first(town: Town, obstacle: str) -> None:
    town.enrol(ANN)
    link = town.enrol(BEN)
    proved = obstacle == "the address is Ann's"
    town.people[BEN.sub] = person(BEN.sub, email="sub-ann@home.test", email_verified=proved)
    for _day in range(5):
        for _ in range(2):
            town.enrolment.repair(BEN, link.whop_user_id, deadline=Deadline(3))
        town.now += DAY

    assert len(town.accounts()) == (3 if proved else 2)
    assert tombstone(town.record(BEN), 0).generation <= 3


def test_repairs_without_an_outcome_use_up_no_more_either_day_after_day(town: Town) -> None:
    town.enrol(ANN)
    link = town.enrol(BEN)
    town.people[BEN.sub] = person(BEN.sub, email="sub-ann@home.test")
    for _day in range(4):
        _whop_hears_a_repair_late(town, BEN, link)
        town.now += 60
        town.simulator.advance(0)
        town.enrolment.repair(BEN, link.whop_user_id, deadline=Deadline(3))
        town.now += DAY

    assert sorted(account["metadata"]["external_id"][-1] for account in town.accounts()) == ["1", "1", "2"]


@pytest.mark.parametrize("status", [Status.DISABLED, Status.DENIED])
def test_a_repair_under_way_when_the_user_is_shut_out_is_gone_on_with_when_they_are_back(
    town: Town, monkeypatch: pytest.MonkeyPatch, status: Status
) -> None:
    link = town.enrol()
    repair(town, link.whop_user_id)
    create = Whop.create_account

    def meanwhile(whop: Whop, **asked: Any) -> Account:
        town.write(suspend(town.record(), status))
        return create(whop, **asked)

    with monkeypatch.context() as patch:
        patch.setattr(Whop, "create_account", meanwhile)
        with pytest.raises((UserDisabled, Denied)):
            repair(town, link.whop_user_id)
    town.write(reinstate(town.record()))
    town.now += DAY
    for _ in range(2):
        repair(town, link.whop_user_id)

    assert len(town.accounts()) == 2
    assert tombstone(town.record(), 0).generation == 2


def test_a_link_follows_the_users_account_to_another_owner(town: Town) -> None:
    town.enrol()
    account = json.loads(forged(id=town.record().whop_account_id)(town))
    town.simulator.add_fault(Fault("accounts.list", "malformed", body=json.dumps({"data": [account]})))
    assert repair(town, str(town.record().whop_user_id)) == Link("user_Other")


@pytest.mark.parametrize(
    "changes", [{"parent_account": {"id": "biz_Stranger"}}, {"email": "stranger@home.test"}, {"id": "biz_Other"}]
)
def test_a_look_up_follows_no_account_but_exactly_the_one_asked_for(town: Town, changes: dict[str, Any]) -> None:
    link = town.enrol()
    account = json.loads(forged(id=town.record().whop_account_id)(town)) | changes
    town.simulator.add_fault(Fault("accounts.list", "malformed", body=json.dumps({"data": [account]})))
    assert repair(town, link.whop_user_id) == Link(link.whop_user_id)
    assert town.record().repairs == 1


def test_a_look_up_that_meets_another_users_whop_user_keeps_the_link_and_counts(town: Town) -> None:
    bens = town.enrol(BEN).whop_user_id
    link = town.enrol()
    account = json.loads(forged(id=town.record().whop_account_id, owner={"id": bens})(town))
    town.simulator.add_fault(Fault("accounts.list", "malformed", body=json.dumps({"data": [account]})))
    assert repair(town, link.whop_user_id) == Link(link.whop_user_id)
    repaired = repair(town, link.whop_user_id)
    assert repaired is not None
    assert repaired.created


def test_a_new_owner_gets_the_users_name_anew(town: Town) -> None:
    town.enrol()
    named = dataclasses.replace(town.record(), whop_user_id="user_Before", profile_digest="digest")
    town.users.link(ANN, named, expected=town.record())
    repair(town, "user_Before")
    assert town.record().profile_digest is None


# What ends an attempt without settling anything


@pytest.mark.parametrize("error", [NotConfigured(), AwsError("Throttling", operation="GetSecretValue")])
def test_a_key_that_cannot_be_had_leaves_the_claim_open(town: Town, error: Exception) -> None:
    town.keyless = error
    with pytest.raises(type(error)):
        town.enrol()
    assert (town.record().status, town.record().lease_until) == (Status.PENDING, 0)
    town.keyless = None
    assert town.enrol().created


def test_a_refused_look_up_keeps_the_key_of_the_create(town: Town) -> None:
    town.simulator.add_fault(Fault("accounts.create", "crash_after"))
    town.simulator.add_fault(Fault("accounts.list", "status", status=403))
    with pytest.raises(WhopForbidden):
        town.enrol()
    assert town.record().idempotency_key is not None
    assert town.enrol().created
    assert len(town.accounts()) == 1


@pytest.mark.parametrize("status", [400, 404])
def test_a_refusal_that_is_not_about_the_address_blocks_nobody(town: Town, status: int) -> None:
    town.simulator.add_fault(Fault("accounts.create", "status", status=status))
    with pytest.raises(WhopRefused):
        town.enrol()
    assert town.record().status is Status.PENDING
    assert town.enrol().created


def test_while_a_create_is_in_flight_nobody_asks_whop_about_it(town: Town) -> None:
    town.simulator.add_fault(Fault("accounts.create", "crash_before"))
    with pytest.raises(EnrolmentInProgress):
        town.enrol()
    calls = len(town.simulator.calls())
    town.now += LEASE_SECONDS - 1
    with pytest.raises(EnrolmentInProgress):
        town.enrol()
    assert len(town.simulator.calls()) == calls
