"""reconcile and report, as an operator runs them."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.moto_aws import AN_HOUR, aws_at_moto
from tests.tools.manage.deployment import LINKED, OPERATOR, DeployedStack
from whop_chat.cognito.user import UserRef
from whop_chat.reconcile.command import Command
from whop_chat.reconcile.run import USERS_PER_MINUTE
from whop_chat.sync.queue import Source, SyncMessage
from whop_chat.users.runs import DynamoDBRuns, State


def runs_of(run: DeployedStack) -> DynamoDBRuns:
    return DynamoDBRuns(aws_at_moto(), "users", run.cloud.pool_id)


def settle(run: DeployedStack, *messages: SyncMessage, state: State = State.ENROLLED) -> None:
    """What `sync_user` counts for these messages, which are gone from the queue."""
    for message in messages:
        assert message.run is not None
        runs_of(run).advance(message.run, [message.user.sub], state, deadline=AN_HOUR)
    queue = run.queue(run.cloud.queue_url)._messages
    queue[:] = queue[len(messages) :]


def once(act: Callable[[], None]) -> Callable[[], None]:
    """``act``, the first time only."""
    acts = iter([act])

    def acted() -> None:
        for each in acts:
            each()

    return acted


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


# To the end of a run


def test_handed_on_and_enrolled_are_told_apart(run: DeployedStack, ann: UserRef) -> None:
    begun = run("--json", "reconcile", "--backfill", "--yes").json
    assert (begun["outcome"], begun["run"]["outcome"]) == ("completed", "completed")
    assert (begun["users"]["handed_on"], begun["users"]["enrolled"], begun["users"]["waiting"]) == (1, 0, 1)
    shown = run("report").out
    assert re.search(r"handed_on +1\n  waiting +1\n", shown)

    settle(run, *run.messages())
    assert run("--json", "report").json["users"][begun["run"]["run"]]["enrolled"] == 1
    assert re.search(r"handed_on +1\n  enrolled +1\n", run("report").out)


def test_wait_lasts_until_all_users_are_settled(run: DeployedStack, ann: UserRef) -> None:
    run.cloud.sign_up("bob")
    run.then = lambda: settle(run, *run.messages()[:1])
    done = run("--json", "reconcile", "--backfill", "--wait", "--yes", terminal=True)

    assert (done.status, done.json["outcome"]) == (0, "completed")
    assert (done.json["users"]["enrolled"], done.json["users"]["waiting"]) == (2, 0)
    assert re.search("2 handed on, 2 enrolled .*2/2", done.err)


def test_messages_that_are_neither_handled_nor_on_the_queue_are_dead_letters(run: DeployedStack, ann: UserRef) -> None:
    run.then = run.queue(run.cloud.queue_url)._messages.clear
    done = run("--json", "reconcile", "--backfill", "--wait", "--yes")

    assert (done.status, done.json["outcome"], done.json["users"]["waiting"]) == (1, "incomplete", 1)
    assert "look at `dead-letters list`" in run("reconcile", "--watch").out


def test_a_delayed_message_is_waited_for(run: DeployedStack, ann: UserRef) -> None:
    polls = iter(range(100))

    def delayed() -> None:
        (message,) = run.queue(run.cloud.queue_url)._messages
        message.delayed_until = 1e15
        if next(polls) == 70:
            settle(run, *run.messages())

    run.then = delayed
    assert run("--json", "reconcile", "--backfill", "--wait", "--yes").json["outcome"] == "completed"


@pytest.mark.parametrize("options", [(), ("--limit", "5")])
def test_who_stops_waiting_leaves_the_run_going_and_learns_how_to_come_back(
    run: DeployedStack, ann: UserRef, options: tuple[str, ...]
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    run.then = interrupted
    left = run("--json", "reconcile", "--backfill", "--wait", "--yes", *options)
    run_id = left.json["run"]["run"]
    assert (left.status, left.json["outcome"]) == (130, "interrupted")
    assert len(run.messages()) == 1

    run.then = lambda: settle(run, *run.messages())
    watched = run("--json", "reconcile", "--watch", run_id, terminal=True)
    assert (watched.status, watched.json["outcome"], watched.json["users"]["enrolled"]) == (0, "completed", 1)
    assert "1 handed on, 1 enrolled" in watched.err


def test_the_text_says_how_to_watch_and_to_stop_a_run(run: DeployedStack, ann: UserRef) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    started = run("reconcile", "--backfill", "--yes")
    assert re.search(r"`reconcile --watch (\S+)` shows it, and `reconcile --stop \1` stops it", started.out)
    run.then = interrupted
    assert re.search(r"continues.*`reconcile --stop \S+` stops it", run("reconcile", "--watch").out)


# Stopping


def test_a_stop_says_how_many_are_enrolled_and_how_many_are_not(run: DeployedStack) -> None:
    for name in ("ann", "bob", "cy", "dan", "eve"):
        run.cloud.sign_up(name)
    run("reconcile", "--backfill", "--yes")
    first, second, third, fourth, _ = run.messages()
    settle(run, first)
    settle(run, second, state=State.LEFT)
    # A sync that was under way when the run was stopped, and one whose create had no answer before.

    def finished() -> None:
        settle(run, third)
        settle(run, fourth, state=State.UNKNOWN)

    run.then = once(finished)
    stopped = run("--json", "reconcile", "--stop").json

    assert stopped["outcome"] == "stopped"
    counts = [stopped[name] for name in ("enrolled", "not_enrolled", "waiting", "unknown")]
    assert counts == [2, 1, 1, 1]
    assert runs_of(run).is_stopped(stopped["run"]["run"], deadline=AN_HOUR)
    again = run("reconcile", "--stop")
    assert "2 of its users are enrolled, and 1 are not." in again.out
    assert "Messages of 1 more still wait" in again.out
    assert "Of 1 more nobody knows" in again.out


def test_a_run_by_its_id_can_be_stopped_while_another_is_the_last(run: DeployedStack, ann: UserRef) -> None:
    first = run("--json", "reconcile", "--backfill", "--yes").json["run"]["run"]
    second = run("--json", "reconcile").json["run"]["run"]
    stopped = run("--json", "reconcile", "--stop", first).json

    assert (stopped["run"]["run"], stopped["not_enrolled"], stopped["waiting"]) == (first, 0, 1)
    assert runs_of(run).is_stopped(first, deadline=AN_HOUR)
    assert not runs_of(run).is_stopped(second, deadline=AN_HOUR)
    assert run.acts()[-1][1:] == ("reconcile stop", first)


@pytest.mark.parametrize("option", ["--stop", "--watch"])
def test_a_run_that_is_not_known_is_refused(run: DeployedStack, option: str) -> None:
    refused = run("--json", "reconcile", option, "20270115T080000Z-0a1b2c")

    assert (refused.status, refused.json["outcome"]) == (1, "unknown_run")
    assert run("reconcile", "--watch").status == 1


# A pilot


@pytest.fixture
def people(run: DeployedStack) -> dict[str, UserRef]:
    """Five users without a record, one who is linked, and one without a verified address."""
    found = {name: run.cloud.sign_up(name) for name in ("ann", "bob", "cy", "dan", "eve", "lin", "una")}
    run.write(found["lin"], LINKED)
    run.cloud.cognito.admin_update_user_attributes(
        UserPoolId=run.cloud.pool_id, Username="una", UserAttributes=[{"Name": "email_verified", "Value": "false"}]
    )
    return found


def test_a_limit_enrols_so_many_and_no_more(run: DeployedStack, people: dict[str, UserRef]) -> None:
    first = run("--json", "reconcile", "--backfill", "--limit", "2", "--yes")
    run_id = first.json["run"]["run"]
    assert (first.status, first.json["outcome"], first.json["users"]["handed_on"]) == (0, "handed_on", 2)
    assert {(each.source, each.run) for each in run.messages()} == {(Source.ENROL, run_id)}
    assert run.acts()[-1] == (OPERATOR, f"reconcile backfill of 2 users, run {run_id}", "handed_on")

    rest = run("--json", "reconcile", "--backfill", "--limit", "100", "--yes")
    assert rest.json["users"]["handed_on"] == 5
    assert {each.user.sub for each in run.messages()} == {
        people[name].sub for name in ("ann", "bob", "cy", "dan", "eve")
    }


def test_a_pilot_asks_with_the_number_and_says_that_whop_mails_everybody(
    run: DeployedStack, people: dict[str, UserRef]
) -> None:
    declined = run("--json", "reconcile", "--backfill", "--limit", "3", says="n")

    assert (declined.status, declined.json["outcome"]) == (1, "declined")
    assert re.search("This enrols these 3 users of .*, and Whop sends an e-mail to each of them", declined.err)
    assert (run.messages(), run.acts()) == ([], [])


def test_a_group_is_enrolled(run: DeployedStack, people: dict[str, UserRef]) -> None:
    cognito, pool_id = run.cloud.cognito, run.cloud.pool_id
    cognito.create_group(UserPoolId=pool_id, GroupName="beta")
    for name in ("bob", "lin", "una"):
        cognito.admin_add_user_to_group(UserPoolId=pool_id, Username=name, GroupName="beta")
    done = run("--json", "reconcile", "--backfill", "--group", "beta", "--yes")

    assert [each.user for each in run.messages()] == [people["bob"]]
    assert done.json["users"]["handed_on"] == 1
    unknown = run("--json", "reconcile", "--backfill", "--group", "gamma", "--yes")
    assert (unknown.status, unknown.json["outcome"]) == (1, "unknown_group")


def test_a_file_names_users_by_address_or_by_sub(
    run: DeployedStack, people: dict[str, UserRef], tmp_path: Path
) -> None:
    emails, subs = tmp_path / "emails", tmp_path / "subs"
    emails.write_text("\ufeffann@example.test\n\nnobody@example.test\n bob@example.test \nann@example.test\n")
    subs.write_text(f"{people['cy'].sub}\nno sub\n{people['lin'].sub}\n")

    dry = run("--json", "reconcile", "--backfill", "--emails-from", str(emails), "--dry-run")
    assert (dry.status, dry.json["outcome"]) == (0, "dry_run")
    assert (dry.json["counts"]["to_enrol"], dry.json["lines_not_found"]) == (2, [3])
    assert (run.messages(), run.acts()) == ([], [])
    run("reconcile", "--backfill", "--emails-from", str(emails), "--yes")
    assert {each.user.sub for each in run.messages()} == {people["ann"].sub, people["bob"].sub}

    shown = run("reconcile", "--backfill", "--subs-from", str(subs), "--yes").out
    assert "these lines say: 2" in shown
    assert "@" not in shown
    assert run.messages()[-1].user == people["cy"]
    assert len(run.messages()) == 3


@pytest.mark.parametrize(
    ("changed", "email", "left_out"), [("bob", "ann@example.test", 2), ("ann", "lin@example.test", 1)]
)
def test_who_has_the_address_of_another_is_left_out_whether_that_one_is_linked_or_not(
    run: DeployedStack, people: dict[str, UserRef], tmp_path: Path, changed: str, email: str, left_out: int
) -> None:
    """``lin`` is linked, ``ann`` is not."""
    run.cloud.cognito.admin_update_user_attributes(
        UserPoolId=run.cloud.pool_id,
        Username=changed,
        UserAttributes=[{"Name": "email", "Value": email}, {"Name": "email_verified", "Value": "true"}],
    )
    emails = tmp_path / "emails"
    emails.write_text(f"{email}\n")
    done = run("--json", "reconcile", "--backfill", "--emails-from", str(emails), "--yes")

    assert (done.status, done.json["outcome"], done.json["counts"]["ambiguous"]) == (0, "nothing_to_do", left_out)
    assert run.messages() == []


def test_a_file_that_cannot_be_read_is_refused(run: DeployedStack, tmp_path: Path) -> None:
    refused = run("--json", "reconcile", "--backfill", "--subs-from", str(tmp_path / "missing"))
    assert (refused.status, refused.json["outcome"]) == (1, "unreadable_file")


@pytest.mark.parametrize(
    "options", [("--limit", "1"), ("--group", "beta"), ("--emails-from", "f"), ("--subs-from", "f")]
)
def test_a_selection_is_one_of_a_backfill(run: DeployedStack, options: tuple[str, str]) -> None:
    assert "go with --backfill" in run("reconcile", *options).err


def test_a_pilot_is_refused_while_the_function_enqueues(run: DeployedStack, people: dict[str, UserRef]) -> None:
    run.seconds = 1.0
    begun = run("--json", "reconcile").json["run"]["run"]
    refused = run("--json", "reconcile", "--backfill", "--limit", "1", "--yes")

    assert (refused.status, refused.json["outcome"]) == (1, "refused")
    assert begun in refused.err
    assert run.messages() == []


def test_a_pilot_hands_on_at_the_pace_of_a_run(run: DeployedStack) -> None:
    for number in range(25):
        run.cloud.sign_up(f"user-{number}")
    run("reconcile", "--backfill", "--limit", "25", "--yes")

    # 300 a minute: each batch of ten two seconds after the one before.
    assert run.slept == pytest.approx(2 * 2)


def test_a_pilot_hands_on_nobody_to_a_full_queue(run: DeployedStack) -> None:
    for number in range(15):
        run.cloud.sign_up(f"user-{number}")
    body = '{"version": 1}'
    for _ in range(USERS_PER_MINUTE // 10 + 1):
        entries = [{"Id": str(number), "MessageBody": body} for number in range(10)]
        run.cloud.sqs.send_message_batch(QueueUrl=run.cloud.queue_url, Entries=entries)
    queue = run.queue(run.cloud.queue_url)._messages
    waited: list[int] = []

    def drained() -> None:
        waited.append(len(queue))
        if len(waited) == 3:
            queue.clear()

    run.then = drained
    done = run("--json", "reconcile", "--backfill", "--limit", "15", "--yes")

    assert done.json["users"]["handed_on"] == 15
    assert waited == [USERS_PER_MINUTE + 10] * 3


def test_a_pilot_that_is_stopped_does_not_wait_for_a_full_queue(run: DeployedStack) -> None:
    for number in range(15):
        run.cloud.sign_up(f"user-{number}")
    queue = run.queue(run.cloud.queue_url)._messages

    def filled_and_stopped() -> None:
        if len(queue) == 10:
            runs_of(run).stop(str(run.messages()[0].run), deadline=AN_HOUR)
            for _ in range(USERS_PER_MINUTE):
                run.cloud.sqs.send_message(QueueUrl=run.cloud.queue_url, MessageBody="{}")

    run.then = filled_and_stopped
    done = run("--json", "reconcile", "--backfill", "--limit", "15", "--yes")

    assert (done.json["outcome"], done.json["users"]["handed_on"]) == ("stopped", 10)


def test_a_pilot_that_is_stopped_hands_on_nobody_else(run: DeployedStack) -> None:
    for number in range(25):
        run.cloud.sign_up(f"user-{number}")

    def stopped() -> None:
        if run.messages():
            runs_of(run).stop(str(run.messages()[0].run), deadline=AN_HOUR)

    run.then = stopped
    done = run("--json", "reconcile", "--backfill", "--limit", "25", "--yes")

    assert (done.json["outcome"], done.json["users"]["handed_on"]) == ("stopped", 10)
    assert len(run.messages()) == 10
