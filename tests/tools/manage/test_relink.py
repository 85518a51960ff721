"""relink, as an operator runs it: one user, or every user of a migrated pool."""

import dataclasses
import re
from collections.abc import Callable

import httpx
import pytest

from tests.fakes.moto_aws import AN_HOUR
from tests.tools.manage.deployment import OPERATOR, DeployedStack
from whop_chat.cognito.user import UserRef
from whop_chat.sync.queue import Source
from whop_chat.users.record import Record, Status

CONFLICT = Record(status=Status.BLOCKED, reason="identity_conflict", email_mode="verified")


@pytest.fixture
def bob(run: DeployedStack, ann: UserRef) -> UserRef:
    """A blocked user: an old sub of theirs holds the Whop user of their address."""
    return moved(run, "bob")


def moved(run: DeployedStack, name: str, record: Record | None = CONFLICT) -> UserRef:
    """A user of the pool whose Whop user was linked in another pool."""
    before = UserRef(pool_id="eu-west-1_Before", sub=f"sub-of-{name}-before", username=name)
    link(run, before, f"user_{name}")
    user = run.cloud.sign_up(name)
    if record:
        run.write(user, record)
    return user


def link(run: DeployedStack, user: UserRef, whop_user_id: str) -> None:
    claimed = run.users.put(user, Record(status=Status.PENDING), expected=None, deadline=AN_HOUR)
    linked = Record(status=Status.LINKED, whop_user_id=whop_user_id, whop_account_id="biz_Child")
    run.users.link(user, linked, expected=claimed, deadline=AN_HOUR)


def linked_to(run: DeployedStack, user: UserRef) -> str | None:
    record = run.record(user)
    return record.linked_to if record else None


def answer_accounts(run: DeployedStack, account: Callable[[], httpx.Response | None]) -> None:
    """Let Whop answer a new account by ``account()``, unless that is None."""

    def answer(request: httpx.Request) -> httpx.Response:
        asked = request.url.path == "/api/v1/accounts" and request.method == "POST"
        return (account() if asked else None) or run.cloud.internet(request)

    run.answer_with(answer)


# -- one user


def test_relink_gives_the_whop_user_of_the_address(run: DeployedStack, bob: UserRef) -> None:
    done = run("--json", "relink", "bob@example.test", "--yes")

    assert (done.status, done.json["outcome"]) == (0, "relinked")
    assert linked_to(run, bob) == "user_bob"
    assert [(each.user, each.source) for each in run.messages()] == [(bob, Source.COMMAND)]
    assert run.acts(bob) == [(OPERATOR, "relink", "relinked")]
    loser = UserRef(bob.pool_id, "sub-of-bob-before", "")
    assert run.acts(loser) == [(OPERATOR, "lose_whop_user", f"to {bob.sub}")]
    assert run("--json", "relink", bob.sub, "--yes").json["outcome"] == "already_linked"


@pytest.mark.parametrize("who", ["bob", "--by-verified-email"])
def test_relink_asks_first(run: DeployedStack, bob: UserRef, who: str) -> None:
    before = run.items()

    assert run("--json", "relink", who, "--dry-run").json["outcome"] == "dry_run"
    assert (run("relink", who, says="n").status, run("relink", who).status) == (1, 1)
    assert run.items() == before
    assert run("relink", who, says="y").status == 0
    assert linked_to(run, bob) == "user_bob"


def test_an_inactive_or_denied_user_is_not_relinked(run: DeployedStack, bob: UserRef) -> None:
    run("deny", "bob")
    assert run("--json", "relink", "bob", "--yes").json["outcome"] == "denied"
    run.cloud.cognito.admin_disable_user(UserPoolId=bob.pool_id, Username="bob")
    assert run("--json", "relink", "bob", "--yes").json["outcome"] == "disabled"
    assert linked_to(run, bob) is None


@pytest.mark.parametrize(
    ("environment", "says"),
    [({"WHOP_COMPANY_ID": ""}, "WHOP_COMPANY_ID"), ({"USER_POOL_ID": "eu-west-1_Other"}, "another user pool")],
)
def test_a_stack_that_does_not_match_is_refused(
    run: DeployedStack, bob: UserRef, environment: dict[str, str], says: str
) -> None:
    run.cloud.environment |= environment
    refused = run("relink", "bob", "--yes")

    assert (refused.status, says in refused.err) == (1, True)
    assert linked_to(run, bob) is None


# -- every user of a migrated pool


@pytest.mark.thorough
def test_blocked_users_are_relinked_and_nobody_else(run: DeployedStack, ann: UserRef) -> None:
    blocked, fresh = [moved(run, name) for name in ("bea", "ben", "bo")], moved(run, "cy", None)
    rejected = moved(run, "dee", Record(status=Status.BLOCKED, reason="enrolment_rejected", email_mode="verified"))
    denied = moved(run, "eve", Record(status=Status.DENIED, reason="identity_conflict", email_mode="verified"))

    would = run("--json", "relink", "--by-verified-email", "--dry-run").json["counts"]
    assert would | {"relink": 3, "missing": 2, "blocked": 1, "denied": 1, "ambiguous": 0} == would
    done = run("--json", "relink", "--by-verified-email", "--yes")
    assert (done.status, done.json["outcome"], done.json["done"]) == (0, "completed", {"relinked": 3})
    assert [linked_to(run, user) for user in blocked] == ["user_bea", "user_ben", "user_bo"]
    assert [linked_to(run, user) for user in (ann, fresh, rejected, denied)] == [None] * 4
    assert run("--json", "relink", "--by-verified-email").json["outcome"] == "nothing_to_do"

    run("relink", "--by-verified-email", "--backfill", "--yes")
    assert [linked_to(run, user) for user in (ann, fresh)] == ["user_ann", "user_cy"]


