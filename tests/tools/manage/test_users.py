"""status, sync, deny, allow and relink, as an operator runs them."""

import dataclasses
import json
import re
from collections.abc import Callable

import httpx
import pytest

from tests.fakes.moto_aws import AN_HOUR
from tests.tools.manage.cloud import Cloud
from tests.tools.manage.deployment import ACCOUNT, OPERATOR, DeployedStack
from whop_chat.cognito.user import UserRef
from whop_chat.runtime.http import HttpClient
from whop_chat.sync.queue import Source
from whop_chat.users.record import Record, Status

LINKED = Record(
    status=Status.LINKED, whop_user_id="user_Ann", whop_account_id="biz_Ann", profile_digest="digest-of-a-name"
)
TOMBSTONE = Record(status=Status.DELETED, whop_user_id="user_Ann")
CONFLICT = Record(status=Status.BLOCKED, reason="identity_conflict", email_mode="verified")


@pytest.fixture
def ann(run: DeployedStack) -> UserRef:
    """Somebody in the pool, without a record."""
    return run.cloud.sign_up("ann")


def leave(cloud: Cloud, user: UserRef) -> None:
    cloud.cognito.admin_delete_user(UserPoolId=cloud.pool_id, Username=user.username)


# -- who is meant


@pytest.mark.parametrize("by", ["sub", "user name", "address"])
def test_a_user_is_named_by_sub_user_name_or_address(run: DeployedStack, ann: UserRef, by: str) -> None:
    name = {"sub": ann.sub, "user name": ann.username, "address": "ann@example.test"}[by]

    assert run("--json", "status", name).json["sub"] == ann.sub


NOBODY = ["nobody", "nobody@example.test", 'no"body\\', "0a1b2c3d-0000-4000-8000-000000000000"]


@pytest.mark.parametrize(
    ("command", "name"),
    [*(("status", name) for name in NOBODY), *((name, NOBODY[0]) for name in ("sync", "deny", "allow", "relink"))],
)
def test_nobody_is_nobody(run: DeployedStack, command: str, name: str) -> None:
    refused = run("--json", command, name)

    assert (refused.status, refused.json["outcome"]) == (1, "unknown_user")
    assert run.items() == {}
    assert run.messages() == []


def test_a_deleted_user_is_named_by_sub_and_by_nothing_else(run: DeployedStack, ann: UserRef) -> None:
    run.write(ann, LINKED)
    leave(run.cloud, ann)

    assert run("--json", "status", ann.sub).json["standing"] == "gone"
    assert run("status", ann.username).status == 1


def test_who_takes_the_sub_of_a_deleted_user_for_a_user_name_is_not_meant(run: DeployedStack, ann: UserRef) -> None:
    run.write(ann, LINKED)
    leave(run.cloud, ann)
    run.cloud.sign_up(ann.sub)

    assert run("--json", "status", ann.sub).json["record"]["whop_user_id"] == "user_Ann"


def test_an_address_of_several_users_names_nobody(run: DeployedStack, ann: UserRef) -> None:
    other = run.cloud.cognito.admin_create_user(
        UserPoolId=run.cloud.pool_id,
        Username="other",
        UserAttributes=[{"Name": "email", "Value": "ann@example.test"}],
        MessageAction="SUPPRESS",
    )["User"]["Attributes"]
    refused = run("--json", "deny", "ann@example.test")

    assert (refused.status, refused.json["outcome"]) == (1, "several_users")
    assert {each["Value"] for each in other if each["Name"] == "sub"} | {ann.sub} <= set(
        refused.json["error"].replace(",", "").split()
    )
    assert run.items() == {}


def test_a_record_that_cannot_be_understood_is_said_to_be_so_and_left(run: DeployedStack, ann: UserRef) -> None:
    item = {"pk": {"S": f"USER#{ann.pool_id}#{ann.sub}"}, "status": {"S": "odd"}}
    run.table.put_item(TableName="users", Item=item)

    for command in ("status", "deny", "sync", "relink"):
        assert run("--json", command, ann.sub).json["outcome"] == "unreadable_record"
    assert list(run.items().values()) == [item]


# -- which stack


