"""``dead-letters list``, ``redrive`` and ``discard``: the messages that could not be handled."""

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

from manage.console import Console, timestamp
from manage.dead_letter_queue import DeadLetter, DeadLetterQueue
from manage.deployment import Deployment
from manage.stack import Stack
from manage.throttle import Throttle, add_per_minute

NAME = "dead-letters"
HELP = "list the messages that could not be handled, send them back, or delete those that are not ours"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    each = actions.add_parser("list", help="show what they are about, and how old they are", description="List them.")
    each.add_argument("--limit", metavar="N", type=int, default=100, help="about how many (100)")
    each.set_defaults(action=_list)
    each = actions.add_parser("redrive", help="send them back to the queue", description="Send ours back.")
    add_per_minute(each)
    each.set_defaults(action=_redrive)
    each = actions.add_parser("discard", help="delete those not ours", description="Delete those that are not ours.")
    each.add_argument("--yes", action="store_true", help="do not ask")
    each.set_defaults(action=_discard)


def run(arguments: argparse.Namespace, stack: Stack, console: Console) -> int:
    """Do the action and return the exit status. Raises `Refused` and `NotDone`."""
    status: int = arguments.action(arguments, Deployment(stack), console)
    return status


def _list(arguments: argparse.Namespace, deployment: Deployment, console: Console) -> int:
    queue = DeadLetterQueue(deployment)
    count = queue.count()
    with queue.sweep(limit=arguments.limit) as batches:
        letters = [each for batch in batches for each in batch]
    messages = [_as_data(each) for each in sorted(letters, key=lambda each: each.sent_at)]
    lines = [f"{count} dead letters{f'; {len(messages)} of them' if count > len(messages) else ''}:"]
    lines += [
        f"  {each['id']} of {each['sent_at']} ({each['age_hours']:.1f} h ago): "
        + (f"{each['source']} of user {each['sub']}" if each["ours"] else "not ours")
        + (f", run {each['run']}" if each["run"] else "")
        for each in messages
    ]
    console.answer(
        "\n".join(lines) if count or messages else "There are no dead letters.",
        outcome="shown",
        **deployment.as_data(),
        count=max(count, len(messages)),
        messages=messages,
    )
    return 0


def _redrive(arguments: argparse.Namespace, deployment: Deployment, console: Console) -> int:
    queue, throttle = DeadLetterQueue(deployment), Throttle(arguments.per_minute)

    def send_back(letters: Sequence[DeadLetter]) -> None:
        throttle.wait(len(letters))
        queue.send_back(letters)

    with deployment.audit.entry("dead-letters redrive") as entry:
        sent, left = _handle(queue, console, "sending back", send_back, ours=True)
        entry.outcome = f"{sent} sent back"
    text = f"{sent} sent back."
    if left:
        text += f" {left} stay: they are not ours and would return at once. `dead-letters discard` deletes them."
    console.answer(text, outcome="redriven", **deployment.as_data(), sent=sent, left=left)
    return 0


def _discard(arguments: argparse.Namespace, deployment: Deployment, console: Console) -> int:
    queue, data = DeadLetterQueue(deployment), deployment.as_data()
    console.say("This deletes every message that is not ours, for good.")
    console.approve("Delete them?", data, yes=arguments.yes, otherwise="Nothing was deleted.")
    with deployment.audit.entry("dead-letters discard") as entry:
        deleted, left = _handle(queue, console, "deleting", queue.discard, ours=False)
        entry.outcome = f"{deleted} deleted"
    console.answer(f"{deleted} deleted, {left} left.", outcome="discarded", **data, deleted=deleted, left=left)
    return 0


def _handle(
    queue: DeadLetterQueue, console: Console, title: str, do: Callable[[Sequence[DeadLetter]], None], *, ours: bool
) -> tuple[int, int]:
    """Do it to the messages that are ``ours``, or to the others. Returns their number, and how many are left."""
    done = left = 0
    with console.progress(title, queue.count()) as progress, queue.sweep() as batches:
        for letters in batches:
            chosen = [each for each in letters if (each.content is not None) is ours]
            if chosen:
                do(chosen)
            done, left = done + len(chosen), left + len(letters) - len(chosen)
            progress.show(done + left)
    return done, left


def _as_data(letter: DeadLetter) -> dict[str, Any]:
    """A message for a JSON answer, without the user name: it can be an e-mail address."""
    return {
        "id": letter.id,
        "sent_at": timestamp(letter.sent_at),
        "age_hours": round((time.time() - letter.sent_at) / 3600, 1),
        "ours": letter.content is not None,
        "sub": letter.content.user.sub if letter.content else None,
        "source": letter.content.source if letter.content else None,
        "run": letter.content.run if letter.content else None,
    }