def test_nothing_is_taken_from_an_active_user(run: DeployedStack, ann: UserRef) -> None:
    link(run, ann, "user_bob")
    bob = run.cloud.sign_up("bob")
    run.write(bob, CONFLICT)
    done = run("--json", "relink", "--by-verified-email", "--yes")

    assert (done.status, done.json["done"]) == (0, {"left": 1})
    assert (linked_to(run, ann), linked_to(run, bob)) == ("user_bob", None)

    run("relink", "bob", "--yes")
    assert (linked_to(run, ann), linked_to(run, bob)) == (None, "user_bob")


def test_an_address_that_two_users_verified_is_skipped(run: DeployedStack, bob: UserRef) -> None:
    twin = run.cloud.sign_up("twin")
    run.cloud.cognito.admin_update_user_attributes(
        UserPoolId=bob.pool_id, Username="twin", UserAttributes=[{"Name": "email", "Value": "BOB@example.test"}]
    )
    found = run("--json", "relink", "--by-verified-email", "--backfill", "--yes").json["counts"]

    assert (found["ambiguous"], found["relink"]) == (2, 1)
    assert [linked_to(run, user) for user in (bob, twin)] == [None, None]


@pytest.mark.thorough
@pytest.mark.parametrize("at", range(1, 20))
def test_an_interrupted_relink_is_finished_by_the_next(run: DeployedStack, bob: UserRef, at: int) -> None:
    calls = 0

    def stop(request: httpx.Request) -> httpx.Response:
        nonlocal calls
        calls += 1
        answer = run.cloud.internet(request)
        if calls == at:
            raise KeyboardInterrupt
        return answer

    run.answer_with(stop)
    stopped = run("--json", "relink", "--by-verified-email", "--yes")
    run.answer_with(run.cloud.internet)
    record = run.record(bob)
    assert record
    if record.status is Status.PENDING:  # The lease runs out.
        run.write(bob, dataclasses.replace(record, lease_until=0))
    again = run("--json", "relink", "--by-verified-email", "--yes")

    assert (stopped.status, again.status) == (130 if calls == at else 0, 0)
    assert linked_to(run, bob) == "user_bob"


@pytest.mark.thorough
def test_the_throttle_leaves_room_for_others(run: DeployedStack, ann: UserRef) -> None:
    for number in range(4):
        moved(run, f"user-{number}")
    run("relink", "--by-verified-email", "--yes", "--per-minute", "10")

    # The first starts at once, and the others six seconds apart.
    assert run.slept == pytest.approx(3 * 6)


@pytest.mark.thorough
def test_relink_waits_for_the_rate_limit_of_whop(run: DeployedStack, bob: UserRef) -> None:
    answers = [httpx.Response(429, headers={"Retry-After": "1"}, json={})]
    answer_accounts(run, lambda: answers.pop() if answers else None)
    done = run("--json", "relink", "--by-verified-email", "--yes")

    assert (done.json["done"], run.slept >= 1) == ({"relinked": 1}, True)


def test_a_refused_api_key_stops_relink_at_once(run: DeployedStack, bob: UserRef) -> None:
    answer_accounts(run, lambda: httpx.Response(403, json={}))
    gave_up = run("--json", "relink", "--by-verified-email", "--yes")

    assert (gave_up.status, gave_up.json["outcome"]) == (1, "gave_up")
    assert "Whop: create_account: 403" in run("relink", "bob", "--yes").err


@pytest.mark.thorough
def test_relink_gives_up_after_ten_failures(run: DeployedStack) -> None:
    for number in range(12):
        moved(run, f"user-{number}")
    answer_accounts(run, lambda: httpx.Response(503, json={}))
    gave_up = run("--json", "relink", "--by-verified-email", "--yes")

    assert (gave_up.status, gave_up.json["outcome"], gave_up.json["done"]) == (1, "gave_up", {"failed": 10})


def test_with_aliases_there_is_nobody_to_relink(run: DeployedStack, bob: UserRef) -> None:
    run.cloud.environment |= {"ENROLMENT_EMAIL": "alias", "ALIAS_EMAIL_TEMPLATE": "chat+{sub}@example.com"}

    assert "alias" in run("relink", "--by-verified-email", "--yes").err


def test_without_a_terminal_all_text_is_plain(
    run: DeployedStack, bob: UserRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr("manage.progress._LINE_SECONDS", 0)
    done = run("relink", "--by-verified-email", "--yes")

    assert re.search("relinking .*1/1", done.err)
    assert "\033" not in done.out + done.err


def test_on_a_terminal_a_bar_shows_the_progress(run: DeployedStack, bob: UserRef) -> None:
    done = run("relink", "--by-verified-email", "--yes", terminal=True)

    assert re.search("relinking .*1/1", done.err)
