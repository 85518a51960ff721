"""``allow USER``: undo ``deny``."""

import argparse

from manage import users
from manage.console import Console
from manage.deployment import Deployment
from manage.stack import Stack
from whop_chat.sync.queue import Source
from whop_chat.users import admin
from whop_chat.users.record import Status

NAME = "allow"
HELP = "undo deny"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    users.add_argument(parser)


def run(arguments: argparse.Namespace, stack: Stack, console: Console) -> int:
    """Allow the user and return the exit status. Raises `Refused`."""
    deployment = Deployment(stack)
    found = users.find(deployment, arguments.user)
    data = users.as_data(deployment, found)
    if found.record is None or found.record.status is not Status.DENIED:
        console.answer(f"User {found.user.sub} is not denied.", outcome="not_denied", **data)
        return 0
    with deployment.audit.entry(NAME, found.user.sub) as entry, users.refusing():
        admin.allow(deployment.users, found.user, deadline=deployment.deadline())
        if stack.enrols_users:
            # The pool may have disabled or renamed the user in the meantime.
            deployment.queue.send(found.user, Source.COMMAND, deadline=deployment.deadline())
        entry.outcome = "allowed"
    text = f"User {found.user.sub} may chat again, unless the user is disabled in the pool."
    console.answer(text, outcome=entry.outcome, **data)
    return 0
