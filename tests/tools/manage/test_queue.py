"""reconcile, report and dead-letters, as an operator runs them."""

import re
from typing import Any

import pytest

from manage.dead_letter_queue import DeadLetterQueue
from tests.tools.manage.deployment import OPERATOR, DeployedStack
from whop_chat.cognito.user import UserRef
from whop_chat.reconcile.command import Order
from whop_chat.sync.queue import Source, encode


@pytest.fixture
def ann(run: DeployedStack) -> UserRef:
    """Somebody who was never enrolled."""
    return run.cloud.sign_up("ann")


# -- reconcile and report


def test_reconcile_begins_a_run_and_report_tells_of_it(run: DeployedStack, ann: UserRef) -> None:
    done = run("--json", "reconcile")

    assert (done.status, done.json["outcome"], done.json["run"]["counts"]["missing"]) == (0, "completed", 1)
    told = run("--json", "report").json
    assert (told["report"]["run"], told["under_way"]) == (done.json["run"]["run"], None)
    assert run.messages() == []
    assert "missing" in run("report").out
    assert "missing" in run("reconcile").out


def test_before_the_first_run_there_is_no_report(run: DeployedStack) -> None:
    refused = run("--json", "report")

    assert (refused.status, refused.json["outcome"]) == (1, "no_report")


def test_a_backfill_is_asked_for_because_whop_writes_to_people(run: DeployedStack, ann: UserRef) -> None:
    assert run("reconcile", "--backfill").status == 1
    declined = run("--json", "reconcile", "--backfill", says="n")
    assert (declined.status, declined.json["outcome"]) == (1, "declined")
    assert "Whop sends each of them an e-mail" in declined.err
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


def test_a_second_run_is_refused_and_the_first_can_be_stopped(run: DeployedStack, ann: UserRef) -> None:
    run.seconds = 1.0
    begun = run("--json", "reconcile")
    assert (begun.status, begun.json["outcome"]) == (0, "started")
    assert run("--json", "report").json["under_way"]["run"] == begun.json["run"]["run"]
    assert f"Run {begun.json['run']['run']}: listing" in run("report").out

    second = run("--json", "reconcile")
    assert (second.status, second.json["outcome"]) == (1, "refused")
    assert second.json["run"]["run"] == begun.json["run"]["run"]

    stopped = run("--json", "reconcile", "--stop")
    assert (stopped.status, stopped.json["outcome"]) == (0, "stopped")
    assert run("reconcile", "--stop").status == 1


@pytest.mark.parametrize("silent", [False, True])
def test_wait_waits_for_the_end_and_shows_how_far_it_is(run: DeployedStack, ann: UserRef, silent: bool) -> None:
    run.silent, run.seconds = silent, 1.0
    run.then = lambda: run.reconcile.handle(Order("continue"), lambda: 900.0)
    done = run("--json", "reconcile", "--wait", terminal=True)

    assert (done.status, done.json["outcome"], done.json["run"]["counts"]["seen"]) == (0, "completed", 1)
    assert re.search("reconcile .*1/1", done.err)


def test_a_run_that_another_takes_the_place_of_is_not_waited_for(run: DeployedStack, ann: UserRef) -> None:
    def replaced() -> None:
        run.reconcile.handle(Order("stop"), lambda: 900.0)
        run.reconcile.handle(Order("start"), lambda: 1.0)

    run.seconds, run.then = 1.0, replaced
    refused = run("--json", "reconcile", "--wait")

    assert (refused.status, refused.json["outcome"]) == (1, "replaced")


def test_a_function_that_fails_is_said_to(run: DeployedStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run.reconcile, "handle", lambda *_: {"refused": "AWS did not answer as it should"})

    assert run("reconcile").err == "Reconcile: AWS did not answer as it should.\n"