def test_a_stack_can_be_named_by_its_arn_and_is_refused_from_another_account(run: DeployedStack, ann: UserRef) -> None:
    run.account = "999999999999"
    arn = f"arn:aws:cloudformation:eu-west-1:{ACCOUNT}:stack/chat/1"
    refused = run("--stack", arn, "deny", ann.sub)

    assert refused.status == 1
    assert (
        f"in eu-west-1 of account {ACCOUNT}, but the credentials are for eu-west-1 of account 999999999999"
        in refused.err
    )
    assert "cloudformation:DescribeStacks" not in run.asked
    assert run.items() == {}


def test_an_output_of_another_account_is_refused(run: DeployedStack, ann: UserRef) -> None:
    run.outputs["WhopSecretArn"] = "arn:aws:secretsmanager:eu-west-1:999999999999:secret:whop"
    refused = run("deny", ann.sub)

    assert (refused.status, "WhopSecretArn is in eu-west-1 of account 999999999999" in refused.err) == (1, True)


# -- status


def test_status_tells_how_a_user_stands_and_nothing_personal(run: DeployedStack, ann: UserRef) -> None:
    run.write(ann, LINKED)
    told = run("--json", "status", "ann@example.test").json

    assert (told["standing"], told["next_step"]) == ("active", "enrol")
    assert told["record"] == {
        "status": "linked",
        "generation": 1,
        "whop_user_id": "user_Ann",
        "whop_account_id": "biz_Ann",
    }
    for_a_person = run("status", "ann@example.test").out
    assert "user_Ann" in for_a_person
    for personal in ("@", "'ann'", "digest"):
        assert personal not in for_a_person + json.dumps(told)


def test_status_of_one_without_a_record(run: DeployedStack, ann: UserRef) -> None:
    assert run("--json", "status", ann.sub).json["record"] is None
    assert "no record" in run("status", ann.sub).out


# -- sync


def test_sync_asks_for_the_user_and_says_that_it_was_a_command(run: DeployedStack, ann: UserRef) -> None:
    done = run("--json", "sync", "ann@example.test")

    assert (done.status, done.json["outcome"]) == (0, "enqueued")
    assert [(each.user, each.source) for each in run.messages()] == [(ann, Source.COMMAND)]
    assert run("sync", ann.sub).status == 0


def test_sync_has_a_block_looked_at_again_and_keeps_the_rest(run: DeployedStack, ann: UserRef) -> None:
    run.write(ann, CONFLICT)
    run("sync", ann.sub)

    after = run.record(ann)
    assert after
    assert (after.retry_at, after.status, after.reason) == (0, Status.BLOCKED, "identity_conflict")


@pytest.mark.parametrize("record", [LINKED, TOMBSTONE], ids=["linked", "tombstone"])
def test_a_deleted_user_is_synced_by_sub(run: DeployedStack, ann: UserRef, record: Record) -> None:
    before = run.write(ann, record)
    leave(run.cloud, ann)

    assert run("sync", ann.sub).status == 0
    assert [each.user.sub for each in run.messages()] == [ann.sub]
    assert run.record(ann) == before


# -- deny and allow


def test_deny_shuts_out_and_allow_lets_in_as_before(run: DeployedStack, ann: UserRef) -> None:
    run.write(ann, LINKED)
    denied = run("--json", "deny", "ann")
    shut = run.record(ann)
    assert shut
    assert (denied.status, denied.json["outcome"], shut.status) == (0, "denied", Status.DENIED)
    assert run("--json", "deny", "ann").json["outcome"] == "already_denied"

    allowed = run("--json", "allow", "ann")
    back = run.record(ann)
    assert back
    assert (allowed.status, allowed.json["outcome"]) == (0, "allowed")
    assert (back.status, back.whop_user_id, back.profile_digest) == (Status.LINKED, "user_Ann", "digest-of-a-name")
    assert [each.source for each in run.messages()] == [Source.COMMAND]
    assert run("--json", "allow", "ann").json["outcome"] == "not_denied"


def test_who_was_never_here_can_be_shut_out(run: DeployedStack, ann: UserRef) -> None:
    assert run("deny", ann.sub).status == 0
    record = run.record(ann)
    assert record
    assert record.status is Status.DENIED


