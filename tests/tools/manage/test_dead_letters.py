"""dead-letters, as an operator runs it."""

import re
from typing import Any

import pytest

from manage.dead_letter_queue import DeadLetterQueue
from tests.tools.manage.deployment import OPERATOR, DeployedStack
from whop_chat.cognito.user import UserRef
from whop_chat.sync.queue import Source, encode


def letters(run: DeployedStack, *bodies: str) -> None:
    for body in bodies:
        run.cloud.sqs.send_message(QueueUrl=run.cloud.dead_letter_queue_url, MessageBody=body)


def bodies(run: DeployedStack, url: str) -> list[str]:
    return sorted(message.body for message in run.queue(url)._messages)


def receivable(run: DeployedStack) -> list[str]:
    """Up to ten dead letters that can be received now."""
    found = run.cloud.sqs.receive_message(
        QueueUrl=run.cloud.dead_letter_queue_url, MaxNumberOfMessages=10, VisibilityTimeout=0
    )
    return sorted(message["Body"] for message in found.get("Messages", []))


@pytest.fixture
def ours(run: DeployedStack) -> list[str]:
    """Messages about 25 users with e-mail addresses as user names: more than SQS returns at once."""
    users = [
        UserRef(pool_id=run.cloud.pool_id, sub=f"sub-{number}", username=f"user-{number}@example.test")
        for number in range(25)
    ]
    bodies = sorted(encode(user, Source.CHANGE) for user in users)
    letters(run, *bodies)
    return bodies


@pytest.fixture
def not_ours(run: DeployedStack) -> list[str]:
    """A message of another program, and one of another pool."""
    bodies = sorted(["somebody@example.test", encode(UserRef("eu-west-1_Other", "sub-x", "x"), Source.CHANGE)])
    letters(run, *bodies)
    return bodies


def test_list_shows_the_messages_and_nothing_personal(run: DeployedStack, ours: list[str], not_ours: list[str]) -> None:
    shown = run("--json", "dead-letters", "list")
    answer = shown.json

    assert (shown.status, answer["count"], len(answer["messages"])) == (0, 27, 27)
    assert {each["sub"] for each in answer["messages"] if each["ours"]} == {f"sub-{number}" for number in range(25)}
    assert {each["source"] for each in answer["messages"] if each["ours"]} == {"change"}
    for_a_person = run("dead-letters", "list").out
    assert (for_a_person.count("not ours"), "change of user sub-3" in for_a_person) == (2, True)
    assert "example.test" not in shown.out + for_a_person
    assert len(receivable(run)) == 10


def test_a_long_list_is_cut_and_says_so(run: DeployedStack, ours: list[str]) -> None:
    assert run("dead-letters", "list", "--limit", "10").out.startswith("25 dead letters; 10 of them:")
    assert "no dead letters" not in run("dead-letters", "list").out


def test_without_dead_letters_there_is_nothing_to_do(run: DeployedStack) -> None:
    assert run("dead-letters", "list").out == "There are no dead letters.\n"
    assert run("--json", "dead-letters", "redrive").json["sent"] == 0


def test_redrive_sends_ours_back_and_leaves_the_rest(run: DeployedStack, ours: list[str], not_ours: list[str]) -> None:
    done = run("--json", "dead-letters", "redrive", terminal=True)

    assert (done.status, done.json["sent"], done.json["left"]) == (0, 25, 2)
    assert bodies(run, run.cloud.queue_url) == ours
    assert receivable(run) == not_ours
    assert re.search("sending back .*27/27", done.err)
    assert run.acts() == [(OPERATOR, "dead-letters redrive", "25 sent back")]
    assert "2 stay" in run("dead-letters", "redrive").out


def test_redrive_does_not_flood_the_queue(run: DeployedStack, ours: list[str]) -> None:
    run("dead-letters", "redrive", "--per-minute", "60")

    # Ten, ten and five, ten seconds apart.
    assert run.slept == pytest.approx(2 * 10)


def test_redrive_ends_although_messages_come_back(
    run: DeployedStack, ours: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    send_back = DeadLetterQueue.send_back

    def returning(queue: DeadLetterQueue, letters: Any) -> None:
        send_back(queue, letters)
        assert len(run.messages()) <= 25
        for each in letters:
            run.cloud.sqs.send_message(QueueUrl=run.cloud.dead_letter_queue_url, MessageBody=each.body)

    monkeypatch.setattr(DeadLetterQueue, "send_back", returning)

    assert run("--json", "dead-letters", "redrive").json["sent"] == 25


@pytest.mark.thorough
@pytest.mark.parametrize("at", range(1, 12))
def test_a_redrive_killed_at_any_call_loses_nothing(run: DeployedStack, ours: list[str], at: int) -> None:
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
        message.visible_at = 0  # SQS shows it again.
    assert run("dead-letters", "redrive").status == 0

    assert set(bodies(run, run.cloud.queue_url)) == set(ours)
    assert bodies(run, run.cloud.dead_letter_queue_url) == []


def test_discard_asks_and_deletes_what_is_not_ours(run: DeployedStack, ours: list[str], not_ours: list[str]) -> None:
    assert run("dead-letters", "discard").status == 1
    assert run("--json", "dead-letters", "discard", says="n").json["outcome"] == "declined"
    assert len(bodies(run, run.cloud.dead_letter_queue_url)) == 27

    done = run("--json", "dead-letters", "discard", "--yes")
    assert (done.status, done.json["deleted"], done.json["left"]) == (0, 2, 25)
    assert bodies(run, run.cloud.dead_letter_queue_url) == ours
    assert run.acts() == [(OPERATOR, "dead-letters discard", "2 deleted")]


def test_a_message_that_sqs_refuses_stays(run: DeployedStack, ours: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = {"Failed": [{"Id": "0", "Code": "InternalError", "SenderFault": False}]}
    monkeypatch.setattr(run.sqs, "send_message_batch", lambda **_: refusal)
    refused = run("dead-letters", "redrive")

    assert (refused.status, "InternalError" in refused.err) == (1, True)
    assert bodies(run, run.cloud.dead_letter_queue_url) == ours


def test_discard_suggests_no_option_that_it_lacks(run: DeployedStack) -> None:
    refused = run("dead-letters", "discard")

    assert (refused.status, "--yes" in refused.err, "--dry-run" in refused.err) == (1, True, False)