def test_a_function_that_says_nothing_and_does_nothing_is_said_to(
    run: DeployedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.silent = True
    monkeypatch.setattr(run.reconcile, "handle", lambda *_: {})

    assert "does not answer" in run("reconcile").err


# -- dead letters


def letters(run: DeployedStack, *bodies: str) -> None:
    for body in bodies:
        run.cloud.sqs.send_message(QueueUrl=run.cloud.dead_letter_queue_url, MessageBody=body)


def bodies(run: DeployedStack, url: str) -> list[str]:
    return sorted(message.body for message in run.queue(url)._messages)


def receivable(run: DeployedStack) -> list[str]:
    """Up to ten dead letters that anybody can receive now."""
    found = run.cloud.sqs.receive_message(
        QueueUrl=run.cloud.dead_letter_queue_url, MaxNumberOfMessages=10, VisibilityTimeout=0
    )
    return sorted(message["Body"] for message in found.get("Messages", []))


@pytest.fixture
def ours(run: DeployedStack) -> list[str]:
    """Messages about 25 users whose user names are addresses, more than SQS hands out at once."""
    users = [
        UserRef(pool_id=run.cloud.pool_id, sub=f"sub-{number}", username=f"user-{number}@example.test")
        for number in range(25)
    ]
    bodies = sorted(encode(user, Source.CHANGE) for user in users)
    letters(run, *bodies)
    return bodies


@pytest.fixture
def not_ours(run: DeployedStack) -> list[str]:
    """What is no message of ours, or of another pool."""
    bodies = sorted(["somebody@example.test", encode(UserRef("eu-west-1_Other", "sub-x", "x"), Source.CHANGE)])
    letters(run, *bodies)
    return bodies


def test_the_list_says_what_there_is_and_nothing_personal(
    run: DeployedStack, ours: list[str], not_ours: list[str]
) -> None:
    told = run("--json", "dead-letters", "list")
    answer = told.json

    assert (told.status, answer["count"], len(answer["messages"])) == (0, 27, 27)
    assert {each["sub"] for each in answer["messages"] if each["ours"]} == {f"sub-{number}" for number in range(25)}
    assert {each["source"] for each in answer["messages"] if each["ours"]} == {"change"}
    for_a_person = run("dead-letters", "list").out
    assert (for_a_person.count("not ours"), "change of user sub-3" in for_a_person) == (2, True)
    assert "example.test" not in told.out + for_a_person
    assert len(receivable(run)) == 10


def test_a_long_list_is_cut_and_says_so(run: DeployedStack, ours: list[str]) -> None:
    assert run("dead-letters", "list", "--limit", "10").out.startswith("25 dead letters; 10 of them:")
    assert "no dead letters" not in run("dead-letters", "list").out


def test_without_dead_letters_there_is_nothing_to_do(run: DeployedStack) -> None:
    assert run("dead-letters", "list").out == "There are no dead letters.\n"
    assert run("--json", "dead-letters", "redrive").json["sent"] == 0


def test_redrive_sends_back_what_is_ours_and_leaves_the_rest(
    run: DeployedStack, ours: list[str], not_ours: list[str]
) -> None:
    done = run("--json", "dead-letters", "redrive", terminal=True)

    assert (done.status, done.json["sent"], done.json["left"]) == (0, 25, 2)
    assert bodies(run, run.cloud.queue_url) == ours
    assert receivable(run) == not_ours
    assert re.search("sending back .*27/27", done.err)
    assert run.acts() == [(OPERATOR, "dead-letters redrive", "25 sent back")]
    assert "2 stay" in run("dead-letters", "redrive").out


def test_redrive_does_not_flood_the_queue(run: DeployedStack, ours: list[str]) -> None:
    run("dead-letters", "redrive", "--per-minute", "60")

    # Ten, ten and five; the clock stands still while nobody really sleeps.
    assert run.slept == pytest.approx(10 + 20, abs=5)


def test_what_comes_back_during_a_redrive_is_left_for_the_next_one(
    run: DeployedStack, ours: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    send_back = DeadLetterQueue.send_back

    def returning(queue: DeadLetterQueue, letters: Any) -> None:
        send_back(queue, letters)
        for each in letters:
            run.cloud.sqs.send_message(QueueUrl=run.cloud.dead_letter_queue_url, MessageBody=each.body)

    monkeypatch.setattr(DeadLetterQueue, "send_back", returning)

    assert run("--json", "dead-letters", "redrive").json["sent"] == 25


@pytest.mark.thorough
@pytest.mark.parametrize("at", range(1, 12))
def test_a_redrive_that_is_killed_at_any_call_loses_nothing(run: DeployedStack, ours: list[str], at: int) -> None:
    class Killed(BaseException):
        pass

    calls = 0

    def kill(**_: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            raise Killed

    events = run.sqs.meta.events
    for when in ("before-send", "after-call"):
        events.register(f"{when}.sqs", kill, unique_id=when)
    try:
        with pytest.raises(Killed):
            run("dead-letters", "redrive")
    finally:
        for when in ("before-send", "after-call"):
            events.unregister(f"{when}.sqs", unique_id=when)
    for message in run.queue(run.cloud.dead_letter_queue_url)._messages:
        message.visible_at = 0  # The time for which it was hidden is over.
    assert run("dead-letters", "redrive").status == 0

    assert set(bodies(run, run.cloud.queue_url)) == set(ours)
    assert bodies(run, run.cloud.dead_letter_queue_url) == []


def test_discard_deletes_what_is_not_ours_and_asks_first(
    run: DeployedStack, ours: list[str], not_ours: list[str]
) -> None:
    assert run("dead-letters", "discard").status == 1
    assert run("--json", "dead-letters", "discard", says="n").json["outcome"] == "declined"
    assert len(bodies(run, run.cloud.dead_letter_queue_url)) == 27

    done = run("--json", "dead-letters", "discard", "--yes")
    assert (done.status, done.json["deleted"], done.json["left"]) == (0, 2, 25)
    assert bodies(run, run.cloud.dead_letter_queue_url) == ours
    assert run.acts() == [(OPERATOR, "dead-letters discard", "2 deleted")]


def test_a_message_that_sqs_does_not_take_stays(
    run: DeployedStack, ours: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = {"Failed": [{"Id": "0", "Code": "InternalError", "SenderFault": False}]}
    monkeypatch.setattr(run.sqs, "send_message_batch", lambda **_: refusal)
    refused = run("dead-letters", "redrive")

    assert (refused.status, "InternalError" in refused.err) == (1, True)
    assert bodies(run, run.cloud.dead_letter_queue_url) == ours
