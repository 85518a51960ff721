"""status, sync, deny and allow, as an operator runs them, and the audit log of them."""

import dataclasses
import json

import httpx
import pytest

from manage import explain
from tests.fakes.moto_aws import AN_HOUR
from tests.tools.manage.deployment import LINKED, OPERATOR, TOMBSTONE, DeployedStack, leave
from whop_chat.cognito.pool import PoolStatus
from whop_chat.cognito.user import UserRef
from whop_chat.enrolment.errors import BLOCK_REASONS
from whop_chat.sync.queue import Source
from whop_chat.users.record import Record, Status

# -- status


def test_status_shows_the_user_and_nothing_personal(run: DeployedStack, ann: UserRef) -> None:
    run.write(ann, LINKED)
    shown = run("--json", "status", "ann@example.test").json

    assert (shown["pool_status"], shown["next_action"]) == ("active", "enrol")
    assert (shown["address"], shown["next_step"]) == ("verified, by Cognito", "set their name at Whop")
    assert shown["record"] == {
        "status": "linked",
        "generation": 1,
        "whop_user_id": "user_Ann",
        "whop_account_id": "biz_Ann",
    }
    for_a_person = run("status", "ann@example.test").out
    assert "user_Ann" in for_a_person
    for personal in ("@", "'ann'", "digest"):
        assert personal not in for_a_person + json.dumps(shown)


def test_status_of_a_user_without_a_record(run: DeployedStack, ann: UserRef) -> None:
    assert run("--json", "status", ann.sub).json["record"] is None
    assert "no record" in run("status", ann.sub).out


def test_status_names_the_holder_in_a_conflict_and_when_it_is_tried_again(run: DeployedStack, ann: UserRef) -> None:
    ben = run.cloud.sign_up("ben")
    pending = run.write(ben, Record(status=Status.PENDING))
    run.users.link(ben, dataclasses.replace(LINKED, whop_user_id="user_Ben"), expected=pending, deadline=AN_HOUR)
    run.write(ann, dataclasses.replace(CONFLICT, conflict_whop_user_id="user_Ben"))

    shown = run("--json", "status", ann.sub).json
    assert shown["holder"] == ben.sub
    assert "another user holds" in shown["next_step"]
    assert "tried again only after `sync USER`" in shown["next_step"]
    assert ben.sub in run("status", ann.sub).out


def test_status_says_why_no_sync_helps_a_user_of_an_untrusted_provider(run: DeployedStack, ann: UserRef) -> None:
    identities = json.dumps([{"providerName": "Google"}])
    run.cloud.cognito.admin_update_user_attributes(
        UserPoolId=ann.pool_id, Username="ann", UserAttributes=[{"Name": "identities", "Value": identities}]
    )

    shown = run("--json", "status", ann.sub).json
    assert shown["address"].startswith("verified, by the identity provider Google, not usable: TrustedProviders")
    assert shown["next_step"].startswith("nothing: TrustedProviders")


def test_status_has_words_for_every_state() -> None:
    assert all(explain.pool_status(each) for each in PoolStatus)
    assert all(explain.record_status(Record(status=each)) for each in Status)
    assert explain._REASONS.keys() == BLOCK_REASONS


def test_status_names_when_a_block_is_tried_again(run: DeployedStack, ann: UserRef) -> None:
    run.write(ann, dataclasses.replace(CONFLICT, reason="enrolment_rejected", retry_at=4_000_000_000))

    out = run("status", ann.sub).out
    assert "blocked: the user cannot be enrolled; enrolment_rejected: Whop refused their address" in out
    assert "tried again from 2096-10-02T07:06:40Z on" in out


# -- sync


CONFLICT = Record(status=Status.BLOCKED, reason="identity_conflict", email_mode="verified")


def test_sync_enqueues_the_user_as_a_command(run: DeployedStack, ann: UserRef) -> None:
    done = run("--json", "sync", "ann@example.test")

    assert (done.status, done.json["outcome"]) == (0, "enqueued")
    assert [(each.user, each.source) for each in run.messages()] == [(ann, Source.COMMAND)]
    assert run("sync", ann.sub).status == 0


