"""Where a user of the pool stands with us."""

import dataclasses

import pytest

from whop_chat.cognito.display_name import profile_digest
from whop_chat.cognito.pool import ListedUser, PoolStatus, PoolUser
from whop_chat.cognito.user import UserRef
from whop_chat.enrolment.email_policy import AliasEmail, EmailPolicy, VerifiedEmail, address_digest
from whop_chat.reconcile.drift import Drift, Finding, drift
from whop_chat.users.record import Record, Status

NOW = 1_800_000_000.0
VERIFIED = VerifiedEmail(frozenset())
ADA = UserRef(pool_id="eu-west-1_Pool", sub="sub-ada", username="ada")
NAMED = profile_digest(ADA.sub, "Ada")


def listed(
    pool_status: PoolStatus = PoolStatus.ACTIVE, *, name: str | None = "Ada", verified: bool = True, sub: str = ADA.sub
) -> ListedUser:
    pool_user = PoolUser(sub=sub, email="ada@home.test", email_verified=verified, name=name, providers=())
    return ListedUser(ADA, pool_status, pool_user)


def blocked(reason: str = "no_verified_email", retry_at: float | None = NOW - 1, mode: str = "verified") -> Record:
    at = None if retry_at is None else int(retry_at)
    return Record(status=Status.BLOCKED, reason=reason, email_mode=mode, retry_at=at)


def linked(digest: str | None = NAMED) -> Record:
    return Record(status=Status.LINKED, whop_user_id="user_1", profile_digest=digest)


def found(pool: ListedUser, record: Record | None, email_policy: EmailPolicy = VERIFIED) -> Finding:
    return drift(pool, record, email_policy, NOW)


def test_who_was_never_enrolled_is_missing() -> None:
    assert found(listed(), None) == Finding(Drift.MISSING)


def test_who_was_never_enrolled_and_has_no_address_to_enrol_is_blocked() -> None:
    assert found(listed(verified=False), None) == Finding(Drift.BLOCKED, "no_verified_email")
    assert found(listed(verified=False), None, AliasEmail("chat+{sub}@team.test")) == Finding(Drift.MISSING)


def test_who_signs_in_by_an_untrusted_provider_is_blocked_for_that() -> None:
    by_google = dataclasses.replace(listed(), pool_user=dataclasses.replace(listed().pool_user, providers=("Google",)))
    assert found(by_google, None) == Finding(Drift.BLOCKED, "provider_not_trusted")
    assert found(by_google, blocked("no_verified_email")) == Finding(Drift.BLOCKED, "provider_not_trusted")


def test_a_linked_user_is_in_step_as_long_as_the_name_is_the_one_that_was_set() -> None:
    assert found(listed(), linked()) == Finding(Drift.IN_STEP)
    assert found(listed(name="Ada L."), linked()) == Finding(Drift.STALE)
    assert found(listed(), linked(None)) == Finding(Drift.STALE)


PICTURE = "https://pictures.example/ada.jpg"
HAS_PICTURE = dataclasses.replace(linked(), picture_digest=profile_digest(ADA.sub, PICTURE), picture_at=7)


def pictured(picture: str | None, *, name: str = "Ada") -> ListedUser:
    found = listed(name=name)
    return dataclasses.replace(found, pool_user=dataclasses.replace(found.pool_user, picture=picture))


def test_a_linked_user_is_in_step_as_long_as_the_picture_is_the_one_that_was_handled() -> None:
    assert found(pictured(PICTURE), HAS_PICTURE) == Finding(Drift.IN_STEP)
    assert found(pictured(PICTURE), linked()) == Finding(Drift.PICTURE)
    assert found(pictured("https://pictures.example/hat.jpg"), HAS_PICTURE) == Finding(Drift.PICTURE)


def test_a_picture_that_is_uploaded_and_not_shown_yet_is_out_of_step() -> None:
    assert found(pictured(PICTURE), dataclasses.replace(HAS_PICTURE, picture_file_id="file_1")) == Finding(
        Drift.PICTURE
    )


def test_who_has_no_picture_any_more_is_out_of_step_until_it_is_removed() -> None:
    assert found(pictured(""), HAS_PICTURE) == Finding(Drift.PICTURE)
    assert found(pictured(""), dataclasses.replace(HAS_PICTURE, picture_at=None)) == Finding(Drift.IN_STEP)
    assert found(pictured(""), linked()) == Finding(Drift.IN_STEP)


def test_a_stack_without_pictures_looks_at_none() -> None:
    assert found(pictured(None), HAS_PICTURE) == Finding(Drift.IN_STEP)


def test_a_user_is_counted_once_and_for_the_name_first() -> None:
    assert found(pictured(PICTURE, name="Ada L."), linked()) == Finding(Drift.STALE)


