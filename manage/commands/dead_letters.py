"""``dead-letters list``, ``redrive``, ``discard``: the messages that nobody could handle."""

import argparse
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from manage import throttle
from manage.console import Console
from manage.dead_letter_queue import DeadLetter, DeadLetterQueue
from manage.deployment import Deployment
from manage.stack import Stack
from manage.throttle import Throttle

NAME = "dead-letters"
HELP = "list the messages that nobody could handle, send them back, or delete those that are not ours"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    each = actions.add_parser("list", help="what they are about and how old they are", description="Look at them.")
    each.add_argument("--limit", metavar="N", type=int, default=100, help="how many, about (100)")
    each.set_defaults(action=_list)
    each = actions.add_parser("redrive", help="send them back to the queue", description="Send back what is ours.")
    throttle.add_argument(each)
    each.set_defaults(action=_redrive)
    each = actions.add_parser("discard", help="delete what is not ours", description="Delete what is not ours.")
    each.add_argument("--yes", action="store_true", help="do not ask")
    each.set_defaults(action=_discard)


def run(arguments: argparse.Namespace, stack: Stack, console: Console) -> int:
    """Do the one or the other; the exit status. Raises `Refused`."""
    status: int = arguments.action(arguments, Deployment(stack), console)
    return status


def _list(arguments: argparse.Namespace, deployment: Deployment, console: Console) -> int:
    queue, found = DeadLetterQueue(deployment), list[DeadLetter]()

    def look(letters: Sequence[DeadLetter]) -> Sequence[DeadLetter]:
        found.extend(letters)
        return letters

    count = queue.count()
    queue.sweep(look, limit=arguments.limit)
    messages = [_as_data(letter) for letter in sorted(found, key=lambda each: each.sent_at)]
    lines = [f"{count} dead letters{f'; {len(messages)} of them' if count > len(messages) else ''}:"]
    lines += [
        f"  {each['id']} of {each['sent_at']} ({each['age_hours']:.1f} h ago): "
        + (f"{each['source']} of user {each['sub']}" if each["ours"] else "not ours")
        for each in messages
    ]
    console.answer(
        "\n".join(lines) if count or messages else "There are no dead letters.",
        outcome="shown",
        **_where(deployment),
        count=max(count, len(messages)),
        messages=messages,
    )
    return 0


def _redrive(arguments: argparse.Namespace, deployment: Deployment, console: Console) -> int:
    queue, throttle = DeadLetterQueue(deployment), Throttle(arguments.per_minute)

    def send_back(letters: Sequence[DeadLetter]) -> None:
        throttle.wait(len(letters))
        queue.send_back(letters)

    with deployment.audit.act("dead-letters redrive") as act:
        sent, left = _work_through(queue, console, "sending back", send_back, ours=True)
        act.outcome = f"{sent} sent back"
    text = f"{sent} sent back."
    if left:
        text += f" {left} stay: they are not ours and would return at once. `dead-letters discard` deletes them."
    console.answer(text, outcome="redriven", **_where(deployment), sent=sent, left=left)
    return 0


def _discard(arguments: argparse.Namespace, deployment: Deployment, console: Console) -> int:
    queue = DeadLetterQueue(deployment)
    console.say("Every message that is not ours is deleted for good.")
    if not arguments.yes and not console.confirm("Delete them?"):
        console.answer("Nothing was deleted.", outcome="declined", **_where(deployment))
        return 1
    with deployment.audit.act("dead-letters discard") as act:
        deleted, left = _work_through(queue, console, "deleting", queue.discard, ours=False)
        act.outcome = f"{deleted} deleted"
    console.answer(
        f"{deleted} deleted, {left} left.", outcome="discarded", **_where(deployment), deleted=deleted, left=left
    )
    return 0


def _work_through(
    queue: DeadLetterQueue, console: Console, title: str, do: Callable[[Sequence[DeadLetter]], None], *, ours: bool
) -> tuple[int, int]:
    """Have it done to those that are ``ours``, or to the others; how many they were, and how many are left."""
    done = left = 0
    with console.progress(title, queue.count()) as progress:

        def handle(letters: Sequence[DeadLetter]) -> Sequence[DeadLetter]:
            nonlocal done, left
            chosen = [each for each in letters if (each.about is not None) is ours]
            if chosen:
                do(chosen)
            stay = [each for each in letters if each not in chosen]
            done, left = done + len(chosen), left + len(stay)
            progress.show(done + left)
            return stay

        queue.sweep(handle)
    return done, left


def _as_data(letter: DeadLetter) -> dict[str, Any]:
    """Without the user name, which can be an e-mail address."""
    return {
        "id": letter.id,
        "sent_at": f"{datetime.fromtimestamp(letter.sent_at, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "age_hours": round((time.time() - letter.sent_at) / 3600, 1),
        "ours": letter.about is not None,
        "sub": letter.about.user.sub if letter.about else None,
        "source": letter.about.source if letter.about else None,
    }


def _where(deployment: Deployment) -> dict[str, str]:
    return {"stack": deployment.stack.name, "user_pool_id": deployment.pool_id}