def test_sync_retries_a_block_and_keeps_the_rest(run: DeployedStack, ann: UserRef) -> None:
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


def test_deny_denies_at_once_and_allow_restores_the_record(run: DeployedStack, ann: UserRef) -> None:
    run.write(ann, LINKED)
    denied = run("--json", "deny", "ann")
    denied_record = run.record(ann)
    assert denied_record
    assert (denied.status, denied.json["outcome"], denied_record.status) == (0, "denied", Status.DENIED)
    assert run("--json", "deny", "ann").json["outcome"] == "already_denied"

    allowed = run("--json", "allow", "ann")
    back = run.record(ann)
    assert back
    assert (allowed.status, allowed.json["outcome"]) == (0, "allowed")
    assert (back.status, back.whop_user_id, back.profile_digest) == (Status.LINKED, "user_Ann", "digest-of-a-name")
    assert [each.source for each in run.messages()] == [Source.COMMAND]
    assert run("--json", "allow", "ann").json["outcome"] == "not_denied"


def test_a_user_without_a_record_can_be_denied(run: DeployedStack, ann: UserRef) -> None:
    assert run("deny", ann.sub).status == 0
    record = run.record(ann)
    assert record
    assert record.status is Status.DENIED


def test_the_reason_of_a_denial_is_in_the_audit(run: DeployedStack, ann: UserRef) -> None:
    run("deny", ann.sub, "--reason", "spam in channels")

    assert [act["reason"] for act in run("--json", "status", ann.sub).json["acts"]] == ["spam in channels"]
    assert "deny because spam in channels: denied" in run("status", ann.sub).out


def test_deny_says_how_long_a_token_stays_valid(run: DeployedStack, ann: UserRef) -> None:
    assert "60 minutes" in run("deny", ann.sub).out


def test_a_deleted_user_cannot_be_denied(run: DeployedStack, ann: UserRef) -> None:
    before = run.write(ann, TOMBSTONE)
    refused = run("--json", "deny", ann.sub)

    assert (refused.status, refused.json["outcome"]) == (1, "gone")
    assert run.record(ann) == before


# -- the audit log


def test_every_change_of_a_user_is_in_the_audit_log(run: DeployedStack, ann: UserRef) -> None:
    run("deny", "ann")
    run("deny", "ann")
    run("allow", "ann")
    run("sync", "ann")
    run("status", "ann")

    known = [(OPERATOR, "deny", "denied"), (OPERATOR, "allow", "allowed"), (OPERATOR, "sync", "enqueued")]
    assert run.acts(ann) == known
    shown = run("--json", "status", "ann").json["acts"]
    assert [(act["by"], act["action"], act["outcome"]) for act in shown] == known
    assert f"deny: denied ({OPERATOR})" in run("status", "ann").out
    assert "example.test" not in json.dumps(list(run.items()))


def test_a_failed_change_is_in_the_audit_log(run: DeployedStack, ann: UserRef) -> None:
    run.write(ann, Record(status=Status.DELETED))
    run("deny", ann.sub)

    assert run.acts(ann) == [(OPERATOR, "deny", "failed: Refused")]


def test_an_interrupted_change_has_no_outcome(
    run: DeployedStack, ann: UserRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("whop_chat.users.admin.deny", interrupted)

    assert run("deny", ann.sub).status == 130
    assert run.acts(ann) == [(OPERATOR, "deny", None)]
    assert "deny: no outcome" in run("status", ann.sub).out


def test_a_change_that_cannot_be_logged_is_not_made(run: DeployedStack, ann: UserRef) -> None:
    def without_updates(request: httpx.Request) -> httpx.Response:
        if request.headers.get("X-Amz-Target", "").endswith(".UpdateItem"):
            return httpx.Response(400, json={"__type": "AccessDeniedException"})
        return run.cloud.internet(request)

    run.answer_with(without_updates)
    refused = run("--json", "deny", ann.sub)

    assert (refused.status, refused.json["error"]) == (1, "UpdateItem: AccessDeniedException")
    assert run.record(ann) is None
