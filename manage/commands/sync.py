"""``sync USER``: bring a user up to date at Whop, and retry a block."""

import argparse
import contextlib

from manage import users
from manage.console import Console
from manage.deployment import Deployment
from manage.stack import Stack
from whop_chat.cognito.pool import UserGone
from whop_chat.sync.queue import Source
from whop_chat.users import admin

NAME = "sync"
HELP = "bring a user up to date with the pool: enrol, rename, disable, enable or clean up; retries a block"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    users.add_argument(parser)


def run(arguments: argparse.Namespace, stack: Stack, console: Console) -> int:
    """Enqueue a sync of the user and return the exit status. Raises `Refused`."""
    deployment = Deployment(stack)
    found = users.find(deployment, arguments.user)
    with deployment.audit.entry(NAME, found.user.sub) as entry, users.refusing():
        # A deleted user has no block to retry, but the sync cleans up again.
        with contextlib.suppress(UserGone):
            admin.look_again(deployment.users, found.user, deadline=deployment.deadline())
        deployment.queue.send(found.user, Source.COMMAND, deadline=deployment.deadline())
        entry.outcome = "enqueued"
    text = f"A sync of user {found.user.sub} is enqueued. In a moment `status` shows the result."
    console.answer(text, outcome=entry.outcome, **users.as_data(deployment, found))
    return 0
