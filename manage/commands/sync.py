"""``sync USER``: have a user brought up to date at Whop, and a block looked at again."""

import argparse
import contextlib

from manage import users
from manage.console import Console
from manage.deployment import Deployment
from manage.stack import Stack
from whop_chat.cognito.pool import UserGone
from whop_chat.sync.queue import Source
from whop_chat.users import admin as directory_admin

NAME = "sync"
HELP = "have a user follow the pool: enrolled, renamed, disabled, enabled or cleaned up after; looks again at a block"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    users.add_argument(parser)


def run(arguments: argparse.Namespace, stack: Stack, console: Console) -> int:
    """Ask for it; the exit status. Raises `Refused`."""
    deployment = Deployment(stack)
    found = users.find(deployment, arguments.user)
    with deployment.audit.act(NAME, found.user.sub) as act, users.understood():
        # Of one who is deleted there is no block to look at; the clean-up is done again.
        with contextlib.suppress(UserGone):
            directory_admin.look_again(deployment.users, found.user, deadline=deployment.deadline())
        deployment.queue.send(found.user, Source.COMMAND, deadline=deployment.deadline())
        act.outcome = "enqueued"
    text = f"User {found.user.sub} is on the queue, and is brought up to date in a moment; `status` then says more."
    console.answer(text, outcome=act.outcome, **users.as_data(deployment, found))
    return 0