def test_a_denial_says_how_long_a_token_may_still_live(run: DeployedStack, ann: UserRef) -> None:
    assert "60 minutes" in run("deny", ann.sub).out


def test_who_is_deleted_cannot_be_shut_out(run: DeployedStack, ann: UserRef) -> None:
    before = run.write(ann, TOMBSTONE)
    refused = run("--json", "deny", ann.sub)

    assert (refused.status, refused.json["outcome"]) == (1, "gone")
    assert run.record(ann) == before


# -- what was done is known


def test_whatever_changes_a_user_is_kept_with_who_did_it(run: DeployedStack, ann: UserRef) -> None:
    run("deny", "ann")
    run("deny", "ann")
    run("allow", "ann")
    run("sync", "ann")
    run("status", "ann")

    known = [(OPERATOR, "deny", "denied"), (OPERATOR, "allow", "allowed"), (OPERATOR, "sync", "enqueued")]
    assert run.acts(ann) == known
    told = run("--json", "status", "ann").json["acts"]
    assert [(act["by"], act["action"], act["outcome"]) for act in told] == known
    assert f"deny: denied ({OPERATOR})" in run("status", "ann").out
    assert "example.test" not in json.dumps(list(run.items()))


def test_an_act_that_failed_is_known_as_that(run: DeployedStack, ann: UserRef) -> None:
    run.write(ann, Record(status=Status.DELETED))
    run("deny", ann.sub)

    assert run.acts(ann) == [(OPERATOR, "deny", "failed: Refused")]


