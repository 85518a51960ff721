"""Who shares an address with whom, before anybody is enrolled."""

from whop_chat.cognito.pool import ListedUser, PoolStatus, PoolUser
from whop_chat.cognito.user import UserRef
from whop_chat.enrolment.email_policy import AliasEmail, EmailPolicy, VerifiedEmail
from whop_chat.reconcile.conflicts import Addresses, addresses_of, count_conflicts
from whop_chat.reconcile.drift import Drift, Finding

POLICY = VerifiedEmail(frozenset({"Google"}))


def page(*users: tuple[str, Drift, tuple[str, ...]], policy: EmailPolicy = POLICY, run: str = "run") -> Addresses:
    """One page of active users with these addresses."""
    findings = []
    for number, (email, found, providers) in enumerate(users):
        sub = f"{email}-{number}"
        pool_user = PoolUser(sub=sub, email=email, email_verified=True, name=None, providers=providers)
        user = UserRef(pool_id="pool", sub=sub, username=sub)
        findings.append((ListedUser(user, PoolStatus.ACTIVE, pool_user), Finding(found)))
    return addresses_of(run, findings, policy)


def conflicts(*pages: Addresses) -> dict[str, int]:
    return dict(count_conflicts(lambda: pages))


def test_all_who_share_an_address_and_would_be_enrolled_are_counted_by_provider() -> None:
    native = ("ada@team.test", Drift.MISSING, ())
    google = ("ada@team.test", Drift.UNFINISHED, ("Google",))
    alone = ("bob@team.test", Drift.MISSING, ())

    assert conflicts(page(native, google, alone)) == {"COGNITO": 1, "Google": 1}
    assert conflicts(page(alone, native), page(google)) == {"COGNITO": 1, "Google": 1}
    assert conflicts(page(alone), page(native)) == {}


def test_who_is_enrolled_already_counts_for_others_only() -> None:
    linked = ("ada@team.test", Drift.IN_STEP, ())
    google = ("ada@team.test", Drift.MISSING, ("Google",))

    assert conflicts(page(google), page(linked)) == {"Google": 1}
    assert conflicts(page(linked, linked)) == {}


def test_addresses_that_a_whop_might_take_for_one_are_one() -> None:
    wide = [("straße@team.test", Drift.MISSING, ()), ("STRASSE@team.test", Drift.PASSWORDLESS, ())]

    assert conflicts(page(*wide)) == {"COGNITO": 2}


def test_aliases_are_never_shared() -> None:
    policy = AliasEmail("chat+{sub}@team.test")
    twice = [("ada@team.test", Drift.MISSING, ())] * 2

    assert page(*twice, policy=policy) == {}


def test_no_address_is_stored_and_another_run_stores_other_fingerprints() -> None:
    first, second = (page(("ada@team.test", Drift.MISSING, ()), run=run) for run in ("run-1", "run-2"))

    assert first != second
    assert not any(b"ada" in each for each in first.values())