def test_a_block_is_due_once_the_address_is_another_one() -> None:
    old = dataclasses.replace(
        blocked("identity_conflict", None), blocked_digest=address_digest(ADA.sub, "old@home.test")
    )
    assert found(listed(), old) == Finding(Drift.UNFINISHED)
    same = dataclasses.replace(old, blocked_digest=address_digest(ADA.sub, "ada@home.test"))
    assert found(listed(), same) == Finding(Drift.BLOCKED, "identity_conflict")


def test_a_user_without_a_name_keeps_the_one_they_have() -> None:
    assert found(listed(name=None), linked()) == Finding(Drift.IN_STEP)


def test_a_claim_is_in_progress_until_its_time_is_over() -> None:
    assert found(listed(), Record(status=Status.PENDING, lease_until=int(NOW) + 5)) == Finding(Drift.IN_PROGRESS)
    assert found(listed(), Record(status=Status.PENDING, lease_until=int(NOW))) == Finding(Drift.UNFINISHED)


@pytest.mark.parametrize(
    ("record", "pool"),
    [
        (blocked(), listed(verified=False)),
        (blocked(retry_at=NOW + 30), listed()),
        (blocked("identity_conflict", retry_at=None), listed()),
    ],
    ids=["still no address", "looked at a moment ago", "an operator has to act"],
)
def test_a_block_stays_while_its_reason_does(record: Record, pool: ListedUser) -> None:
    assert found(pool, record) == Finding(Drift.BLOCKED, record.reason)


def test_a_block_whose_reason_has_passed_is_unfinished() -> None:
    assert found(listed(), blocked()) == Finding(Drift.UNFINISHED)
    assert found(listed(), blocked("enrolment_rejected")) == Finding(Drift.UNFINISHED)
    assert found(listed(), blocked("identity_conflict", None), AliasEmail("chat+{sub}@team.test")) == Finding(
        Drift.UNFINISHED
    )


@pytest.mark.parametrize("status", [Status.LINKED, Status.PENDING, Status.BLOCKED])
def test_who_is_disabled_in_the_pool_and_not_here_is_stale(status: Status) -> None:
    assert found(listed(PoolStatus.DISABLED), Record(status=status)) == Finding(Drift.STALE)


@pytest.mark.parametrize("record", [None, Record(status=Status.DISABLED)])
def test_who_is_disabled_in_the_pool_and_shut_out_here_is_disabled(record: Record | None) -> None:
    assert found(listed(PoolStatus.DISABLED), record) == Finding(Drift.DISABLED)


def test_who_is_disabled_here_only_is_stale() -> None:
    assert found(listed(), Record(status=Status.DISABLED)) == Finding(Drift.STALE)


@pytest.mark.parametrize("record", [None, linked(None), blocked(), Record(status=Status.DISABLED)])
def test_who_cannot_sign_in_is_left_alone(record: Record | None) -> None:
    assert found(listed(PoolStatus.INACTIVE), record) == Finding(Drift.INACTIVE)


def test_who_was_never_enrolled_and_whose_password_is_due_is_passwordless() -> None:
    due = listed(PoolStatus.PASSWORD_DUE)
    unverified = listed(PoolStatus.PASSWORD_DUE, verified=False)

    assert found(due, None) == Finding(Drift.PASSWORDLESS)
    assert found(unverified, None) == Finding(Drift.BLOCKED, "no_verified_email")


@pytest.mark.parametrize("record", [linked(), linked(None), blocked(), Record(status=Status.DISABLED)])
def test_who_has_a_record_is_compared_whatever_their_password(record: Record) -> None:
    assert found(listed(PoolStatus.PASSWORD_DUE), record) == found(listed(), record)


@pytest.mark.parametrize("pool_status", [each for each in PoolStatus if each is not PoolStatus.GONE])
def test_what_an_operator_or_a_deletion_has_settled_stands(pool_status: PoolStatus) -> None:
    assert found(listed(pool_status), Record(status=Status.DENIED)) == Finding(Drift.DENIED)
    assert found(listed(pool_status), Record(status=Status.DELETED)) == Finding(Drift.DELETED)


@pytest.mark.parametrize("status", [Status.PENDING, Status.BLOCKED])
def test_who_chats_as_their_own_account_and_was_never_enrolled_is_in_step(status: Status) -> None:
    assert found(listed(), Record(status=status, own_whop_user_id="user_Own")) == Finding(Drift.IN_STEP)


def test_who_has_their_own_account_besides_is_followed_as_before() -> None:
    both = dataclasses.replace(linked(None), own_whop_user_id="user_Own")
    assert found(listed(), both) == Finding(Drift.STALE)