def test_an_act_that_was_interrupted_is_known_without_an_outcome(
    run: DeployedStack, ann: UserRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("whop_chat.users.admin.deny", interrupted)

    assert run("deny", ann.sub).status == 130
    assert run.acts(ann) == [(OPERATOR, "deny", None)]
    assert "deny: no outcome" in run("status", ann.sub).out


def test_what_cannot_be_kept_is_not_done(run: DeployedStack, ann: UserRef, monkeypatch: pytest.MonkeyPatch) -> None:
    internet = run.cloud.internet

    def without_updates(request: httpx.Request) -> httpx.Response:
        if request.headers.get("X-Amz-Target", "").endswith(".UpdateItem"):
            return httpx.Response(400, json={"__type": "AccessDeniedException"})
        return type(internet).__call__(internet, request)

    monkeypatch.setattr(
        "whop_chat.runtime.http.HttpClient", lambda **_named: HttpClient(httpx.MockTransport(without_updates))
    )
    refused = run("--json", "deny", ann.sub)

    assert (refused.status, refused.json["error"]) == (1, "UpdateItem: AccessDeniedException")
    assert run.record(ann) is None


# -- relink


@pytest.fixture
def bob(run: DeployedStack, ann: UserRef) -> UserRef:
    """Somebody blocked, because the Whop user of their address is held by an old sub of theirs."""
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
    claimed = run.users.put(user, Record(status=Status.CLAIMED), seen=None, deadline=AN_HOUR)
    linked = Record(status=Status.LINKED, whop_user_id=whop_user_id, whop_account_id="biz_Child")
    run.users.link(user, linked, seen=claimed, deadline=AN_HOUR)


def linked_to(run: DeployedStack, user: UserRef) -> str | None:
    record = run.record(user)
    return record.linked_to if record else None


def test_relink_gives_a_user_the_whop_user_of_their_address_and_their_name(run: DeployedStack, bob: UserRef) -> None:
    done = run("--json", "relink", "bob@example.test", "--yes")

    assert (done.status, done.json["outcome"]) == (0, "relinked")
    assert linked_to(run, bob) == "user_bob"
    assert [(each.user, each.source) for each in run.messages()] == [(bob, Source.COMMAND)]
    assert run.acts(bob) == [(OPERATOR, "relink", "relinked")]
    assert run("--json", "relink", bob.sub, "--yes").json["outcome"] == "already_linked"


@pytest.mark.parametrize("who", ["bob", "--by-verified-email"])
def test_relink_asks_first(run: DeployedStack, bob: UserRef, who: str) -> None:
    before = run.items()

    assert run("--json", "relink", who, "--dry-run").json["outcome"] == "dry_run"
    assert (run("relink", who, says="n").status, run("relink", who).status) == (1, 1)
    assert run.items() == before
    assert run("relink", who, says="y").status == 0
    assert linked_to(run, bob) == "user_bob"


@pytest.mark.parametrize(
    "arguments", [(), ("bob", "--by-verified-email"), ("--by-verified-email", "--per-minute", "600")]
)
def test_a_wrong_command_line_is_refused(run: DeployedStack, arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run("relink", *arguments)


def test_who_is_not_active_or_shut_out_is_not_relinked(run: DeployedStack, bob: UserRef) -> None:
    run("deny", "bob")
    assert run("--json", "relink", "bob", "--yes").json["outcome"] == "denied"
    run.cloud.cognito.admin_disable_user(UserPoolId=bob.pool_id, Username="bob")
    assert run("--json", "relink", "bob", "--yes").json["outcome"] == "disabled"
    assert linked_to(run, bob) is None


@pytest.mark.thorough
def test_everybody_of_a_migrated_pool_is_relinked_and_nobody_else(run: DeployedStack, ann: UserRef) -> None:
    blocked, fresh = [moved(run, name) for name in ("bea", "ben", "bo")], moved(run, "cy", None)
    rejected = moved(run, "dee", Record(status=Status.BLOCKED, reason="enrolment_rejected", email_mode="verified"))
    shut = moved(run, "eve", Record(status=Status.DENIED, reason="identity_conflict", email_mode="verified"))

    would = run("--json", "relink", "--by-verified-email", "--dry-run").json["counts"]
    assert would | {"relink": 3, "missing": 2, "blocked": 1, "denied": 1, "ambiguous": 0} == would
    done = run("--json", "relink", "--by-verified-email", "--yes")
    assert (done.status, done.json["outcome"], done.json["done"]) == (0, "completed", {"relinked": 3})
    assert [linked_to(run, user) for user in blocked] == ["user_bea", "user_ben", "user_bo"]
    assert [linked_to(run, user) for user in (ann, fresh, rejected, shut)] == [None] * 4
    assert run("--json", "relink", "--by-verified-email").json["outcome"] == "nothing_to_do"

    run("relink", "--by-verified-email", "--backfill", "--yes")
    assert [linked_to(run, user) for user in (ann, fresh)] == ["user_ann", "user_cy"]


def test_relinking_everybody_takes_nothing_from_an_active_user_who_had_the_address_before(
    run: DeployedStack, ann: UserRef
) -> None:
    link(run, ann, "user_bob")
    bob = run.cloud.sign_up("bob")
    run.write(bob, CONFLICT)
    done = run("--json", "relink", "--by-verified-email", "--yes")

    assert (done.status, done.json["done"]) == (0, {"left": 1})
    assert (linked_to(run, ann), linked_to(run, bob)) == ("user_bob", None)

    run("relink", "bob", "--yes")
    assert (linked_to(run, ann), linked_to(run, bob)) == (None, "user_bob")


def test_an_address_that_two_users_have_proved_says_of_neither_who_they_are(run: DeployedStack, bob: UserRef) -> None:
    twin = run.cloud.sign_up("twin")
    run.cloud.cognito.admin_update_user_attributes(
        UserPoolId=bob.pool_id, Username="twin", UserAttributes=[{"Name": "email", "Value": "BOB@example.test"}]
    )
    found = run("--json", "relink", "--by-verified-email", "--backfill", "--yes").json["counts"]

    assert (found["ambiguous"], found["relink"]) == (2, 1)
    assert [linked_to(run, user) for user in (bob, twin)] == [None, None]


@pytest.mark.thorough
@pytest.mark.parametrize("at", range(1, 20))
def test_a_relink_that_is_stopped_at_any_call_is_finished_by_the_next_one(
    run: DeployedStack, bob: UserRef, at: int
) -> None:
    calls = 0

    def stop(request: httpx.Request) -> httpx.Response:
        nonlocal calls
        calls += 1
        answer = run.cloud.internet(request)
        if calls == at:
            raise KeyboardInterrupt
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("whop_chat.runtime.http.HttpClient", lambda **_named: HttpClient(httpx.MockTransport(stop)))
        stopped = run("--json", "relink", "--by-verified-email", "--yes")
    record = run.record(bob)
    assert record
    if record.status is Status.CLAIMED:  # The lease runs out.
        run.write(bob, dataclasses.replace(record, lease_until=0))
    again = run("--json", "relink", "--by-verified-email", "--yes")

    assert (stopped.status, again.status) == (130 if calls == at else 0, 0)
    assert linked_to(run, bob) == "user_bob"


@pytest.mark.thorough
def test_the_pace_leaves_room_for_others(run: DeployedStack, ann: UserRef) -> None:
    for number in range(4):
        moved(run, f"user-{number}")
    run("relink", "--by-verified-email", "--yes", "--per-minute", "10")

    # The first at once, and no clock moves while nobody really sleeps.
    assert run.slept == pytest.approx(6 + 12 + 18, abs=5)


@pytest.mark.thorough
def test_a_limit_of_whop_is_waited_for(run: DeployedStack, bob: UserRef, monkeypatch: pytest.MonkeyPatch) -> None:
    told = [httpx.Response(429, headers={"Retry-After": "1"}, json={})]
    answering(run, monkeypatch, lambda: told.pop() if told else None)
    done = run("--json", "relink", "--by-verified-email", "--yes")

    assert (done.json["done"], run.slept >= 1) == ({"relinked": 1}, True)


def test_a_key_that_whop_refuses_ends_it_at_once(
    run: DeployedStack, bob: UserRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(run, monkeypatch, lambda: httpx.Response(403, json={}))
    gave_up = run("--json", "relink", "--by-verified-email", "--yes")

    assert (gave_up.status, gave_up.json["outcome"]) == (1, "gave_up")
    assert "Whop: create_account: 403" in run("relink", "bob", "--yes").err


@pytest.mark.thorough
def test_when_nobody_can_be_relinked_it_gives_up(run: DeployedStack, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(12):
        moved(run, f"user-{number}")
    answering(run, monkeypatch, lambda: httpx.Response(503, json={}))
    gave_up = run("--json", "relink", "--by-verified-email", "--yes")

    assert (gave_up.status, gave_up.json["outcome"], gave_up.json["done"]) == (1, "gave_up", {"failed": 10})


def answering(run: DeployedStack, patch: pytest.MonkeyPatch, account: Callable[[], httpx.Response | None]) -> None:
    """Let Whop answer ``account()`` to who asks for an account, if it is something."""

    def answer(request: httpx.Request) -> httpx.Response:
        asked = request.url.path == "/api/v1/accounts" and request.method == "POST"
        return (account() if asked else None) or run.cloud.internet(request)

    patch.setattr("whop_chat.runtime.http.HttpClient", lambda **_named: HttpClient(httpx.MockTransport(answer)))


def test_under_aliases_there_is_nobody_to_relink(run: DeployedStack, bob: UserRef) -> None:
    run.cloud.environment |= {"ENROLMENT_EMAIL": "alias", "ALIAS_EMAIL_TEMPLATE": "chat+{sub}@example.com"}

    assert "alias" in run("relink", "--by-verified-email", "--yes").err


@pytest.mark.parametrize(
    ("environment", "says"),
    [({"WHOP_COMPANY_ID": ""}, "WHOP_COMPANY_ID"), ({"USER_POOL_ID": "eu-west-1_Other"}, "another user pool")],
)
def test_a_stack_of_another_kind_is_left_alone(
    run: DeployedStack, bob: UserRef, environment: dict[str, str], says: str
) -> None:
    run.cloud.environment |= environment
    refused = run("relink", "bob", "--yes")

    assert (refused.status, says in refused.err) == (1, True)
    assert linked_to(run, bob) is None


def test_on_a_terminal_a_bar_shows_the_progress(run: DeployedStack, bob: UserRef) -> None:
    done = run("relink", "--by-verified-email", "--yes", terminal=True)

    assert re.search("relinking .*1/1", done.err)
