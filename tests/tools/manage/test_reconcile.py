"""reconcile and report, as an operator runs them."""

import re

import pytest

from tests.tools.manage.deployment import OPERATOR, DeployedStack
from whop_chat.cognito.user import UserRef
from whop_chat.reconcile.command import Command
from whop_chat.sync.queue import Source


def test_reconcile_starts_a_run_and_report_shows_it(run: DeployedStack, ann: UserRef) -> None:
    done = run("--json", "reconcile")

    assert (done.status, done.json["outcome"], done.json["run"]["counts"]["missing"]) == (0, "completed", 1)
    shown = run("--json", "report").json
    assert (shown["report"]["run"], shown["under_way"]) == (done.json["run"]["run"], None)
    assert run.messages() == []
    assert "missing" in run("report").out
    assert "missing" in run("reconcile").out


def test_before_the_first_run_there_is_no_report(run: DeployedStack) -> None:
    refused = run("--json", "report")

    assert (refused.status, refused.json["outcome"]) == (1, "no_report")


def test_a_backfill_needs_a_yes(run: DeployedStack, ann: UserRef) -> None:
    assert run("reconcile", "--backfill").status == 1
    declined = run("--json", "reconcile", "--backfill", says="n")
    assert (declined.status, declined.json["outcome"]) == (1, "declined")
    assert "Whop sends an e-mail to each of them" in declined.err
    assert (run.messages(), run.acts()) == ([], [])

    assert run("reconcile", "--backfill", "--dry-run").status == 0
    assert run.messages() == []

    assert run("reconcile", "--backfill", "--yes").status == 0
    assert [each.user for each in run.messages()] == [ann]
    assert [act[:2] for act in run.acts()] == [
        (OPERATOR, "reconcile backfill dry_run start"),
        (OPERATOR, "reconcile backfill start"),
    ]
    assert f"reconcile backfill start: {run('--json', 'report').json['report']['run']}" in run("report").out


def test_passwordless_users_are_counted_and_included_on_demand(run: DeployedStack) -> None:
    run.cloud.cognito.admin_create_user(
        UserPoolId=run.cloud.pool_id,
        Username="pat",
        UserAttributes=[
            {"Name": "email", "Value": "pat@example.test"},
            {"Name": "email_verified", "Value": "true"},
        ],
    )
    assert run("reconcile", "--include-passwordless").status == 1
    counted = run("--json", "reconcile", "--backfill", "--dry-run").json["run"]["counts"]
    assert (counted["passwordless"], counted["missing"]) == (1, 0)

    assert run("reconcile", "--backfill", "--yes").status == 0
    assert run.messages() == []
    assert run("reconcile", "--backfill", "--include-passwordless", "--yes").status == 0
    assert [each.source for each in run.messages()] == [Source.PASSWORDLESS]


def test_a_second_run_is_refused_and_the_first_can_be_stopped(run: DeployedStack, ann: UserRef) -> None:
    run.seconds = 1.0
    begun = run("--json", "reconcile")
    assert (begun.status, begun.json["outcome"]) == (0, "started")
    assert run("--json", "report").json["under_way"]["run"] == begun.json["run"]["run"]
    assert f"Run {begun.json['run']['run']}: listing" in run("report").out

    second = run("--json", "reconcile")
    assert (second.status, second.json["outcome"]) == (1, "refused")
    assert begun.json["run"]["run"] in second.err
    assert second.json["run"]["run"] == begun.json["run"]["run"]

    stopped = run("--json", "reconcile", "--stop")
    assert (stopped.status, stopped.json["outcome"]) == (0, "stopped")
    assert run("reconcile", "--stop").status == 1


@pytest.mark.parametrize("silent", [False, True])
def test_wait_shows_progress_until_the_run_has_ended(run: DeployedStack, ann: UserRef, silent: bool) -> None:
    run.silent, run.seconds = silent, 1.0
    run.then = lambda: run.reconcile.handle(Command("continue"), lambda: 900.0)
    done = run("--json", "reconcile", "--wait", terminal=True)

    assert (done.status, done.json["outcome"], done.json["run"]["counts"]["seen"]) == (0, "completed", 1)
    assert re.search("reconcile .*1/1", done.err)


def test_a_run_that_was_replaced_is_not_waited_for(run: DeployedStack, ann: UserRef) -> None:
    def replaced() -> None:
        run.reconcile.handle(Command("stop"), lambda: 900.0)
        run.reconcile.handle(Command("start"), lambda: 1.0)

    run.seconds, run.then = 1.0, replaced
    refused = run("--json", "reconcile", "--wait")

    assert (refused.status, refused.json["outcome"]) == (1, "replaced")


def test_a_refusal_of_the_function_is_shown(run: DeployedStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run.reconcile, "handle", lambda *_: {"refused": "AWS did not answer as it should"})

    assert run("reconcile").err == "Reconcile: AWS did not answer as it should.\n"


def test_a_function_that_does_not_answer_is_reported(run: DeployedStack, monkeypatch: pytest.MonkeyPatch) -> None:
    run.silent = True
    monkeypatch.setattr(run.reconcile, "handle", lambda *_: {})

    assert "does not answer" in run("reconcile").err
